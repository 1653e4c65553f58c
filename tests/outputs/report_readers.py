"""Readers of structured reports that did not write them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydicom import Dataset

from outputs.dicom_results import need

JAR = Path("/usr/share/java/pixelmed.jar")
UNLIMITED = [f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("TotalOp", "ExprOp", "ExprGrp")]
#: Of what PixelMed's templates are too old for, or what may extend them; a reason each.
NEWER = (
    # Rows of TID 1501 and 1411 that are newer than its templates.
    'TEXT (111001,DCM,"Algorithm Name"): Content Item not in template',
    'TEXT (111003,DCM,"Algorithm Version"): Content Item not in template',
    'TEXT (122405,DCM,"Algorithm Manufacturer"): Content Item not in template',
    'CODE (276214006,SCT,"Finding category"): Content Item not in template',
    'IMAGE (121112,DCM,"Source of Measurement"): Content Item not in template',
    'IMAGE (130401,DCM,"Visual explanation"): Content Item not in template',
    # The templates may be extended: whether there is an infection, and words.
    'CODE (233604007,SCT,"Pneumonia"): Content Item not in template',
    'CODE (112001,DCM,"Opacity"): Content Item not in template',
    'TEXT (121106,DCM,"Comment"): Content Item not in template',
)
_GROUP = 'Error: Template 1411 VolumetricROIMeasurements/[Row 1] CONTAINER (125007,DCM,"Measurement Group")'
_SCAN = "within 1.10.1: "
#: What it says of a report beside that, by mistake; a reason each.
ALLOWED = (
    *NEWER,
    # Once one group of a report is of a segment it takes every group for one; the first, of the scan, is TID 1501.
    f'{_GROUP}/[Row 5] SCOORD (111030,DCM,"Image Region"): {_SCAN}',
    f'{_GROUP}/[Row 7] IMAGE (121191,DCM,"Referenced Segment"): {_SCAN}',
    f'{_GROUP}/[Row 10] SCOORD3D (121231,DCM,"Volume Surface"): {_SCAN}',
    # Context group 100 is a suggestion (BCID), and a hospital's own procedure code, as this of the tests, is in none.
    'Code (CTCHEST,99LOCAL,"CT of the chest") not found in context group 100',
    # A letter: the standard's own tables write Series and series.
    'has different code meaning ("Source Series for Segmentation")',
)


def pixelmed_remarks(path: Path, allowed: Sequence[str] = ALLOWED) -> list[str]:
    """What PixelMed's validator of templates remarks beyond what is allowed."""
    java = need("java")
    if not JAR.is_file():
        pytest.skip("PixelMed is not installed (apt-get install pixelmed-apps)")
    validator = "com.pixelmed.validate.DicomSRValidator"
    done = subprocess.run([java, *UNLIMITED, "-cp", str(JAR), validator, str(path)], capture_output=True, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    assert "Found Root Template TID_1500 (MeasurementReport)" in lines and "IOD validation complete" in lines
    remarks = [line for line in lines if line.startswith(("Error", "Warning"))]
    return [line for line in remarks if not any(part in line for part in allowed)]


def dumped(path: Path) -> str:
    """A report in words by dcmtk, which refuses one that it cannot read."""
    done = subprocess.run([need("dsrdump"), "+Pl", "+Pc", str(path)], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def items(dataset: Dataset, code: str) -> Iterator[Dataset]:
    """The content items of a name, anywhere below."""
    for item in dataset.get("ContentSequence", ()):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == code:
            yield item
        yield from items(item, code)


def number(item: Dataset) -> tuple[float, str]:
    """Value and unit of a measurement."""
    (measured,) = item.MeasuredValueSequence
    return float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue
