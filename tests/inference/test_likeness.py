"""A scan unlike the training scans is told why, in a sentence; where nobody knows, nothing is said."""

from __future__ import annotations

from typing import Any

import pytest

from toy_model import marker
from triplenet.inference.likeness import unlike
from triplenet.model import EmbeddingFacts, ModelCard, TrainingScans

LIKE = {"spacing_mm": (1.0, 0.7, 0.7), "header": {}, "distance": None}
TRAINED = TrainingScans(
    patients=40,
    slice_mm=(0.8, 1.5),
    pixel_mm=(0.6, 0.9),
    slice_thickness_mm=(1.0, 1.0),
    kernels={"B40f": 25, "LUNG": 10},
    contrast={"no": 40},
    embedding=EmbeddingFacts(quantile=0.99, limit=20.0, patients=12, of="validation"),
)


def card(**changes: Any) -> ModelCard:
    return marker().card.model_copy(update={"training_scans": TRAINED.model_copy(update=changes)})


def reasons(trained: ModelCard | None = None, **changes: Any) -> tuple[str, ...]:
    return unlike(trained or card(), **(LIKE | changes))


def test_a_scan_like_the_training_scans_has_no_reason() -> None:
    header = {"kernel": "b40F", "slice_thickness_mm": 1.0, "contrast": "no"}
    assert reasons(header=header, distance=20.0) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"spacing_mm": (5.0, 0.7, 0.7)}, "slices are 5 mm apart, those of the training scans 0.8 to 1.5 mm"),
        ({"spacing_mm": (0.5, 0.7, 0.7)}, "slices are 0.5 mm apart, those of the training scans 0.8 to 1.5 mm"),
        ({"spacing_mm": (1.0, 1.2, 1.2)}, "pixels are 1.2 mm wide, those of the training scans 0.6 to 0.9 mm"),
        ({"header": {"slice_thickness_mm": 8.0}}, "slices are 8 mm thick, those of the training scans 1 mm"),
        ({"header": {"kernel": "H70h"}}, "the kernel is H70h, those of the training scans B40f, LUNG"),
        ({"header": {"contrast": "yes"}}, "contrast medium was given, and no training scan had any"),
        (
            {"distance": 31.24},
            "its features lie 31.2 from the training patients', beyond the 20 that 99% of 12 validation patients stay "
            "within",
        ),
    ],
)
def test_each_thing_that_is_unlike_is_one_sentence(changes: dict[str, Any], reason: str) -> None:
    assert reasons(**changes) == (reason,)


@pytest.mark.parametrize(("slice_mm", "unlike_them"), [(0.63, 1), (0.65, 0), (1.87, 0), (1.88, 1)])
def test_a_quarter_beyond_the_range_is_still_like_it(slice_mm: float, unlike_them: int) -> None:
    assert len(reasons(spacing_mm=(slice_mm, 0.7, 0.7))) == unlike_them


def test_a_scan_without_contrast_is_unlike_those_with() -> None:
    trained = card(contrast={"yes": 3})
    assert reasons(trained, header={"contrast": "no"}) == (
        "no contrast medium was given, and every training scan that tells had some",
    )
    assert reasons(card(contrast={"yes": 3, "no": 1}), header={"contrast": "no"}) == ()


def test_all_reasons_are_told() -> None:
    header = {"kernel": "\x1b[2JQ", "slice_thickness_mm": 9, "contrast": "yes"}
    found = reasons(spacing_mm=(9.0, 3.0, 3.0), header=header, distance=1e6)
    assert len(found) == 6
    assert not any("\x1b" in reason for reason in found)


def test_where_nobody_knows_nothing_is_said() -> None:
    odd = {"spacing_mm": (9.0, 3.0, 3.0), "header": {"kernel": "Q", "slice_thickness_mm": 9, "contrast": "yes"}}
    assert reasons(marker().card, **odd, distance=1e6) == ()
    silent = marker().card.model_copy(update={"training_scans": TrainingScans(patients=3)})
    assert reasons(silent, **odd, distance=1e6) == ()
    unknown = {
        "spacing_mm": (0.0, 0.0, float("nan")),
        "header": {"kernel": "", "contrast": "", "slice_thickness_mm": None},
    }
    assert reasons(**unknown, distance=None) == ()


def test_of_many_kernels_the_most_frequent_are_named() -> None:
    trained = card(kernels={f"B{number}": 1 for number in range(7)})
    assert reasons(trained, header={"kernel": "Q"}) == (
        "the kernel is Q, those of the training scans B0, B1, B2, B3, B4 and 2 more",
    )
