"""What is told of an import of RICORD beside its table: a line a study, and notes on what is missing or contradictory.

``studies.csv`` says of each study what each of its readers said, which series is used and what became of the contours;
an annotated study that is not in the folder has a line without a patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from triplenet.datasets.downloaded_studies import DownloadedStudy
from triplenet.datasets.ricord_labels import NEGATIVE, StudyLabels
from triplenet.datasets.ricord_study import StudyScan

Collection = Literal["1A", "1B"]

STUDIES = "studies.csv"
#: Patients, studies and series of the whole collections, as published.
PUBLISHED: Mapping[Collection, tuple[int, int, int]] = {"1A": (110, 120, 229), "1B": (117, 120, 120)}


@dataclass(frozen=True)
class NamedStudy:
    """A study of RICORD, and what was said of it."""

    name: str
    """As the table calls it"""
    collection: Collection
    site: str
    downloaded: DownloadedStudy
    labels: StudyLabels


def study_line(uid: str, labels: StudyLabels, name: str = "", result: StudyScan | None = None) -> dict[str, str]:
    """A line of ``studies.csv``.

    :param name: as the table calls it; empty for a study that is not there, which has no result
    """
    lost = sum(one.drawing is None for one in labels.infectious)
    return {
        "patient": name,
        "study": uid,
        "readers": "; ".join(f"{reader}: {finding}" for reader, finding in labels.said),
        "agree": "no" if labels.disagree else "yes",
        "series": "" if result is None else result.series,
        "contours": "" if result is None else str(result.used),
        "contours_on_other_series": "" if result is None else str(result.elsewhere),
        "without_contour": "" if result is None else str(lost),
    }


def notes_of(
    studies: Sequence[NamedStudy], absent: int, lines: Sequence[Mapping[str, str]], *, by_readers: bool
) -> list[str]:
    """What should be known of the table.

    :param absent: annotated studies that are not in the folder
    :param lines: of ``studies.csv``, of the studies that were read
    :param by_readers: whether its findings are the readers'
    """
    notes = [text for collection in PUBLISHED if (text := _not_whole(collection, studies))]
    disagree = sum(line["agree"] == "no" for line in lines)
    contradict = sum(study.labels.finding == NEGATIVE and bool(study.labels.infectious) for study in studies)
    notes += [
        f"{what}: {count} (see {STUDIES})"
        for what, count in (
            ("annotated studies that are not in the folder", absent),
            ("studies whose readers disagree, without a finding", disagree if by_readers else 0),
            ("studies that are negative for pneumonia with infectious opacities marked", contradict),
            ("infectious opacities that are marked without a contour", _sum(lines, "without_contour")),
            ("contours of infection on another series than the one used", _sum(lines, "contours_on_other_series")),
        )
        if count
    ]
    return notes


def _not_whole(collection: Collection, studies: Sequence[NamedStudy]) -> str:
    """How a collection differs from what was published; empty where it is whole or not here at all."""
    own = [study.downloaded for study in studies if study.collection == collection]
    here = len({study.patient for study in own}), len(own), sum(len(study.series) for study in own)
    if not own or here == PUBLISHED[collection]:
        return ""
    found, whole = (
        f"{patients} patients, {count} studies, {series} series"
        for patients, count, series in (here, PUBLISHED[collection])
    )
    return f"RICORD {collection} as published has {whole}; here are {found}"


def _sum(lines: Sequence[Mapping[str, str]], column: str) -> int:
    return sum(int(line[column]) for line in lines)
