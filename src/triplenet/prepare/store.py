"""The prepared set: a folder that training reads without a scan, a mask or a DICOM library.

``prepared.json``  how it was made, and the SHA-256 of every other file
``table.csv``      one row a patient, in the order of the arrays
``images.npy``     (N, H, W) uint8, windowed slices
``masks.npy``      (N, H, W) uint8: 0 background, 1 lung, 2 infection, 255 unlabelled
``second.npy``     (N, H, W) uint8, where another reader's masks are given: 0 not infected, 1 infected, 255 nobody told
``folds.csv``      patient, fold1, fold2, fold3: train, validation or test
``frames.npy``     (N, T, H, W) uint8, when asked for: the 3D methods' input
``frame_lungs.npy``  (N, T, H, W / 8) uint8, when asked for: their lung masks, eight pixels a byte
``opacity.csv``    patient, opacity: share of the slice's lung between two HU limits; sets of earlier versions lack it
``rejected.csv``   scans that were refused: patient, scan, code, reason
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triplenet.catalog import BACKGROUND, INFECTION, LUNG, UNLABELLED, FrameSampling, Task
from triplenet.cohort.folds import FOLDS, Fold, Scheme
from triplenet.errors import BadPreparedSet, PathMissing, UnknownFinding
from triplenet.files import read_csv, sha256_of
from triplenet.prepare.array_file import ArrayFile
from triplenet.prepare.technique import Contrast, Technique, millimetres

Rule = Literal["infection", "lung", "only"]
Labelled = Literal["all", "infection", "lung", "none"]
Bytes = npt.NDArray[np.uint8]

INFO, TABLE, IMAGES, MASKS, FRAMES = "prepared.json", "table.csv", "images.npy", "masks.npy", "frames.npy"
SECOND, FRAME_LUNGS, FOLDS_FILE, REJECTED = "second.npy", "frame_lungs.npy", "folds.csv", "rejected.csv"
OPACITY = "opacity.csv"
_INFECTED = 1
"""In ``SECOND``"""


@dataclass(frozen=True)
class PreparedPatient:
    """One patient of a prepared set: row ``i`` of the arrays."""

    patient: str
    finding: str | None
    slice: int
    """Index of the chosen slice, counted from the feet."""
    rule: Rule
    """Why this slice: largest infection area, largest lung area, or the only one there is."""
    infection_pixels: int | None
    """At the scan's own resolution; None where no mask tells, likewise ``lung_pixels``."""
    lung_pixels: int | None
    labelled: Labelled
    """What the mask knows."""
    derived: bool = False
    """The lung mask was made by thresholds, not by a reader."""
    group: str | None = None
    site: str | None = None
    series_choice: str = ""
    """Why this series of the scan and no other; empty where there was nothing to choose."""
    notes: str = ""
    slice_mm: float | None = None
    """Distance between slices; None where nobody knows, likewise what follows: see ``prepare.technique``."""
    pixel_mm: float | None = None
    slice_thickness_mm: float | None = None
    """As the header says"""
    kernel: str = ""
    contrast: Contrast = ""
    slices: int | None = None
    """Of the scan, along the patient's axis; None where nobody knows"""
    opacity: float | None = None
    """Share of the lung in the slice that is opaque, at the scan's own resolution, see ``prepare.opacity_share``; None
    without a lung mask, and in sets of earlier versions"""
    extra: dict[str, str] = field(default_factory=dict)
    """Other columns of the cohort table, for strata."""


