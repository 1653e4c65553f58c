"""RICORD in small: DICOM studies of phantoms, and an annotation file in the form of MD.ai's export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydicom import dcmread

from scan.dicom_builder import body, write_series

HU = body(6, 24, 20)
LESIONS = (
    "Infectious opacity",
    "Infectious TIB/micronodules",
    "Infectious cavity",
    "Noninfectious nodule/mass",
    "Atelectasis",
    "Other noninfectious opacity",
)
APPEARANCES = ("Typical", "Indeterminate", "Atypical", "Negative for pneumonia")
SQUARE = [[4.0, 5.0], [8.0, 5.0], [8.0, 9.0], [4.0, 9.0]]
"""x from 4 to 8 and y from 5 to 9: 16 pixels, the first of them at row 5, column 4"""


class Ricord:
    """A folder with studies and their annotations; UIDs are ``1.2.<study>.<series>.<slice>``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.annotations: list[dict[str, Any]] = []
        self.labels = [{"id": f"L_{name}", "name": name, "annotationMode": "freeform"} for name in LESIONS]
        self.labels += [{"id": f"L_{name}", "name": name, "annotationMode": None} for name in APPEARANCES]

    def series(self, patient: str, study: int, number: int = 1, *, hu=HU, place: str = "", **options: Any) -> list[str]:
        """Write a series; returns the SOPInstanceUIDs in the order of its slices, from the feet up."""
        uid = f"1.2.{study}"
        folder = self.folder / (place or f"scans/{patient}/{uid}/{number}")
        names = [f"{study}-{number}-{k}.dcm" for k in range(len(hu))]
        paths = write_series(
            folder,
            hu,
            names=names,
            PatientID=patient,
            StudyInstanceUID=uid,
            series=f"{uid}.{number}",
            SeriesNumber=number,
            **options,
        )
        sops = [f"{uid}.{number}.{k + 1}" for k in range(len(paths))]
        for path, sop in zip(paths, sops, strict=True):
            dataset = dcmread(path)
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = sop
            dataset.save_as(path)
        return sops

    def says(self, study: int, finding: str, reader: str = "U_1") -> None:
        """A reader's label of a study."""
        self._add(finding, study, reader=reader)

    def draws(self, study: int, sop: str, label: str = LESIONS[0], vertices: Any = SQUARE, **more: Any) -> None:
        """A contour on an image; ``data`` instead of ``vertices`` as it is."""
        self._add(label, study, sop, **{"data": {"vertices": vertices}, "height": 24, "width": 20, **more})

    def _add(self, label: str, study: int, sop: str | None = None, *, reader: str = "U_1", **more: Any) -> None:
        series = None if sop is None else sop.rpartition(".")[0]
        self.annotations.append(
            {
                "id": f"A_{len(self.annotations) + 1}",
                "labelId": f"L_{label}",
                "StudyInstanceUID": f"1.2.{study}",
                "SeriesInstanceUID": series,
                "SOPInstanceUID": sop,
                "createdById": reader,
                "data": None,
                "height": None,
                "width": None,
                **more,
            }
        )

    def write(self, name: str = "MIDRC-RICORD-1a_annotations.json") -> Path:
        """Write the annotations; returns the folder."""
        half = len(self.annotations) // 2
        export = {
            "id": "x",
            "name": "generated",
            "labelGroups": [{"id": "G_1", "labels": self.labels[:3]}, {"id": "G_2", "labels": self.labels[3:]}],
            "datasets": [
                {"id": "D_1", "studies": [], "annotations": self.annotations[:half]},
                {"id": "D_2", "studies": [], "annotations": self.annotations[half:]},
            ],
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(json.dumps(export), encoding="utf-8")
        return self.folder
