"""Which series of a scan a prepared set was made of, and why, stands in it; the cohort table may name another."""

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from prepare.synthetic import chest, write
from scan.dicom_builder import write_series
from triplenet import scan
from triplenet.cohort import read_cohort, write_cohort
from triplenet.errors import BadCohort
from triplenet.prepare import PreparedSet
from triplenet.prepare.build import prepare
from triplenet.prepare.patient import Options

SMALL = Options(size=48, derive_lung=True)
STUDY = {"spacing": (4, 4), "gap_mm": 4.0}
THIN, THICK = "1.2.826.0.1.3680043.8.498.11", "1.2.826.0.1.3680043.8.498.12"


@pytest.fixture
def folder(tmp_path):
    """Ten patients; the first two have a thin and a thick series, in which the lungs are brighter."""
    rows = []
    for number in range(10):
        hu, _, _, geometry = chest(lesion=(4, 40, 20 + 2 * number, 4 + number % 3))
        if number < 2:
            where = tmp_path / f"P{number}"
            write_series(where / "thin", hu, series=THIN, SeriesNumber=1, thickness=1.0, **STUDY)
            brighter = np.where(hu < -700, hu + 150, hu)
            write_series(where / "thick", brighter, series=THICK, SeriesNumber=2, thickness=5.0, **STUDY)
            rows.append({"patient": f"P{number}", "scan": where.name})
        else:
            rows.append(write(tmp_path, f"P{number}", hu, geometry))
        rows[-1]["finding"] = "typical"
    write_cohort(tmp_path / "cohort.csv", rows)
    return tmp_path


