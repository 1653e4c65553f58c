"""MIDRC-RICORD becomes a cohort: findings of its readers, masks on the grid of the series that they drew on."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from datasets.ricord_builder import HU, LESIONS, SQUARE, Ricord
from datasets.test_datasets import passed, run_verb
from scan.dicom_builder import body
from triplenet import scan
from triplenet.catalog import TASKS
from triplenet.cohort import read_cohort
from triplenet.datasets import import_dataset, import_notes
from triplenet.errors import BadDataset, OutputExists

A, B = "MIDRC-RICORD-1A-419639-000082", "MIDRC-RICORD-1A-SITE2-000007"
TESTED_NEGATIVE = "MIDRC-RICORD-1B-440808-000046"


@pytest.fixture
def ricord(tmp_path, monkeypatch):
    """Studies are read in this process, which begins no other one for each of these tests."""
    monkeypatch.setattr("triplenet.datasets.ricord.attempts", lambda read, tasks, _jobs: (read(task) for task in tasks))
    return Ricord(tmp_path / "src")


def imported(ricord, tmp_path, dataset="ricord", **options):
    """The table of what was written so far."""
    path = import_dataset(dataset, ricord.write(**options), tmp_path / "out", jobs=1)
    return read_cohort(path, tasks=[TASKS["covid"]] if dataset == "ricord-covid" else [TASKS["appearance"]])


def mask_of(patient):
    """The infection (Z, Y, X) on the patient's series, which has to be the one it was drawn on."""
    series = scan.open(patient.scan, patient.series)
    mask, geometry = scan.read_mask(patient.infection, like=series.geometry)
    assert geometry is series.geometry
    assert series.geometry.shape == HU.shape
    return mask


def studies(tmp_path):
    with (tmp_path / "out" / "studies.csv").open(newline="") as stream:
        return {row["study"]: row for row in csv.DictReader(stream)}


def test_a_row_is_a_study_with_its_patient_as_group_and_its_hospital_as_site(ricord, tmp_path):
    for study, patient, finding in ((10, A, "Typical"), (9, A, "Atypical appearance"), (1, B, "indeterminate")):
        sops = ricord.series(patient, study)
        ricord.draws(study, sops[2])
        if finding not in (label["name"] for label in ricord.labels):
            ricord.labels.append({"id": f"L_{finding}", "name": finding, "annotationMode": None})
        ricord.says(study, finding)
    rows = imported(ricord, tmp_path)
    # Study 1.2.9 comes before 1.2.10: by the numbers of their UIDs.
    assert [(p.patient, p.finding, p.group, p.site) for p in rows] == [
        (A, "atypical", A, "419639"),
        (f"{A}-2", "typical", A, "419639"),
        (B, "indeterminate", B, "SITE2"),
    ]
    assert rows.patients[1].series == "1.2.10.1"


def test_contours_become_pixels_of_their_own_slices(ricord, tmp_path):
    sops = ricord.series(A, 1)
    ricord.says(1, "Typical")
    ricord.draws(1, sops[1])
    ricord.draws(1, sops[4], vertices=[[0, 0], [1, 0], [1, 2], [0, 2]])
    (patient,) = imported(ricord, tmp_path)
    mask = mask_of(patient)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [1, 4]
    assert mask[1, 5:9, 4:8].all() and mask[1].sum() == 16
    assert mask[4, 0:2, 0].all() and mask[4].sum() == 2


def test_infection_is_the_union_of_three_labels_and_no_other(ricord, tmp_path):
    sops = ricord.series(A, 1)
    ricord.says(1, "Indeterminate")
    for column, label in enumerate(LESIONS):
        ricord.draws(1, sops[3], label, [[column, 0], [column + 1, 0], [column + 1, 1], [column, 1]])
    ricord.draws(1, sops[3], LESIONS[1], [[1, 0], [2, 0], [2, 2], [1, 2]], reader="U_2")
    (patient,) = imported(ricord, tmp_path)
    assert [tuple(place) for place in np.argwhere(mask_of(patient)).tolist()] == [
        (3, 0, 0), (3, 0, 1), (3, 0, 2), (3, 1, 1)
    ]  # fmt: skip


