"""Outputs that are no DICOM: volumes, the record in its three forms."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import nibabel
import numpy as np
import pydicom

from conformance import peers
from conformance.judging.reports import expected_numbers
from conformance.subjects import Subject
from outputs.dicom_results import Array, same_points
from triplenet.outputs.result_schema import published_schema


def nifti(points: Callable[[Path], tuple[Array, Array]]) -> Callable[[Subject, str], None]:
    """A judge of volumes by their points in the patient, LPS mm, and values."""

    def judge(subject: Subject, _: str) -> None:
        files = {path.name: path for path in subject.files("nifti")}
        evidence = subject.kind == "evidence for the class"
        expected_files = {"infection.nii.gz", "lung.nii.gz", "map.nii.gz"}
        assert files.keys() == expected_files | ({"class-evidence-map.nii.gz"} if evidence else set())
        for name, truth in (("infection", subject.lesions), ("lung", subject.lungs)):
            found, values = points(files[f"{name}.nii.gz"])
            assert same_points(found, truth) if len(truth) else len(found) == 0
            assert np.all(values == 1)
        found, values = points(files["map.nii.gz"])
        if len(subject.lesions):
            assert len(found) and np.all(values == 1)
            nearest = np.abs(subject.lesions[:, None] - found[None]).sum(axis=2).min(axis=0)
            assert nearest.max() < 0.05  # of lesions alone
            sizes = sorted(int(plane.lesion.sum()) for plane in subject.planes.values())
            if subject.orientation != "sagittal":
                assert len(found) == sizes[-1]  # the whole of the largest
        else:
            assert len(found) == 0

    return judge


def nifti_by_simpleitk(path: Path) -> tuple[Array, Array]:
    image, values = peers.by_simpleitk(path)
    mask = values != 0
    return peers.points_of_image(image, mask), values[mask]


def nifti_by_nibabel(path: Path) -> tuple[Array, Array]:
    image = nibabel.load(path)  # type: ignore[attr-defined]
    assert image.header["sform_code"] > 0 and image.header.get_xyzt_units()[0] == "mm"
    values = np.asarray(image.dataobj)
    points = nibabel.affines.apply_affine(image.affine, np.argwhere(values)) * [-1, -1, 1]
    return points, values[values != 0]


def json_record(subject: Subject, _: str) -> None:
    """By its published schema, and every value the record's; its numbers are true of the source."""
    (path,) = subject.files("json")
    told = json.loads(path.read_text())
    jsonschema.validate(told, json.loads(published_schema()), cls=jsonschema.Draft202012Validator)
    assert told == json.loads(subject.result.record.model_dump_json())
    assert told["predicted"] == ("positive" if len(subject.lesions) else "negative")
    expected_numbers(subject)


def csv_line(subject: Subject, _: str) -> None:
    """The numbers of the JSON."""
    (path,) = subject.files("csv")
    record = subject.result.record
    with path.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["predicted"] == record.predicted and int(row["slice"]) == record.slice.from_feet
    for one in record.classes:
        assert abs(float(row[f"p_{one.name}"]) - one.probability) < 1e-6
    both = record.measures.both
    for name, told in (("infected_ml", both.infection_ml), ("infected_share", both.infected_share)):
        found = [float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
        np.testing.assert_allclose(found, [told.estimate, told.low, told.high], atol=1e-6)


def _leaves(told: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a record by its path; lists of plain values as they are."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield from _leaves(value, f"{place}.{name}" if place else name)
    elif isinstance(told, list) and any(isinstance(one, (dict, list)) for one in told):
        for at, value in enumerate(told):
            yield from _leaves(value, f"{place}.{at}")
    else:
        yield place, told


def html_page(subject: Subject, _: str) -> None:
    """Every entry of the record stands on the page, which loads nothing, and tells nobody's name."""
    (path,) = subject.files("html")
    page = peers.by_chromium(path)
    record = subject.result.record
    likeliest = max(one.probability for one in record.classes)
    assert page.headings == [f"{record.predicted} {likeliest:.2f}"]
    assert page.sections == ["answer", "maps", "numbers", "record"]
    assert all(one.startswith(("#", "data:image/")) for one in page.loaded)
    pictures = sum(one.startswith("data:") for one in page.loaded)
    assert pictures == 3 + (record.class_evidence is not None)  # the slice, its maps, their colours
    words = " ".join(page.words)
    assert words.count(record.intended_use) == 3  # at its head, at its foot, in the record
    assert all(words.count(one) == 2 for one in record.warnings)  # beside the answer, in the record
    name = str(pydicom.dcmread(subject.source[0]).get("PatientName", "")).split("^")[0]
    assert not name or name not in words
    shown = {row[0]: row[1] for row in page.rows if len(row) == 2}
    assert shown["Chosen by"] == record.slice.rule
    expected = dict(_leaves(json.loads(record.model_dump_json())))
    assert expected.keys() <= shown.keys()
    for place, value in expected.items():
        if isinstance(value, str):
            assert shown[place] == (value or "–")
        elif isinstance(value, list):
            assert shown[place] == ("; ".join(map(str, value)) or "–")
        else:
            assert shown[place] == json.dumps(value)