class PreparedInfo(BaseModel):
    """``prepared.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["triplenet prepared set"] = "triplenet prepared set"
    version: Literal[1] = 1
    made_with: str
    """triplenet's version"""
    cohort_sha256: str
    window_hu: tuple[float, float]
    """lower, upper: mapped to 0 and 255"""
    size: int
    """H = W of images and masks"""
    frames: int = 0
    frame_size: int = 0
    frame_sampling: FrameSampling = "nearest"
    frame_lungs: bool = False
    """Whether the frames' lung masks are there."""
    fold_scheme: Scheme = "order"
    fold_seed: int = 0
    leakage: tuple[tuple[str, str], ...] = ()
    """Pairs of patients with near-duplicate images on two sides of a fold, which the user allowed"""
    patients: int
    derived_lungs: int = 0
    """Patients whose lung mask was made by thresholds"""
    rejected: int = 0
    opacity_hu: tuple[float, float] | None = None
    """Between which Hounsfield units the lung counts as opaque in ``opacity.csv``; None where there is none"""
    columns: tuple[str, ...] = ()
    """Of ``table.csv``: those that are not the cohort's own; sets of earlier versions do not say"""
    files: dict[Annotated[str, Field(pattern=r"^[a-z_]{1,64}\.(npy|csv|json)$")], str]
    """file name -> SHA-256; names of this folder's files, which lead nowhere else"""

    @property
    def sha256(self) -> str:
        """One hash over the data: it goes into every run and model made from this set.

        Another reader's masks (``SECOND``) and opacity (``OPACITY``) are left out: they decide no training, and runs
        stay those of their set when such are written later. What was noted of those masks stands in the table, which
        is not left out.
        """
        names = (TABLE, IMAGES, MASKS, FRAMES, FRAME_LUNGS, FOLDS_FILE)
        lines = [f"{name} {self.files[name]}\n" for name in names if name in self.files]
        lines.append(f"window {self.window_hu[0]:g} {self.window_hu[1]:g}\n")
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class PreparedSet:
    """A prepared set, opened; the arrays are read from the disk when they are asked for."""

    folder: Path
    info: PreparedInfo
    patients: tuple[PreparedPatient, ...]
    images: ArrayFile
    """(N, H, W)"""
    masks: ArrayFile
    """(N, H, W)"""
    frames: ArrayFile | None
    """(N, T, H, W)"""
    frame_lungs: ArrayFile | None
    """(N, T, H, W / 8) lung as bits, see ``pack``"""
    second: ArrayFile | None
    """(N, H, W) another reader's infection; None where no patient has any, see ``second_lesion``"""
    folds: tuple[Fold, ...]

    def __len__(self) -> int:
        return len(self.patients)

    @classmethod
    def open(cls, folder: Path | str, *, verify: bool = False) -> PreparedSet:
        """Open a prepared set.

        :param verify: also compare every file's SHA-256 with ``prepared.json``
        :raises PathMissing: there is no such folder
        :raises BadPreparedSet: a file is missing, damaged or does not fit the others
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise PathMissing("no such prepared set", where=folder, do="make one with triplenet prepare")
        info = _read_info(folder)
        if verify:
            for name, expected in info.files.items():
                if not (folder / name).is_file() or sha256_of(folder / name) != expected:
                    raise BadPreparedSet("the file is not the one that was written", where=folder / name)
        patients = _read_table(folder, info.columns)
        shape = (info.patients, info.size, info.size)
        images = ArrayFile(folder / IMAGES, shape)
        masks = ArrayFile(folder / MASKS, shape)
        second = ArrayFile(folder / SECOND, shape) if SECOND in info.files else None
        frames = frame_lungs = None
        if info.frames:
            rows = (info.patients, info.frames, info.frame_size)
            frames = ArrayFile(folder / FRAMES, (*rows, info.frame_size))
            if info.frame_lungs:
                frame_lungs = ArrayFile(folder / FRAME_LUNGS, (*rows, packed_width(info.frame_size)))
        if OPACITY in info.files:
            patients = _with_opacity(folder, patients)
        if len(patients) != info.patients:
            raise BadPreparedSet("the table and prepared.json disagree", where=folder / TABLE)
        folds = _read_folds(folder, patients)
        return cls(folder, info, patients, images, masks, frames, frame_lungs, second, folds)

    @classmethod
    def of(cls, prepared: PreparedSet | Path | str, *, verify: bool = True) -> PreparedSet:
        """One that is open already as it is; a folder as ``open`` opens it."""
        return prepared if isinstance(prepared, PreparedSet) else cls.open(prepared, verify=verify)

    def fold(self, number: int) -> Fold:
        """Fold 1, 2 or 3."""
        for fold in self.folds:
            if fold.number == number:
                return fold
        raise BadPreparedSet(f"there is no fold {number}", where=self.folder, do="choose 1, 2 or 3")

    def rows(self, patients: Sequence[str]) -> npt.NDArray[np.int64]:
        """Row numbers of these patients, in their order."""
        row_of = {patient.patient: row for row, patient in enumerate(self.patients)}
        return np.array([row_of[name] for name in patients], dtype=np.int64)

    def lesion(self, row: int) -> npt.NDArray[np.bool_] | None:
        """(H, W) the infection of a patient; None where nobody knows."""
        if self.patients[row].labelled not in ("all", "infection"):
            return None
        known: npt.NDArray[np.bool_] = np.asarray(self.masks[row]) == INFECTION
        return known

    def lesions(self, rows: npt.NDArray[np.int64]) -> Bytes:
        """(n, H, W) uint8, 1 in the infection, of these patients.

        :raises BadPreparedSet: nobody knows the infection of one of them
        """
        known = [self.lesion(row) for row in rows.tolist()]
        unknown = [row for row, lesion in zip(rows.tolist(), known, strict=True) if lesion is None]
        if unknown:
            raise BadPreparedSet(
                f"the true infection would be read, and {len(unknown)} patients have no mask of it, the first is "
                f"{self.patients[unknown[0]].patient}",
                where=self.folder,
                do="give their masks, or leave network.attention as it is",
            )
        return np.array(known, dtype=np.uint8).reshape(len(rows), self.info.size, self.info.size)

    def second_lesion(self, row: int) -> npt.NDArray[np.bool_] | None:
        """(H, W) the infection of a patient as another reader drew it; None where that is not known.

        How far both readers agree is what a map of the infection can be expected to reach.
        """
        if self.second is None:
            return None
        told = self.second[row]
        return None if (told == UNLABELLED).all() else told == _INFECTED

    def lung(self, row: int) -> npt.NDArray[np.bool_] | None:
        """(H, W) the lung of a patient, the infection included; None where nobody knows."""
        labelled, mask = self.patients[row].labelled, np.asarray(self.masks[row])
        if labelled == "all":
            return np.isin(mask, (LUNG, INFECTION))
        # Of a lung mask alone the inside is unlabelled: it may be infected.
        return mask != BACKGROUND if labelled == "lung" else None

    def lungs_of_frames(self, rows: npt.NDArray[np.int64]) -> Bytes:
        """(n, T, H, W) uint8, 1 in the lung, of these patients' frames.

        :raises BadPreparedSet: it was prepared without
        """
        if self.frame_lungs is None:
            raise BadPreparedSet("the frames have no lung masks", where=self.folder, do="prepare with --frame-lungs")
        return np.unpackbits(np.array(self.frame_lungs[rows]), axis=-1, count=self.info.frame_size)

    def labels(self, task: Task) -> npt.NDArray[np.int64]:
        """(N,) class of each patient, -1 without a finding.

        :raises UnknownFinding: a finding that the task does not name
        """
        labels = np.full(len(self.patients), -1, dtype=np.int64)
        for row, patient in enumerate(self.patients):
            if patient.finding is None:
                continue
            if patient.finding not in task.findings:
                raise UnknownFinding(
                    f"the task {task.name!r} does not name the finding {patient.finding!r}",
                    where=f"patient {patient.patient}",
                    do=f"it names {', '.join(task.findings)}; choose another task or write one as TOML",
                )
            labels[row] = task.label(patient.finding)
        return labels


def pack(mask: Bytes) -> Bytes:
    """(..., W) uint8 of 0 and 1 -> (..., W / 8) uint8, the first pixel in the highest bit; W is filled up with 0."""
    return np.packbits(mask.astype(np.bool_), axis=-1)


def packed_width(width: int) -> int:
    """Bytes that a row of so many pixels takes."""
    return -(-width // 8)


def _read_info(folder: Path) -> PreparedInfo:
    try:
        return PreparedInfo.model_validate_json((folder / INFO).read_bytes())
    except OSError as error:
        raise BadPreparedSet("not a prepared set: no prepared.json", where=folder) from error
    except ValidationError as error:
        raise BadPreparedSet("prepared.json is damaged or of another version", where=folder) from error


TABLE_COLUMNS = (
    "patient",
    "finding",
    "group",
    "site",
    "slice",
    "rule",
    "infection_pixels",
    "lung_pixels",
    "labelled",
    "derived",
    "series_choice",
    "notes",
)
TECHNIQUE_COLUMNS = tuple(one.name for one in fields(Technique))
OWN_COLUMNS = (*TABLE_COLUMNS, *TECHNIQUE_COLUMNS, "slices")
"""Of ``table.csv``; the cohort's other columns follow"""
_OWN = "cohort_"
"""Before the name of a cohort's column that has one of ours"""