def test_polygons_and_masks_with_holes_are_drawn_too(ricord, tmp_path):
    sops = ricord.series(A, 1)
    ricord.says(1, "Typical")
    modes = {"Infectious cavity": "polygon", "Infectious opacity": "mask"}
    for label in ricord.labels:
        label["annotationMode"] = modes.get(label["name"], label["annotationMode"])
    ricord.draws(1, sops[0], "Infectious cavity")
    hole = [[5, 6], [6, 6], [6, 7], [5, 7]]
    ricord.draws(1, sops[5], data={"foreground": [SQUARE, [[0, 0], [2, 0], [2, 1], [0, 1]]], "background": [hole]})
    (patient,) = imported(ricord, tmp_path)
    mask = mask_of(patient)
    assert (mask[0].sum(), mask[5].sum(), mask[5, 6, 5]) == (16, 16 + 2 - 1, 0)


def test_null_data_marks_no_pixel_and_is_counted(ricord, tmp_path):
    sops = ricord.series(A, 1)
    ricord.says(1, "Typical")
    ricord.draws(1, sops[0])
    ricord.draws(1, sops[1], data=None)
    ricord.draws(1, sops[2], LESIONS[4], data=None)
    (patient,) = imported(ricord, tmp_path)
    assert np.flatnonzero(mask_of(patient).any(axis=(1, 2))).tolist() == [0]
    assert studies(tmp_path)["1.2.1"]["without_contour"] == "1"
    assert any("without a contour: 1" in note for note in import_notes(tmp_path / "out"))


def test_only_negative_for_pneumonia_without_infectious_marks_is_none(ricord, tmp_path):
    for study, label, data in ((1, None, None), (2, LESIONS[0], None), (3, LESIONS[4], {"vertices": SQUARE})):
        sops = ricord.series(f"MIDRC-RICORD-1A-1-{study}", study)
        ricord.says(study, "Negative for pneumonia")
        if label:
            ricord.draws(study, sops[0], label, data=data)
    sops = ricord.series("MIDRC-RICORD-1A-1-4", 4)
    ricord.says(4, "Negative for pneumonia")
    ricord.draws(4, sops[0])
    ricord.series("MIDRC-RICORD-1A-1-5", 5)
    ricord.says(5, "Typical")
    rows = imported(ricord, tmp_path)
    assert [p.no_infection for p in rows] == [True, False, True, False, False]
    assert [p.infection is not None for p in rows] == [False, False, False, True, False]
    notes = import_notes(tmp_path / "out")
    assert "studies that are negative for pneumonia with infectious opacities marked: 2 (see studies.csv)" in notes


def test_readers_who_disagree_are_listed_and_leave_the_finding_empty(ricord, tmp_path):
    for study in (1, 2, 3):
        sops = ricord.series(f"MIDRC-RICORD-1A-1-{study}", study)
        ricord.says(study, "Typical", "U_1")
        ricord.says(study, "Typical" if study == 3 else "Indeterminate", "U_2")
        if study == 1:
            ricord.draws(study, sops[0])
    first, third = imported(ricord, tmp_path)
    assert (first.patient, first.finding, first.infection is not None) == ("MIDRC-RICORD-1A-1-1", None, True)
    assert (third.patient, third.finding) == ("MIDRC-RICORD-1A-1-3", "typical")
    lines = studies(tmp_path)
    assert {study: (row["readers"], row["agree"]) for study, row in lines.items()} == {
        "1.2.1": ("U_1: typical; U_2: indeterminate", "no"),
        "1.2.2": ("U_1: typical; U_2: indeterminate", "no"),
        "1.2.3": ("U_1: typical; U_2: typical", "yes"),
    }
    assert list(passed(tmp_path / "out")) == ["scans/MIDRC-RICORD-1A-1-2/1.2.2/1"]
    assert "studies whose readers disagree, without a finding: 2 (see studies.csv)" in import_notes(tmp_path / "out")


def test_the_axial_series_with_the_most_drawings_is_used(ricord, tmp_path):
    thin = ricord.series(A, 1, 1, thickness=1.0)  # the better one by its header
    thick = ricord.series(A, 1, 2, thickness=5.0)
    coronal = ricord.series(A, 1, 3, across=(1, 0, 0), down=(0, 0, -1))
    ricord.says(1, "Typical")
    ricord.draws(1, thin[0])
    for sop in (thick[1], thick[2], *coronal[:3]):
        ricord.draws(1, sop)
    (patient,) = imported(ricord, tmp_path)
    assert patient.series == "1.2.1.2"
    assert np.flatnonzero(mask_of(patient).any(axis=(1, 2))).tolist() == [1, 2]
    assert studies(tmp_path)["1.2.1"]["contours_on_other_series"] == "4"


