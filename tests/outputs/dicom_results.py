"""Results of small DICOM scans, and the readers that judge the objects made of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom import Dataset, dcmread
from scipy.spatial import cKDTree

from prepare.synthetic import chest
from scan.dicom_builder import enhanced_dataset, save, write_series
from toy_model import MARKED_HU, marker
from triplenet.inference import Keep, Result, predict
from triplenet.outputs import FORMATS, write
from triplenet.outputs.source_modules import MODULES, TYPE_2

Array = npt.NDArray[Any]
#: Formats that are DICOM objects.
DICOM = tuple(name for name, one in FORMATS.items() if one.is_dicom)
FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.8.498.77"
#: A header with what an acquisition leaves in it.
HEADER = {
    "FrameOfReferenceUID": FRAME_OF_REFERENCE,
    "PositionReferenceIndicator": "",
    "Manufacturer": "A maker",
    "ManufacturerModelName": "A scanner",
    "PatientSex": "F",
    "PatientBirthDate": "19700102",
    "StudyDate": "20200304",
    "StudyTime": "101112",
    "StudyID": "S1",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Doctor^Good",
    "StudyDescription": "Chest CT",
    "PatientAge": "050Y",
    "PatientWeight": "71.5",
    "SeriesNumber": 4,
}
ALL = Keep(segments=True, instances=True, shown=True)


def chest_hu(lesion: tuple[int, int, int, int] | None = (4, 40, 28, 5), size: int = 96) -> Array:
    """(Z, Y, X) int16 of six slices of 4 mm, from the feet, with what the toy model takes for infection."""
    hu, _, infection, _ = chest(lesion=lesion, size=size)
    return np.where(infection > 0, MARKED_HU, hu).astype(np.int16)


def source(folder: Path, hu: Array | None = None, **options: Any) -> list[Path]:
    """A series of the chest."""
    settings: dict[str, Any] = {"origin": (-190.0, -180.5, -300.25), "gap_mm": 4.0, "spacing": (4.0, 4.0)}
    return write_series(folder, chest_hu() if hu is None else hu, **settings | {"thickness": 4.0} | HEADER | options)


def enhanced_source(folder: Path, hu: Array, **options: Any) -> Path:
    """The same as one enhanced object."""
    settings: dict[str, Any] = {"origin": (-190.0, -180.5, -300.25), "gap_mm": 4.0}
    dataset = enhanced_dataset(hu, **settings | HEADER | options)
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [4.0, 4.0]
    return save(dataset, folder / "enhanced.dcm")


def result_of(scan: Path, **options: Any) -> Result:
    """What the toy model says of it, with all that any output needs."""
    model = options.pop("model", None) or marker()
    return predict(scan, model, **{"keep": ALL, **options})


def written(result: Result, folder: Path, *formats: str) -> dict[str, Dataset]:
    """The objects of these formats, read back, by format."""
    write(result, folder, formats)
    return {
        name: dcmread(folder / FORMATS[name].files[0])
        for name in formats
        if (folder / FORMATS[name].files[0]).is_file()
    }


def plain(dataset: Dataset, keyword: str) -> object:
    """A value for comparison; missing and empty are told apart."""
    if keyword not in dataset:
        return "not there"
    value = dataset[keyword].value
    if isinstance(value, pydicom.Sequence):
        return [item.to_json_dict() for item in value]
    return "" if value is None else str(value)


def other_modules(header: Dataset, made: Dataset) -> list[str]:
    """Attributes of patient, study, de-identification and trial that are not as the source has them."""
    found = []
    for keyword in chain.from_iterable(MODULES.values()):
        expected = plain(header, keyword)
        if keyword in TYPE_2 and expected == "not there":
            expected = ""
        if plain(made, keyword) != expected:
            found.append(keyword)
    return found


def need(tool: str) -> str:
    """The path of a program; without it the test is skipped."""
    found = shutil.which(tool) or shutil.which(tool, path=Path(sys.executable).parent)
    if found is None:
        pytest.skip(f"{tool} is not installed (apt-get install dcmtk dicom3tools orthanc, pip install dcmqi)")
    return found


def source_pixels(
    paths: Sequence[Path],
) -> Iterator[tuple[str, int, Array, Dataset, Array]]:
    """Of every frame of the source: UID and number, first pixel's position, a header with the plane, and HU (Y, X)."""
    for path in paths:
        one = dcmread(path)
        if "SharedFunctionalGroupsSequence" not in one:
            position = np.array(one.ImagePositionPatient, float)
            yield one.SOPInstanceUID, 1, position, one, one.pixel_array.astype(int) + int(one.RescaleIntercept)
            continue
        plane = Dataset()
        (group,) = one.SharedFunctionalGroupsSequence or one.PerFrameFunctionalGroupsSequence[:1]
        plane.update(group.PlaneOrientationSequence[0])
        plane.update(group.PixelMeasuresSequence[0])
        for number, frame in enumerate(one.PerFrameFunctionalGroupsSequence, start=1):
            position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            yield one.SOPInstanceUID, number, position, plane, one.pixel_array[number - 1].astype(int) - 1024


def points_of(mask: Array, position: Array, plane: Dataset) -> Array:
    """(n, 3) where the pixels of a mask (Y, X) lie in the patient, mm, as PS3.3 C.7.6.2.1.1 has it."""
    cosines = np.array(plane.ImageOrientationPatient, float)
    row_mm, column_mm = map(float, plane.PixelSpacing)
    rows, columns = np.nonzero(mask)
    return position + np.outer(columns * column_mm, cosines[:3]) + np.outer(rows * row_mm, cosines[3:])


def same_points(found: Array, expected: Array) -> bool:
    """Whether both are the same points, in any order, to 0.01 mm."""
    if len(found) != len(expected):
        return False
    apart, partner = cKDTree(expected).query(found)
    return bool(apart.max() < 0.01 and len(set(partner.tolist())) == len(expected))


def errors_of(tool: str, *files: Path, options: Sequence[str] = ()) -> list[str]:
    """What a validator of dicom3tools calls an error."""
    done = subprocess.run([need(tool), *options, *map(str, files)], capture_output=True, check=False)
    told = (done.stdout + done.stderr).decode("utf-8", "replace")
    return [line for line in told.splitlines() if line.startswith("Error")]