def table_row(patient: PreparedPatient) -> dict[str, str]:
    """One line of ``table.csv``."""
    values = {name: getattr(patient, name) for name in OWN_COLUMNS}
    row = {name: "" if value is None else str(value) for name, value in values.items()}
    row["derived"] = "yes" if patient.derived else "no"
    # A cohort may have a column of its own with one of these names.
    return row | {f"{_OWN}{name}" if name in row else name: value for name, value in patient.extra.items()}


def opacity_row(patient: PreparedPatient) -> dict[str, str]:
    """One line of ``opacity.csv``."""
    return {"patient": patient.patient, "opacity": "" if patient.opacity is None else repr(patient.opacity)}


def _with_opacity(folder: Path, patients: tuple[PreparedPatient, ...]) -> tuple[PreparedPatient, ...]:
    try:
        rows = read_csv(folder / OPACITY)
        told = {row["patient"]: float(row["opacity"]) if row["opacity"] else None for row in rows}
        if not all(share is None or 0 <= share <= 1 for share in told.values()):
            raise ValueError("a share that is none")
        return tuple(replace(patient, opacity=told[patient.patient]) for patient in patients)
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise BadPreparedSet("missing or damaged", where=folder / OPACITY) from error


def _count(text: str) -> int | None:
    return int(text) if text else None


