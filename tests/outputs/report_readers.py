"""Readers of structured reports that did not write them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from outputs.dicom_results import need

JAR = Path("/usr/share/java/pixelmed.jar")
UNLIMITED = [f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("TotalOp", "ExprOp", "ExprGrp")]
#: What PixelMed says of a report by mistake or of what its templates are too old for; a reason each.
ALLOWED = {
    # Once one group of a report is of a segment it takes every group for one; ours of the scan says it is TID 1501.
    "Error: Template 1411 VolumetricROIMeasurements/[Row 1] CONTAINER (125007,DCM,\"Measurement Group\")/[Row 5]",
    "Error: Template 1411 VolumetricROIMeasurements/[Row 1] CONTAINER (125007,DCM,\"Measurement Group\")/[Row 7]",
    "Error: Template 1411 VolumetricROIMeasurements/[Row 1] CONTAINER (125007,DCM,\"Measurement Group\")/[Row 10]",
    # Context group 100 is a suggestion (BCID), and a hospital's own procedure code, as this of the tests, is in none.
    "Code (CTCHEST,99LOCAL,\"CT of the chest\") not found in context group 100",
    # A letter: the standard's own tables write Series and series.
    "has different code meaning (\"Source Series for Segmentation\")",
    # Rows of TID 1501 and 1411 that are newer than its templates.
    "TEXT (111001,DCM,\"Algorithm Name\"): Content Item not in template",
    "TEXT (111003,DCM,\"Algorithm Version\"): Content Item not in template",
    "TEXT (122405,DCM,\"Algorithm Manufacturer\"): Content Item not in template",
    "CODE (276214006,SCT,\"Finding category\"): Content Item not in template",
    "IMAGE (121112,DCM,\"Source of Measurement\"): Content Item not in template",
    "IMAGE (130401,DCM,\"Visual explanation\"): Content Item not in template",
    # The templates may be extended: whether there is an infection, the class of a probability, and words.
    "CODE (233604007,SCT,\"Pneumonia\"): Content Item not in template",
    "CODE (112001,DCM,\"Opacity\"): Content Item not in template",
    "TEXT (121106,DCM,\"Comment\"): Content Item not in template",
}  # fmt: skip


def pixelmed_remarks(path: Path) -> list[str]:
    """What PixelMed's validator of templates remarks beyond what is allowed."""
    java = need("java")
    if not JAR.is_file():
        pytest.skip("PixelMed is not installed (apt-get install pixelmed-apps)")
    validator = "com.pixelmed.validate.DicomSRValidator"
    done = subprocess.run([java, *UNLIMITED, "-cp", str(JAR), validator, str(path)], capture_output=True, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    assert "Found Root Template TID_1500 (MeasurementReport)" in lines and "IOD validation complete" in lines
    remarks = [line for line in lines if line.startswith(("Error", "Warning"))]
    return [line for line in remarks if not any(part in line for part in ALLOWED)]


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
