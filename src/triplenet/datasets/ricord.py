"""MIDRC-RICORD-1A and 1B (Tsai et al. 2021, TCIA): the appearance of the consensus statement, and drawn opacities.

``ricord`` reads 1A, COVID-19 positive patients whose studies were read as typical, indeterminate, atypical or negative
for pneumonia, and makes the table of the tasks ``binary`` and ``appearance``. ``ricord-covid`` reads 1A and 1B for the
task ``covid``: 1A is COVID-19 there and 1B non-COVID-19. 1B's patients were tested negative, which is not "negative for
pneumonia": some of them show plain opacities, and nobody labelled them, so that they are in no other task.

The folder holds the download and, anywhere in it, the annotations as MD.ai exported them (``mdai_export``). Files are
known by their headers, wherever they lie. A row is a study, named by its PatientID, the patient's next ones with ``-2``
and so on; its ``group`` is the patient, its ``site`` the part of the PatientID that names the hospital. See
``ricord_study`` for the series and the mask, ``ricord_report`` for what is told beside the table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from triplenet.cohort.table import NO_INFECTION, write_cohort
from triplenet.datasets.downloaded_studies import NO_DICOM, Download, by_patient, read_download
from triplenet.datasets.import_notes import write_notes
from triplenet.datasets.mdai_export import is_export, read_export
from triplenet.datasets.passed_over import PassedOver
from triplenet.datasets.ricord_labels import StudyLabels, labels_by_study
from triplenet.datasets.ricord_report import STUDIES, Collection, NamedStudy, notes_of, study_line
from triplenet.datasets.ricord_study import StudyScan, StudyTask, read_study
from triplenet.errors import BadDataset, ScanError
from triplenet.files import whole_folder, write_csv
from triplenet.processes import Failed, attempts

Progress = Callable[[int, int], None]

_PATIENT = re.compile(r"MIDRC-RICORD-(1[AB])-([A-Za-z0-9]+)-[A-Za-z0-9]+", re.IGNORECASE)
_NOT_NEGATIVE = "a study of 1B, tested negative, which is not negative for pneumonia: see ricord-covid"
_UNNAMED = "a study that the annotations do not name"
_NO_LABEL = "a study without a finding that its readers agree on and without a drawn infection"
_FOREIGN = "a study of neither RICORD 1A nor 1B by its PatientID"
_COVID: Mapping[Collection, str] = {"1A": "COVID-19", "1B": "non-COVID-19"}


@dataclass(frozen=True)
class _Source:
    """What a folder holds."""

    src: Path
    download: Download
    annotations: Path | None
    labels: Mapping[str, StudyLabels]
    """StudyInstanceUID -> what its readers said"""
    studies: Sequence[NamedStudy]
    left: PassedOver


def run(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``ricord``: findings of the consensus statement, of 1A."""
    source = _read(src)
    if source.annotations is None:
        raise BadDataset(
            "no annotations: no JSON with labelGroups and datasets",
            where=src,
            do="put the annotations of MIDRC-RICORD-1a beside the images; 1B has none, see ricord-covid",
        )
    rows = []
    for study in source.studies:
        if study.collection == "1B":
            source.left.add(study.downloaded.folder, _NOT_NEGATIVE)
        elif study.downloaded.uid not in source.labels:
            source.left.add(study.downloaded.folder, _UNNAMED)
        else:
            rows.append((study, study.labels.finding))
    return _write(source, rows, out, jobs, on_progress, by_readers=True)