def _read_table(folder: Path, ours: tuple[str, ...]) -> tuple[PreparedPatient, ...]:
    """:param ours: as ``prepared.json`` says"""
    try:
        rows = read_csv(folder / TABLE)
        if not ours:
            # A cohort's own column may be called like one that sets of earlier versions had not.
            told = bool(rows) and all(name in rows[0] for name in TECHNIQUE_COLUMNS)
            ours = (*TABLE_COLUMNS, *TECHNIQUE_COLUMNS) if told else TABLE_COLUMNS
        return tuple(
            PreparedPatient(
                patient=row["patient"],
                finding=row["finding"] or None,
                slice=int(row["slice"]),
                rule=row["rule"],  # type: ignore[arg-type]  # written by table_row
                infection_pixels=_count(row["infection_pixels"]),
                lung_pixels=_count(row["lung_pixels"]),
                labelled=row["labelled"],  # type: ignore[arg-type]
                derived=row["derived"] == "yes",
                group=row["group"] or None,
                site=row["site"] or None,
                series_choice=row.get("series_choice", ""),
                notes=row["notes"],
                slices=_count(row["slices"]) if "slices" in ours else None,
                extra={_cohort_name(name, ours): value for name, value in row.items() if name not in ours},
                **(_technique(row) if TECHNIQUE_COLUMNS[0] in ours else {}),
            )
            for row in rows
        )
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise BadPreparedSet("missing or damaged", where=folder / TABLE) from error


def _cohort_name(name: str, ours: tuple[str, ...]) -> str:
    """What the cohort calls a column of its own: strata go by that."""
    plain = name.removeprefix(_OWN)
    return plain if plain in ours and plain not in TABLE_COLUMNS else name


def _technique(row: Mapping[str, str]) -> dict[str, Any]:
    lengths = {name: millimetres(row[name]) for name in ("slice_mm", "pixel_mm", "slice_thickness_mm")}
    if any(row[name] and length is None for name, length in lengths.items()):
        raise ValueError("a length that is none")
    return {**lengths, "kernel": row["kernel"], "contrast": row["contrast"]}


def _read_folds(folder: Path, patients: Sequence[PreparedPatient]) -> tuple[Fold, ...]:
    path = folder / FOLDS_FILE
    try:
        rows = read_csv(path)
        parts = {
            (number, name): tuple(row["patient"] for row in rows if row[f"fold{number}"] == name)
            for number in FOLDS
            for name in ("train", "validation", "test")
        }
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise BadPreparedSet("missing or damaged", where=path) from error
    folds = tuple(
        Fold(number, parts[number, "train"], parts[number, "validation"], parts[number, "test"]) for number in FOLDS
    )
    names = sorted(patient.patient for patient in patients)
    for fold in folds:
        if sorted(fold.train + fold.validation + fold.test) != names:
            raise BadPreparedSet("the folds and the table name different patients", where=path)
    return folds
