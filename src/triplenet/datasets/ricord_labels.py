"""What RICORD's readers said of a study: the appearance of the consensus statement, and the opacities that they drew.

The appearance (Simpson et al. 2020) is a label of the study, known by its first word; the drawings have six labels,
three of which are infection. Any other label is refused by its name, since nobody here knows what it means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from triplenet.datasets.mdai_export import Annotation
from triplenet.errors import BadDataset

NEGATIVE = "negative"
APPEARANCES = ("atypical", "typical", "indeterminate", NEGATIVE)
"""Findings, each the first word of its label; atypical before typical, so that it is never taken for that"""
INFECTIOUS = ("infectious opacity", "infectious tib/micronodules", "infectious cavity")
OTHER_LESIONS = ("noninfectious nodule/mass", "atelectasis", "other noninfectious opacity")


@dataclass(frozen=True)
class StudyLabels:
    """What was said of one study."""

    said: tuple[tuple[str, str], ...] = ()
    """Reader and finding, each pair once"""
    lesions: tuple[Annotation, ...] = ()
    """Drawings of all six labels, and those whose contour is not there"""

    @property
    def finding(self) -> str:
        """What its readers agree on; empty where they do not, or say nothing."""
        findings = {finding for _, finding in self.said}
        return findings.pop() if len(findings) == 1 else ""

    @property
    def disagree(self) -> bool:
        """Whether there are several findings."""
        return len({finding for _, finding in self.said}) > 1

    @property
    def infectious(self) -> tuple[Annotation, ...]:
        """Those of the lesions that are infection, drawn or not."""
        return tuple(one for one in self.lesions if _plain(one.label) in INFECTIOUS)

    @property
    def none(self) -> bool:
        """Whether it is known that there is no infection: negative for pneumonia, and nothing infectious is marked."""
        return self.finding == NEGATIVE and not self.infectious


def labels_by_study(annotations: Iterable[Annotation], where: Path) -> dict[str, StudyLabels]:
    """StudyInstanceUID -> what was said of it.

    :param where: the file of the annotations, for messages
    :raises BadDataset: a label that is none of RICORD's
    """
    said: defaultdict[str, dict[tuple[str, str], None]] = defaultdict(dict)
    lesions: defaultdict[str, list[Annotation]] = defaultdict(list)
    for one in annotations:
        finding = next((word for word in APPEARANCES if _plain(one.label).startswith(word)), None)
        if finding is not None:
            said[one.study][one.reader, finding] = None
        elif _plain(one.label) in (*INFECTIOUS, *OTHER_LESIONS):
            lesions[one.study].append(one)
        else:
            raise BadDataset(
                f"the annotation {one.id} has the unknown label {one.label!r}",
                where=where,
                do=f"known are {', '.join((*APPEARANCES, *INFECTIOUS, *OTHER_LESIONS))}",
            )
    return {
        study: StudyLabels(tuple(sorted(said[study])), tuple(lesions[study])) for study in sorted({*said, *lesions})
    }


def _plain(label: str) -> str:
    return " ".join(label.lower().split())