def test_of_series_without_drawings_the_one_that_scan_would_open_is_named(ricord, tmp_path):
    ricord.series(A, 1, 1, thickness=5.0)
    ricord.series(A, 1, 2, thickness=1.0)
    ricord.says(1, "Typical")
    (patient,) = imported(ricord, tmp_path)
    assert patient.series == "1.2.1.2" == scan.open(ricord.folder).key
    assert patient.infection is None and not patient.no_infection


def test_folders_mean_nothing(ricord, tmp_path):
    """Studies of two patients mixed in one folder, files without a telling name, the JSON somewhere below."""
    for study, patient in ((1, A), (2, B)):
        sops = ricord.series(patient, study, place="flat")
        ricord.says(study, "Typical")
        ricord.draws(study, sops[study])
    (ricord.folder / "flat" / "deep").mkdir()
    first, second = imported(ricord, tmp_path, name="flat/deep/whatever.txt")
    assert first.scan.samefile(second.scan) and first.scan.samefile(ricord.folder / "flat")
    for patient, slice_ in ((first, 1), (second, 2)):
        assert np.flatnonzero(mask_of(patient).any(axis=(1, 2))).tolist() == [slice_]


def test_a_mask_lies_on_a_series_whose_slices_run_down_and_are_uneven(ricord, tmp_path):
    # Rows to the front: the normal points to the feet, so that the first slice by the normal is the highest.
    down = ricord.series(A, 1, 1, hu=HU, across=(1, 0, 0), down=(0, -1, 0))
    gap = np.delete(body(7, 24, 20), 5, axis=0)
    uneven = ricord.series(B, 2, 1, hu=gap[:5])
    last = ricord.series(B, 2, 1, hu=gap[5:], origin=(-14.0, -12.5, 112.0), place="elsewhere/last")
    ricord.says(1, "Typical")
    ricord.says(2, "Typical")
    ricord.draws(1, down[4])
    ricord.draws(2, uneven[4])
    first, second = imported(ricord, tmp_path)
    assert np.flatnonzero(mask_of(first).any(axis=(1, 2))).tolist() == [4]
    series = scan.open(second.scan, second.series, allow_gaps=True)
    mask, geometry = scan.read_mask(second.infection, like=series.geometry)
    assert geometry is series.geometry and not geometry.is_even
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [4]
    assert len(last) == 1


def test_a_contour_on_the_double_of_a_slice_lies_on_that_slice(ricord, tmp_path):
    ricord.series(A, 1)
    double = ricord.series(A, 1, hu=HU[2:3], origin=(-14.0, -12.5, 104.0), place="again")  # the same slice again
    assert double == ["1.2.1.1.1"]
    again = ricord.folder / "again" / "1-1-0.dcm"
    dataset = dcmread(again)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.1.1.77"
    dataset.save_as(again)
    ricord.says(1, "Typical")
    ricord.draws(1, "1.2.1.1.77")
    ricord.draws(1, "1.2.1.1.3", vertices=[[0, 0], [1, 0], [1, 1], [0, 1]])
    (patient,) = imported(ricord, tmp_path)
    mask = mask_of(patient)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [2]
    assert mask.sum() == 17


def test_an_existing_output_is_refused_before_anything_is_read(ricord, tmp_path):
    (ricord.folder).mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(OutputExists):  # the folder is empty, which would be refused otherwise
        import_dataset("ricord", ricord.folder, tmp_path / "out", jobs=1)