def run_covid(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``ricord-covid``: COVID-19 or not, of 1A and 1B; the annotations may be missing."""
    source = _read(src)
    rows = [(study, _COVID[study.collection]) for study in source.studies]
    return _write(source, rows, out, jobs, on_progress, by_readers=False)


def _read(src: Path) -> _Source:
    left = PassedOver(src)
    download = read_download(src, left)
    annotations = _annotations(src, download, left)
    labels = {} if annotations is None else labels_by_study(read_export(annotations), annotations)
    return _Source(src, download, annotations, labels, _studies(src, download, labels, left), left)


def _annotations(src: Path, download: Download, left: PassedOver) -> Path | None:
    """The one file of annotations, whatever its name."""
    exports = [path for path in download.others if is_export(path)]
    if len(exports) > 1:
        names = ", ".join(os.path.relpath(path, src) for path in exports)
        raise BadDataset(f"{len(exports)} files of annotations ({names})", where=src, do="leave one of them there")
    for path in download.others:
        if path not in exports:
            left.add(path, NO_DICOM)
    return exports[0] if exports else None


def _studies(src: Path, download: Download, labels: Mapping[str, StudyLabels], left: PassedOver) -> list[NamedStudy]:
    """RICORD's studies, patient by patient.

    :raises BadDataset: there is none
    """
    studies = []
    for patient, own in by_patient(download.studies).items():
        match = _PATIENT.fullmatch(patient)
        if match is None:
            for study in own:
                left.add(study.folder, _FOREIGN)
            continue
        collection: Collection = "1A" if match[1].upper() == "1A" else "1B"
        for number, study in enumerate(own, start=1):
            name = patient if number == 1 else f"{patient}-{number}"
            studies.append(NamedStudy(name, collection, match[2], study, labels.get(study.uid, StudyLabels())))
    if not studies:
        raise BadDataset(
            "no DICOM study whose PatientID begins with MIDRC-RICORD-1A or 1B", where=src, do="give the download"
        )
    return studies


def _write(
    source: _Source,
    studies: Sequence[tuple[NamedStudy, str]],
    out: Path,
    jobs: int | None,
    on_progress: Progress,
    *,
    by_readers: bool,
) -> Path:
    """Write the table and its masks, whole or not at all.

    :param studies: those that may become rows, each with its finding
    :param by_readers: whether that is the readers' finding
    """
    rows, told, rejected = [], [], []
    with whole_folder(out) as folder:
        for study, finding, result in _read_studies(source, studies, folder, jobs, on_progress):
            if isinstance(result, ScanError):
                rejected.append({"patient": study.name, "code": result.code, "reason": result.what})
                continue
            told.append(study_line(study.downloaded.uid, study.labels, study.name, result))
            row = _row(study, finding, result, out)
            if row["finding"] or row["infection"]:
                rows.append(row)
            else:
                source.left.add(study.downloaded.folder, _NO_LABEL)
        if not rows:
            first = f", the first: {rejected[0]['code']}: {rejected[0]['reason']}" if rejected else ""
            raise BadDataset(f"no study can become a row{source.left.below(source.src)}{first}", where=source.src)
        write_cohort(folder / "cohort.csv", rows)
        absent = {uid: said for uid, said in source.labels.items() if uid not in source.download.studies}
        write_csv(folder / STUDIES, [*told, *(study_line(uid, said) for uid, said in absent.items())])
        if rejected:
            write_csv(folder / "rejected.csv", rejected)
        source.left.write(folder)
        write_notes(folder, notes_of(source.studies, len(absent), told, by_readers=by_readers))
    return out / "cohort.csv"


def _read_studies(
    source: _Source,
    studies: Sequence[tuple[NamedStudy, str]],
    folder: Path,
    jobs: int | None,
    on_progress: Progress,
) -> Iterator[tuple[NamedStudy, str, StudyScan | ScanError]]:
    """Each study with its finding and what became of it; the masks go into ``folder``."""
    tasks = [
        StudyTask(
            study.downloaded.uid,
            study.downloaded.series,
            study.labels,
            folder / "masks" / f"{study.name}.nii.gz",
            source.annotations,
        )
        for study, _ in studies
    ]
    with closing(attempts(read_study, tasks, jobs)) as results:
        for done, ((study, finding), attempt) in enumerate(zip(studies, results, strict=True), start=1):
            on_progress(done, len(studies))
            yield study, finding, attempt.error if isinstance(attempt, Failed) else attempt


def _row(study: NamedStudy, finding: str, result: StudyScan, out: Path) -> dict[str, str]:
    none = study.collection == "1A" and study.labels.none
    infection = NO_INFECTION if none else f"masks/{study.name}.nii.gz" if result.used else ""
    return {
        "patient": study.name,
        "finding": finding,
        "scan": os.path.relpath(result.folder, out),
        "infection": infection,
        "group": study.downloaded.patient,
        "site": study.site,
        "series": result.series,
    }
