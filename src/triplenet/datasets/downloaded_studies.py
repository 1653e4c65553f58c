"""The DICOM studies of a download by what their headers say, wherever the files lie and whatever they are called.

Of each file the header is read once and only its path is kept, so that a download of any size can be looked through.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver
from triplenet.datasets.scan_files import LEFT_BEHIND, left_behind
from triplenet.errors import BadDataset, ScanError
from triplenet.scan.dicom_identity import read_identity
from triplenet.scan.formats import ARCHIVE_SUFFIXES
from triplenet.scan.input_files import files_below

NO_DICOM = "no DICOM file"
NO_SERIES = "a DICOM file of no series"
DAMAGED = "a damaged DICOM file, its series unknown"
ZIPPED = "a zip: unpack it"


@dataclass
class DownloadedStudy:
    """One study: whose it is, and its files by series."""

    uid: str
    """StudyInstanceUID"""
    patient: str
    """PatientID"""
    series: dict[str, list[Path]] = field(default_factory=dict)
    """SeriesInstanceUID -> its files"""

    @property
    def folder(self) -> Path:
        """The lowest folder that holds all of it."""
        return folder_of([path for paths in self.series.values() for path in paths])


def folder_of(files: list[Path]) -> Path:
    """The lowest folder that holds all of these files."""
    return Path(os.path.commonpath([path.parent for path in files]))


@dataclass
class Download:
    """What was found below a folder.

    :param studies: StudyInstanceUID -> study
    :param others: files that are no DICOM files
    """

    studies: dict[str, DownloadedStudy] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)


def read_download(src: Path, left: PassedOver) -> Download:
    """Look through every file below a folder.

    :raises BadDataset: two patients share a study, or two studies a series
    """
    found = Download()
    study_of: dict[str, str] = {}
    for path in files_below(src):
        if any(left_behind(Path(part)) for part in path.relative_to(src).parts):
            left.add(path, LEFT_BEHIND)
            continue
        if path.name.lower().endswith(ARCHIVE_SUFFIXES):
            left.add(path, ZIPPED)
            continue
        try:
            identity = read_identity(path)
        except (ScanError, OSError):
            left.add(path, DAMAGED)
            continue
        if identity is None:
            found.others.append(path)
        elif not identity.study or not identity.series:
            left.add(path, NO_SERIES)
        else:
            study = found.studies.setdefault(identity.study, DownloadedStudy(identity.study, identity.patient))
            if study.patient != identity.patient or study_of.setdefault(identity.series, study.uid) != study.uid:
                raise BadDataset("its study or series is another patient's or study's too", where=path)
            study.series.setdefault(identity.series, []).append(path)
    return found


def by_patient(studies: Mapping[str, DownloadedStudy]) -> dict[str, list[DownloadedStudy]]:
    """Patient -> studies, in the order of their UIDs' numbers."""
    found: dict[str, list[DownloadedStudy]] = {}
    for uid in sorted(studies, key=lambda uid: [(len(part), part) for part in uid.split(".")]):
        found.setdefault(studies[uid].patient, []).append(studies[uid])
    return dict(sorted(found.items()))