def table(folder, **cells):
    """The cohort table with these cells of the first patient."""
    with (folder / "cohort.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    rows[0] |= cells
    write_cohort(folder / "changed.csv", [{name: row.get(name, "") for name in rows[0]} for row in rows])
    return read_cohort(folder / "changed.csv")


def make(cohort, out, options=SMALL, **more):
    return prepare(cohort, out, options, jobs=1, allow_leakage=True, **more)


def test_the_choice_and_its_reasons_stand_in_the_table_and_no_uid_does(folder):
    made = make(table(folder, series=THICK), folder / "set")
    assert made.patients[0].series_choice.startswith("asked for by its UID: axial, chest")
    assert made.patients[2].series_choice == ""  # a file of one volume
    assert made.patients[1].series_choice.startswith("chosen of 2 series: axial, chest, original, 1 mm slices")
    text = (folder / "set" / "table.csv").read_text()
    assert "1 mm slices" in text
    assert "498.1" not in text
    assert PreparedSet.open(folder / "set").patients == made.patients


def test_the_only_series_has_its_reasons_too(folder):
    made = make(table(folder, scan="P0/thick"), folder / "set")
    assert made.patients[0].series_choice.startswith("the only series: axial, chest, original, 5 mm slices")


def test_a_series_named_in_the_table_is_the_one_that_is_read(folder):
    best = make(table(folder), folder / "best")
    named = make(table(folder, series=THICK), folder / "named")
    hu = scan.read(folder / "P0", series=THICK).hu[named.patients[0].slice]
    grey = scan.window(hu, -1000, -500).reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.abs(grey - named.images[0]).max() <= 1
    assert np.abs(best.images[0].astype(int) - named.images[0]).max() > 50
    np.testing.assert_array_equal(best.images[1:], named.images[1:])


def test_naming_another_series_makes_the_sample_anew(folder):
    """A run that was stopped does not go on with the other series' sample."""

    def stop(count, total):
        if count == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(table(folder), folder / "set", SMALL, jobs=1, on_progress=stop)
    named = make(table(folder, series=THICK), folder / "set")
    assert named.patients[0].series_choice.startswith("asked for")


@pytest.mark.parametrize("cells", [{"series": "1.2.3.4"}, {"series": THIN, "scan": "P0.nii"}])
def test_a_series_that_is_not_there_is_a_fault_of_the_table(folder, cells):
    found = scan.read(folder / "P0")
    scan.write_nifti(folder / "P0.nii", found.hu, found.geometry)
    with pytest.raises(BadCohort) as caught:
        make(table(folder, **cells), folder / "set")
    assert [(fault.row, fault.column, fault.code) for fault in caught.value.faults] == [(2, "series", "SERIES_UNKNOWN")]
    assert not (folder / "set").exists()


def test_a_best_series_without_hu_gives_way_and_the_table_says_so(folder):
    for path in (folder / "P0" / "thin").iterdir():
        path.unlink()
    hu, *_ = chest()
    write_series(folder / "P0" / "thin", hu + 1024, series=THIN, SeriesNumber=1, thickness=1.0, **STUDY)
    made = make(table(folder), folder / "set")
    assert "5 mm slices" in made.patients[0].series_choice
    assert "; series 1 scored" in made.patients[0].series_choice
    assert "NOT_HU" in made.patients[0].series_choice


def test_derived_lungs_are_counted(folder):
    _, lung, _, _ = chest()
    scan.write_nifti(folder / "lung.nii", lung, scan.open(folder / "P0").geometry)
    made = make(table(folder, lung="lung.nii"), folder / "set")
    assert [patient.derived for patient in made.patients] == [False] + [True] * 9
    assert json.loads((folder / "set" / "prepared.json").read_text())["derived_lungs"] == 9


def test_a_column_of_the_cohort_does_not_replace_one_of_the_prepared_table(folder):
    made = make(table(folder, slice="99", notes="seen in clinic", rule="mine", age="61"), folder / "set")
    again = PreparedSet.open(folder / "set").patients[0]
    assert (again.slice, again.rule, again.notes) == (made.patients[0].slice, "lung", made.patients[0].notes)
    assert again.slice != 99
    assert again.extra == {
        "cohort_slice": "99",
        "cohort_notes": "seen in clinic",
        "cohort_rule": "mine",
        "age": "61",
    }


def test_a_series_with_a_gap_is_rejected_unless_gaps_are_allowed(folder):
    for kind in ("thin", "thick"):
        (folder / "P0" / kind / "IM0002.dcm").unlink()  # of the slices 0 to 5 from the feet, number 4
    refused = make(table(folder), folder / "refused")
    assert "P0" not in [patient.patient for patient in refused.patients]
    with (folder / "refused" / "rejected.csv").open() as stream:
        assert [(row["patient"], row["code"]) for row in csv.DictReader(stream)] == [("P0", "SERIES_GAP")]
    allowed = prepare(table(folder), folder / "set", replace(SMALL, allow_gaps=True), jobs=1, allow_leakage=True)
    assert allowed.patients[0].patient == "P0"
    assert "1 slice missing at" in allowed.patients[0].notes


def test_a_segmentations_segments_are_told_by_the_sites_names_and_what_was_joined_stands_in_the_table(folder):
    pytest.importorskip("highdicom", reason="highdicom writes the segmentation")
    from scan.test_segmentation import segment

    study = folder / "study"
    hu, lung, infection, _ = chest(lesion=(4, 40, 28, 5))
    write_series(study, hu, series=THIN, SeriesNumber=1, thickness=1.0, PatientID="WHO", **STUDY)
    drawn = np.where(infection > 0, 2, lung).astype(np.uint8)
    segment(folder / "seg.dcm", study, drawn, names=("Aerated", "Dense"), coded=False)
    cohort = table(folder, scan="study", infection="seg.dcm", lung="seg.dcm")
    with pytest.raises(BadCohort, match="cannot be told"):
        make(cohort, folder / "unknown")
    made = make(cohort, folder / "skipped", skip_bad_masks=True)
    assert "P0" not in {patient.patient for patient in made.patients}
    own = replace(SMALL, segments=scan.SegmentNames(lung=("aerated",), infection=("dense",)))
    made = make(cohort, folder / "told", own)  # kept samples of other names are not taken
    first = made.patients[0]
    assert "infection mask: infection is segment 2 'Dense', without 1 'Aerated'" in first.notes
    assert "lung mask: lung is segment 1 'Aerated' with 2 'Dense'" in first.notes
    assert (first.slice, first.infection_pixels) == (4, int((infection[4] > 0).sum()))
    digest = hashlib.sha256(b"WHO").hexdigest().encode()
    for path in (folder / "told").rglob("*"):
        assert b"WHO" not in path.read_bytes() and digest not in path.read_bytes(), path.name
