"""Comparators: rows of a benchmark that are no method, neither of the paper nor of another package. Names and titles.

``opacity``            the share of the lung that is opaque by its Hounsfield units; nothing is learnt
``segmentation-NAME``  the infected share of the lung, as the networks of the row NAME segment it
``features-NAME``      a logistic probe on features that a user brings
"""

from __future__ import annotations

from collections.abc import Callable

OPACITY, SEGMENTATION, FEATURES = "opacity", "segmentation", "features"
KINDS = (OPACITY, SEGMENTATION, FEATURES)
#: Behind the title of a comparator, wherever it is shown.
MARK = "†"


def comparator_name(kind: str, of: str = "") -> str:
    """Of its row."""
    return f"{kind}-{of}" if of else kind


def is_comparator(name: str) -> bool:
    """Whether a row of this name is a comparator's."""
    return name.partition("-")[0] in KINDS


def comparator_title(name: str, title_of: Callable[[str], str]) -> str:
    """As tables and figures call it.

    :param title_of: the title of a method's or variant's row
    """
    kind, _, of = name.partition("-")
    if kind == OPACITY:
        return f"Opacity score{MARK}"
    if kind == SEGMENTATION:
        return f"Infected share by {title_of(of)}{MARK}" if of else f"Infected share{MARK}"
    return f"Probe on {of}{MARK}" if of else f"Probe on features{MARK}"