def test_an_unknown_image_is_refused_by_its_name(ricord, tmp_path):
    sops = ricord.series(A, 1)
    ricord.says(1, "Typical")
    ricord.draws(1, sops[0])
    ricord.draws(1, "1.2.1.1.99", data=None)
    with pytest.raises(BadDataset, match=r"image 1\.2\.1\.1\.99, which its study 1\.2\.1 has not"):
        imported(ricord, tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_image_of_another_study_is_unknown(ricord, tmp_path):
    ricord.series(A, 1)
    other = ricord.series(B, 2)
    ricord.draws(1, other[0])
    with pytest.raises(BadDataset, match="which its study"):
        imported(ricord, tmp_path)


def test_an_annotated_study_that_is_not_there_is_told(ricord, tmp_path):
    ricord.series(A, 1)
    ricord.says(1, "Typical")
    ricord.says(7, "Atypical")
    ricord.draws(7, "1.2.7.1.1")
    assert len(imported(ricord, tmp_path)) == 1
    assert studies(tmp_path)["1.2.7"]["patient"] == ""
    assert "annotated studies that are not in the folder: 1 (see studies.csv)" in import_notes(tmp_path / "out")


def test_an_unknown_label_is_refused_by_its_name(ricord, tmp_path):
    ricord.series(A, 1)
    ricord.labels.append({"id": "L_Halo sign", "name": "Halo sign", "annotationMode": None})
    ricord.says(1, "Typical")
    assert len(imported(ricord, tmp_path)) == 1  # a label that nobody gave says nothing
    ricord.says(1, "Halo sign")
    with pytest.raises(BadDataset, match="unknown label 'Halo sign'"):
        import_dataset("ricord", ricord.write(), tmp_path / "again", jobs=1)
    ricord.annotations[-1]["labelId"] = "L_lost"
    with pytest.raises(BadDataset, match="'L_lost', which no label group names"):
        import_dataset("ricord", ricord.write(), tmp_path / "again", jobs=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {"vertices": [[1, 2], [3]]}}, "damaged contour on the image 1.2.1.1.1"),
        ({"data": {"vertices": [[1, 2], [3, float("nan")]]}}, "damaged contour"),
        ({"data": {"points": SQUARE}}, "damaged contour"),
        ({"vertices": [[30, 30], [40, 30], [40, 40]]}, "lies beyond the image"),
        ({"height": 512, "width": 512}, "was drawn on 512 x 512 pixels, the image has 20 x 24"),
        ({"SOPInstanceUID": None}, "is drawn on no image"),
    ],
)
def test_a_drawing_that_cannot_be_meant_is_refused(ricord, tmp_path, change, said):
    sops = ricord.series(A, 1)
    ricord.draws(1, sops[0], **change)
    with pytest.raises(BadDataset, match=said):
        imported(ricord, tmp_path)


def test_a_box_is_no_contour(ricord, tmp_path):
    sops = ricord.series(A, 1)
    ricord.labels[0]["annotationMode"] = "bbox"
    ricord.draws(1, sops[0], data={"x": 1, "y": 1, "width": 3, "height": 3})
    with pytest.raises(BadDataset, match="drawn as 'bbox'"):
        imported(ricord, tmp_path)


def test_the_annotations_are_known_by_their_content(ricord, tmp_path):
    ricord.series(A, 1)
    ricord.says(1, "Typical")
    (ricord.folder / "other.json").write_text(json.dumps({"labelGroups": []}))
    (ricord.folder / "broken.json").write_text('{"labelGroups": [], "datasets"')
    assert len(imported(ricord, tmp_path, name="annotations")) == 1
    assert {"other.json", "broken.json"} <= set(passed(tmp_path / "out"))
    ricord.write("second.json")
    with pytest.raises(BadDataset, match=r"2 files of annotations \(annotations, second.json\)"):
        import_dataset("ricord", ricord.folder, tmp_path / "again", jobs=1)
    for name in ("annotations", "second.json"):
        (ricord.folder / name).unlink()
    with pytest.raises(BadDataset, match="no annotations"):
        import_dataset("ricord", ricord.folder, tmp_path / "again", jobs=1)


def test_a_damaged_annotation_file_is_refused(ricord, tmp_path):
    ricord.series(A, 1)
    ricord.says(1, "Typical")
    ricord.annotations[0]["labelId"] = 5
    with pytest.raises(BadDataset, match=r"datasets\.1\.annotations\.0\.labelId"):
        imported(ricord, tmp_path)


def test_1b_is_never_negative_and_has_a_table_of_its_own_with_1a(ricord, tmp_path):
    sops = ricord.series(A, 1)
    ricord.series(TESTED_NEGATIVE, 2)
    ricord.series(B, 3)
    ricord.says(1, "Negative for pneumonia")
    ricord.draws(1, sops[0], LESIONS[3])
    ricord.says(2, "Negative for pneumonia")
    (only,) = imported(ricord, tmp_path)
    assert only.patient == A
    reasons = passed(tmp_path / "out")
    assert "not negative for pneumonia" in reasons[f"scans/{TESTED_NEGATIVE}/1.2.2/1"]
    assert reasons[f"scans/{B}/1.2.3/1"] == "a study that the annotations do not name"
    out = import_dataset("ricord-covid", ricord.folder, tmp_path / "covid", jobs=1)
    rows = {p.patient: p for p in read_cohort(out, tasks=[TASKS["covid"]])}
    assert {name: p.finding for name, p in rows.items()} == {
        A: "COVID-19", B: "COVID-19", TESTED_NEGATIVE: "non-COVID-19"
    }  # fmt: skip
    assert rows[A].no_infection
    (ricord.folder / "MIDRC-RICORD-1a_annotations.json").unlink()
    out = import_dataset("ricord-covid", ricord.folder, tmp_path / "without", jobs=1)
    assert [p.infection for p in read_cohort(out)] == [None, None, None]


