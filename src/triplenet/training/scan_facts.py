"""What the training patients' scans were like: aggregates for the model file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from triplenet.model import EmbeddingFacts, TrainingScans
from triplenet.model.training_scans import MOST_KERNELS
from triplenet.prepare.store import PreparedPatient, PreparedSet
from triplenet.prepare.technique import kernel_word


def training_scans(prepared: PreparedSet, patients: Sequence[str], embedding: EmbeddingFacts | None) -> TrainingScans:
    """Ranges and counts over patients of a prepared set; what its table does not tell is left out.

    :param patients: those of the training
    """
    told: list[PreparedPatient] = [prepared.patients[row] for row in prepared.rows(patients)]
    return TrainingScans(
        patients=len(told),
        slice_mm=_ends(one.slice_mm for one in told),
        pixel_mm=_ends(one.pixel_mm for one in told),
        slice_thickness_mm=_ends(one.slice_thickness_mm for one in told),
        kernels=dict(_frequent(kernel_word(one.kernel) for one in told)[:MOST_KERNELS]),
        contrast={given: count for given, count in _frequent(one.contrast for one in told) if given in ("yes", "no")},
        embedding=embedding,
    )


def _ends(lengths: Iterable[float | None]) -> tuple[float, float] | None:
    known = [length for length in lengths if length is not None]
    return (min(known), max(known)) if known else None


def _frequent(words: Iterable[str]) -> list[tuple[str, int]]:
    """Each word with how often it stands there, the most frequent first, then by the alphabet; not the empty one."""
    counts = Counter(word for word in words if word)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
