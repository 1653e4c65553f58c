"""Features of patients that a user brings, from any model: an ``.npz`` of vectors by patient.

``numpy.savez("features.npz", patients=names, features=vectors)``, (N,) and (N, D); or one vector a patient under the
patient's name, ``numpy.savez("features.npz", **vectors)``.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput, PathMissing
from triplenet.evaluation.metrics import Floats
from triplenet.files import sha256_of
from triplenet.prepare.array_file import NPY_DAMAGE

FORM = 'numpy.savez("features.npz", patients=names, features=vectors)'
_PATIENTS, _FEATURES = "patients", "features"
_MOST_BYTES = 4 * 2**30
_SHOWN = 3


@dataclass(frozen=True)
class Features:
    """Of the patients of a prepared set."""

    name: str
    """Of the file, in small letters, digits and hyphens"""
    sha256: str
    """Of the file"""
    vectors: Floats
    """(N, D) by the rows of the prepared set; NaN for patients that are not in the file and need not be"""

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])


def read_features(path: Path | str, patients: Sequence[str], needed: npt.NDArray[np.bool_]) -> Features:
    """Read them; what the file says of others is left.

    :param patients: (N,) of the prepared set
    :param needed: (N,) who must be there
    :raises PathMissing: no such file
    :raises BadInput: not such a file; a patient lacks or is there twice; vectors of other shapes, or not finite
    """
    path = Path(path)
    if not path.is_file():
        raise PathMissing("no such file of features", where=path)
    names, vectors = _table(path, _arrays(path))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadInput(f"{_some(twice)} there more than once", where=path, do="leave one vector a patient")
    row_of = {name: row for row, name in enumerate(names)}
    lacking = [name for name, must in zip(patients, needed, strict=True) if must and name not in row_of]
    if lacking:
        raise BadInput(
            f"{len(lacking)} of {int(needed.sum())} patients without features, {', '.join(lacking[:_SHOWN])}"
            + (" and others" if len(lacking) > _SHOWN else ""),
            where=path,
            do="patients are called as in the prepared set's table.csv",
        )
    found = np.full((len(patients), vectors.shape[1]), np.nan)
    there = [row for row, name in enumerate(patients) if name in row_of]
    found[there] = vectors[[row_of[patients[row]] for row in there]]
    strange = [patients[row] for row in there if not np.isfinite(found[row]).all()]
    if strange:
        raise BadInput(f"features that are not finite: {_some(strange)} such", where=path)
    return Features(_name(path), sha256_of(path), found)


def _arrays(path: Path) -> list[tuple[str, npt.NDArray[np.generic]]]:
    """The arrays in the file with their names, one that is there twice twice."""
    try:
        with ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise BadInput(f"more than {_MOST_BYTES // 2**30} GiB of features", where=path)
            found = []
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    array = np.lib.format.read_array(stream, allow_pickle=False)
                found.append((entry.filename.removesuffix(".npy"), array))
    except (*NPY_DAMAGE, BadZipFile, zlib.error, NotImplementedError) as error:
        raise BadInput("not an .npz file of numbers by patient", where=path, do=f"write it with {FORM}") from error
    return found


def _table(path: Path, arrays: list[tuple[str, npt.NDArray[np.generic]]]) -> tuple[list[str], Floats]:
    """Names (N,) and vectors (N, D)."""
    named = dict(arrays)
    if set(named) == {_PATIENTS, _FEATURES} and len(arrays) == 2:
        names, vectors = named[_PATIENTS], named[_FEATURES]
        if names.ndim != 1 or names.dtype.kind not in "USiu":
            raise BadInput(f"{_PATIENTS} has shape {names.shape} of {names.dtype}, not (N,) of text", where=path)
        if vectors.ndim != 2 or len(vectors) != len(names) or not vectors.shape[1] or not _numbers(vectors):
            raise BadInput(
                f"{_FEATURES} has shape {vectors.shape} of {vectors.dtype}, not ({len(names)}, D) of numbers",
                where=path,
            )
        return names.astype(str).tolist(), vectors.astype(np.float64)
    if not arrays:
        raise BadInput("the file holds no features", where=path, do=f"write it with {FORM}")
    first = arrays[0][1].shape
    for name, vector in arrays:
        if vector.ndim != 1 or not vector.size or not _numbers(vector):
            raise BadInput(
                f"{name} has shape {vector.shape} of {vector.dtype}, not (D,) of numbers",
                where=path,
                do=f"one vector a patient, or {FORM}",
            )
        if vector.shape != first:
            raise BadInput(f"{name} has {vector.size} features and {arrays[0][0]} has {first[0]}", where=path)
    return [name for name, _ in arrays], np.stack([vector for _, vector in arrays]).astype(np.float64)


def _numbers(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype.kind in "fiub"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"{'patient' if len(names) == 1 else 'patients'} {shown} {'is' if len(names) == 1 else 'are'}"


def _name(path: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "file"