def test_1b_is_not_none_even_where_somebody_called_it_negative(ricord, tmp_path):
    ricord.series(TESTED_NEGATIVE, 2)
    ricord.says(2, "Negative for pneumonia")
    (row,) = imported(ricord, tmp_path, "ricord-covid")
    assert row.finding == "non-COVID-19" and not row.no_infection


def test_a_study_that_cannot_be_used_costs_itself(tmp_path):
    ricord = Ricord(tmp_path / "src")  # read in processes of their own, as everybody's are
    ricord.series(A, 1)
    ricord.series(B, 2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ricord.says(1, "Typical")
    ricord.says(2, "Typical")
    said = run_verb("ricord", ricord.write(), tmp_path / "out", "--jobs", "1")
    assert said.exit_code == 3, said.output
    assert [p.patient for p in read_cohort(tmp_path / "out" / "cohort.csv")] == [A]
    with (tmp_path / "out" / "rejected.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["patient"], row["code"]) == (B, "NO_CT_SERIES")
    assert "note, RICORD 1A as published has 110 patients, 120 studies, 229 series; here are 2 patients" in said.stderr


def test_a_drawn_image_that_is_damaged_costs_its_study(ricord, tmp_path):
    for study, patient in ((1, A), (2, B)):
        sops = ricord.series(patient, study)
        ricord.says(study, "Typical")
        ricord.draws(study, sops[3])
    cut = ricord.folder / f"scans/{A}/1.2.1/1/1-1-3.dcm"
    cut.write_bytes(cut.read_bytes()[:-100])
    assert [p.patient for p in imported(ricord, tmp_path)] == [B]
    with (tmp_path / "out" / "rejected.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["patient"], row["code"]) == (A, "UNREADABLE_FILE")


def test_what_is_no_study_of_ricord_is_passed_over(ricord, tmp_path):
    ricord.series(A, 1)
    ricord.series("SOMEBODY", 2)
    ricord.says(1, "Typical")
    (ricord.folder / "LICENSE").write_text("CC BY-NC 4.0")
    (ricord.folder / "more.zip").write_bytes(b"PK\x03\x04")
    (ricord.folder / "._IM1").write_bytes(b"x")
    damaged = ricord.folder / "damaged.dcm"
    damaged.write_bytes((ricord.folder / f"scans/{A}/1.2.1/1/1-1-0.dcm").read_bytes()[:400])
    assert len(imported(ricord, tmp_path)) == 1
    reasons = passed(tmp_path / "out")
    assert reasons["scans/SOMEBODY/1.2.2/1"] == "a study of neither RICORD 1A nor 1B by its PatientID"
    assert {"LICENSE", "more.zip", "._IM1", "damaged.dcm"} <= set(reasons)
    with pytest.raises(BadDataset, match="no DICOM study whose PatientID"):
        import_dataset("ricord", ricord.folder / "scans" / "SOMEBODY", tmp_path / "none", jobs=1)


def test_a_series_that_two_studies_share_is_refused(ricord, tmp_path):
    ricord.series(A, 1)
    ricord.series(B, 1, place="elsewhere")
    ricord.says(1, "Typical")
    with pytest.raises(BadDataset, match="another patient's"):
        imported(ricord, tmp_path)


@pytest.mark.real_data
def test_real_studies_of_ricord_with_invented_annotations(tmp_path):
    folder = os.environ.get("TRIPLENET_REAL_DATA")
    if not folder:
        pytest.skip("TRIPLENET_REAL_DATA does not name the folder with real scans")
    rows = {
        p.patient: p for p in read_cohort(import_dataset("ricord", Path(folder) / "ricord", tmp_path / "out", jobs=1))
    }
    assert {name: (p.finding, p.site) for name, p in rows.items()} == {
        "MIDRC-RICORD-1A-419639-000082": (None, "419639"),
        "MIDRC-RICORD-1A-440808-000006": ("indeterminate", "440808"),
        "MIDRC-RICORD-1A-440808-000008": ("atypical", "440808"),
    }
    for patient, drawn in zip(rows.values(), (5, 4, 4), strict=True):
        series = scan.open(patient.scan, patient.series)
        mask, geometry = scan.read_mask(patient.infection, like=series.geometry)
        assert geometry is series.geometry
        areas = mask.sum(axis=(1, 2))
        # Twelve corners on an ellipse of 40 x 25 pixels: 12 / 2 x sin(30 degrees) x 40 x 25 = 3000.
        assert (areas > 0).sum() == drawn
        assert np.abs(areas[areas > 0] - 3000.0).max() < 30
