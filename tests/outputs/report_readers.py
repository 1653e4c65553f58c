"""Readers of structured reports that did not write them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset

from outputs.dicom_results import need


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
