"""Why a scan is unlike those that a model was trained on: what its card tells of them beside what the scan tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triplenet.model.card import ModelCard
from triplenet.model.training_scans import EmbeddingFacts, TrainingScans
from triplenet.prepare.technique import technique

#: A length up to so much beyond the ends of the training scans' range is like theirs.
MARGIN = 0.25
#: Kernels that a sentence names.
SHOWN = 5

_Range = tuple[float, float] | None


def unlike(
    card: ModelCard,
    *,
    spacing_mm: tuple[float, float, float],
    header: Mapping[str, Any],
    distance: float | None,
) -> tuple[str, ...]:
    """Why a scan is unlike the training scans, one sentence each; empty where it is not, or nobody knows.

    :param spacing_mm: along (Z, Y, X) of the canonical orientation; 0 along an axis with one voxel
    :param header: of the scan's ``Source``
    :param distance: of its features, as ``Model.embedding`` gives it; None where there is none
    """
    trained = card.training_scans
    if trained is None:
        return ()
    scan = technique(spacing_mm, header)
    found = [
        _beyond(scan.slice_mm, trained.slice_mm, "slices are {} mm apart"),
        _beyond(scan.slice_thickness_mm, trained.slice_thickness_mm, "slices are {} mm thick"),
        _beyond(scan.pixel_mm, trained.pixel_mm, "pixels are {} mm wide"),
        _other_kernel(scan.kernel, trained),
        _other_contrast(scan.contrast, trained),
        None if trained.embedding is None else _far(distance, trained.embedding),
    ]
    return tuple(reason for reason in found if reason)


def _beyond(length: float | None, known: _Range, what: str) -> str | None:
    if length is None or known is None or known[0] / (1 + MARGIN) <= length <= known[1] * (1 + MARGIN):
        return None
    low, high = f"{known[0]:.3g}", f"{known[1]:.3g}"
    ends = low if low == high else f"{low} to {high}"
    return f"{what.format(f'{length:.3g}')}, those of the training scans {ends} mm"


def _other_kernel(kernel: str, trained: TrainingScans) -> str | None:
    if not kernel or not trained.kernels or kernel.casefold() in {known.casefold() for known in trained.kernels}:
        return None
    shown = list(trained.kernels)[:SHOWN]
    more = len(trained.kernels) - len(shown)
    others = f" and {more} more" if more else ""
    return f"the kernel is {kernel}, those of the training scans {', '.join(shown)}{others}"


def _other_contrast(given: str, trained: TrainingScans) -> str | None:
    if not given or not trained.contrast or given in trained.contrast:
        return None
    if given == "yes":
        return "contrast medium was given, and no training scan had any"
    return "no contrast medium was given, and every training scan that tells had some"


def _far(distance: float | None, known: EmbeddingFacts) -> str | None:
    if distance is None or not distance > known.limit:
        return None
    return (
        f"its features lie {distance:.3g} from the training patients', beyond the {known.limit:.3g} that "
        f"{known.quantile:.0%} of {known.patients} {known.of} patients stay within"
    )
