"""A cohort becomes a prepared set: the right slice, the right labels, whole or not at all."""

import csv
import hashlib
import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
import SimpleITK as sitk

from poison import POISON, RIDDLE, poison_readers
from prepare.synthetic import chest, write
from scan.dicom_builder import write_series
from toy_prepared import write_toy
from triplenet import scan
from triplenet.catalog import TASKS
from triplenet.cohort import read_cohort, write_cohort
from triplenet.errors import BadCohort, BadPreparedSet, CohortError, Leakage, OutputExists, UnknownFinding
from triplenet.files import sha256_of, write_csv
from triplenet.prepare import PreparedSet, kept_samples
from triplenet.prepare.build import prepare
from triplenet.prepare.kept_samples import sample_name
from triplenet.prepare.masks import MaskFault
from triplenet.prepare.patient import Options
from triplenet.prepare.store import OWN_COLUMNS, TABLE_COLUMNS, PreparedInfo

SMALL = Options(size=48)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty patients: a lesion in slice 4 of the even ones, none in the odd ones."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = []
    for number in range(20):
        hu, lung, infection, geometry = chest(lesion=(4, 40, 28, 5) if number % 2 == 0 else None)
        rows.append(write(folder, f"P{number}", hu, geometry, lung=lung, infection=infection))
        rows[-1]["finding"] = "typical" if number % 2 == 0 else "negative"
    write_cohort(folder / "cohort.csv", rows)
    return folder


def make(cohort, out, options, **more):
    """The patients are the same chest with the same noise, which ``prepare`` would rightly refuse."""
    return prepare(cohort, out, options, **{"allow_leakage": True, **more})


def copy(folder, tmp_path):
    target = tmp_path / "cohort"
    shutil.copytree(folder, target)
    return target


def change(path, row, **cells):
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    rows[row].update(cells)
    write_cohort(path, rows)
    return path


def test_slice_labels_and_folds_are_what_the_cohort_says(folder, tmp_path):
    made = make(read_cohort(folder / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    assert [(p.slice, p.rule) for p in made.patients[:2]] == [(4, "infection"), (2, "lung")]
    assert set(np.unique(made.masks[0])) == {0, 1, 2}
    assert set(np.unique(made.masks[1])) == {0, 1}
    assert made.labels(TASKS["binary"]).tolist() == [1, 0] * 10
    hu, _, infection, _ = chest(lesion=(4, 40, 28, 5))
    grey = scan.window(hu[4], -1000, -500).reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.abs(grey - made.images[0]).max() <= 1
    assert made.patients[0].infection_pixels == infection.sum()
    for fold in made.folds:
        assert len(fold.train) + len(fold.validation) + len(fold.test) == 20
    assert not list(tmp_path.glob(".*"))  # nothing is left behind


def test_the_table_tells_how_each_scan_was_made(folder, tmp_path):
    """Of DICOM what its header says, of NIfTI its grid; of a slice alone no distance."""
    target = copy(folder, tmp_path)
    hu, _, infection, geometry = chest(lesion=(4, 40, 28, 5))
    dicom = {"thickness": 2.0, "ConvolutionKernel": ["I50f", "3"], "ContrastBolusAgent": "Iomeron"}
    write_series(target / "dicom", hu, spacing=(3.5, 3.5), gap_mm=3.0, **dicom)
    write(target, "P4", hu[4:5], replace(geometry, shape=(1, 96, 96)), infection=infection[4:5])
    table = change(target / "cohort.csv", 2, scan="dicom", infection="", lung="")
    change(table, 4, lung="")
    change(table, 6, kernel="a cohort's own", slices="many")
    made = make(read_cohort(table), tmp_path / "set", replace(SMALL, derive_lung=True), jobs=1)
    nifti, series, alone, own = (made.patients[row] for row in (0, 2, 4, 6))
    step, pixel = geometry.spacing_mm[0], geometry.spacing_mm[1]
    assert (nifti.slice_mm, nifti.pixel_mm) == pytest.approx((step, pixel), abs=1e-4)
    assert (nifti.slice_thickness_mm, nifti.kernel, nifti.contrast) == (None, "", "")
    assert (series.slice_mm, series.pixel_mm, series.slice_thickness_mm) == (3.0, 3.5, 2.0)
    assert (series.kernel, series.contrast) == ("I50f/3", "yes")
    assert (alone.slice_mm, alone.pixel_mm) == (None, pytest.approx(pixel, abs=1e-4))
    assert (own.kernel, own.extra["kernel"]) == ("", "a cohort's own")
    assert [one.slices for one in (nifti, series, alone, own)] == [len(hu), len(hu), 1, len(hu)]
    assert own.extra["slices"] == "many"


@pytest.mark.parametrize("lacks", [OWN_COLUMNS[len(TABLE_COLUMNS) :], ("slices",)])
def test_a_set_of_an_earlier_version_opens_and_keeps_its_hash(folder, tmp_path, lacks):
    """Its table says nothing of how scans were made; a column of the cohort may be called so."""
    make(read_cohort(folder / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    table, told = tmp_path / "set" / "table.csv", tmp_path / "set" / "prepared.json"
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    kept = [name for name in rows[0] if name not in lacks]
    assert len(kept) + len(lacks) == len(rows[0])
    cohorts = next(name for name in ("kernel", "slices") if name in lacks)
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*kept, cohorts], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | {cohorts: "7"} for row in rows)
    info = json.loads(told.read_text())
    assert info.pop("columns") == list(OWN_COLUMNS)
    info["files"]["table.csv"] = sha256_of(table)
    told.write_text(json.dumps(info))
    opened = PreparedSet.open(tmp_path / "set", verify=True)
    assert {patient.extra[cohorts] for patient in opened.patients} == {"7"}
    assert {(patient.kernel, patient.slices, patient.contrast) for patient in opened.patients} == {("", None, "")}
    assert ({patient.slice_mm for patient in opened.patients} == {None}) == ("slice_mm" in lacks)
    names = ("table.csv", "images.npy", "masks.npy", "folds.csv")
    lines = "".join(f"{name} {sha256_of(tmp_path / 'set' / name)}\n" for name in names)
    assert opened.info.sha256 == hashlib.sha256(f"{lines}window -1000 -500\n".encode()).hexdigest()


@pytest.mark.parametrize("length", ["-1", "nan", "inf", "thick", "1e9"])
def test_a_length_that_is_none_is_damage(tmp_path, length):
    prepared = write_toy(tmp_path / "set")
    table = prepared.folder / "table.csv"
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    rows[3]["slice_mm"] = length
    write_csv(table, rows)
    with pytest.raises(BadPreparedSet, match="damaged"):
        PreparedSet.open(prepared.folder)


def test_patients_of_one_group_stay_on_one_side_of_every_fold(folder, tmp_path):
    target = copy(folder, tmp_path)
    for row in (0, 6, 12, 18):
        change(target / "cohort.csv", row, group="a family")
    made = make(read_cohort(target / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    family = {"P0", "P6", "P12", "P18"}
    for fold in made.folds:
        assert any(family <= set(part) for part in (fold.train, fold.validation, fold.test))
    assert {patient.patient for patient in made.patients if patient.group == "a family"} == family


def test_folds_by_site_are_those_of_the_tables_sites_and_the_set_says_so(folder, tmp_path):
    table = copy(folder, tmp_path) / "cohort.csv"
    for row in range(20):
        change(table, row, site="abc"[min(row // 8, 2)])
    made = make(read_cohort(table), tmp_path / "set", SMALL, jobs=1, scheme="site")
    tested = [tuple(f"P{number}" for number in numbers) for numbers in (range(8), range(8, 16), range(16, 20))]
    assert [fold.test for fold in made.folds] == tested
    opened = PreparedSet.open(tmp_path / "set")
    assert (opened.info.fold_scheme, opened.folds) == ("site", made.folds)
    change(table, 3, site="")
    with pytest.raises(CohortError, match="without a site"):
        make(read_cohort(table), tmp_path / "other", SMALL, jobs=1, scheme="site")
    assert not (tmp_path / "other").exists()


def test_the_result_does_not_depend_on_the_number_of_processes(folder, tmp_path):
    cohort = read_cohort(folder / "cohort.csv")
    one = make(cohort, tmp_path / "one", SMALL, jobs=1)
    two = make(cohort, tmp_path / "two", SMALL, jobs=2)
    assert one.info == two.info


def test_a_flipped_scan_gives_the_same_sample(folder, tmp_path):
    """The file's own axes do not matter: the patient is turned the same way up."""
    target = copy(folder, tmp_path)
    hu, lung, infection, geometry = chest(lesion=(4, 40, 28, 5))
    affine = geometry.affine.copy()
    affine[:3, 3] += affine[:3, 0] * 5 + affine[:3, 1] * 95
    affine[:3, :2] *= -1
    turned = scan.Geometry(geometry.shape, affine)
    write(target, "P0", hu[::-1, ::-1], turned, lung=lung[::-1, ::-1], infection=infection[::-1, ::-1])
    straight = make(read_cohort(folder / "cohort.csv"), tmp_path / "straight", SMALL, jobs=1)
    flipped = make(read_cohort(target / "cohort.csv"), tmp_path / "flipped", SMALL, jobs=1)
    assert flipped.patients[0] == straight.patients[0]
    np.testing.assert_array_equal(flipped.images[0], straight.images[0])
    np.testing.assert_array_equal(flipped.masks[0], straight.masks[0])


def test_it_goes_on_where_it_stopped(folder, tmp_path):
    cohort = read_cohort(folder / "cohort.csv")

    def stopped_after(patients):
        """When each kept sample was written, by its name."""

        def stop(count, total):
            if count == patients:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make(cohort, tmp_path / "set", SMALL, jobs=1, on_progress=stop)
        assert not (tmp_path / "set").exists()
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".set.partial").iterdir()}

    kept = stopped_after(3)
    assert 3 <= len(kept) < 20
    after = stopped_after(20)
    assert len(after) == 20 and kept.items() <= after.items()  # those that were there were not written again
    assert len(make(cohort, tmp_path / "set", SMALL, jobs=1)) == 20
    assert not (tmp_path / ".set.partial").exists()


def test_kept_work_of_other_options_or_another_row_is_not_used(folder):
    patient = read_cohort(folder / "cohort.csv").patients[0]
    options = [
        SMALL,
        Options(size=64),
        Options(size=48, window_hu=(-1350.0, 150.0)),
        Options(size=48, derive_lung=True),
    ]
    names = {sample_name(patient, one) for one in options}
    names |= {sample_name(replace(patient, **change), SMALL) for change in ({"no_infection": True}, {"lung": None})}
    assert len(names) == len(options) + 2
    assert sample_name(patient, Options(size=48)) in names


def test_kept_work_that_tells_less_of_a_scan_is_not_used(folder, monkeypatch):
    """As an earlier version left it."""
    patient = read_cohort(folder / "cohort.csv").patients[0]
    now = sample_name(patient, SMALL)
    told = fields(kept_samples.Sample)
    monkeypatch.setattr(kept_samples, "fields", lambda _: told[:-1])
    assert sample_name(patient, SMALL) != now


def test_kept_work_is_not_used_for_a_scan_that_has_changed_below_its_folder(folder, tmp_path):
    """A header with detached voxels, and a file that was damaged when it was first read."""
    target = copy(folder, tmp_path)
    whole = (target / "P3.nii").read_bytes()
    (target / "P3.nii").write_bytes(whole[:5000])
    image = sitk.ReadImage(target / "P2.nii")
    sitk.WriteImage(sitk.Cast(image, sitk.sitkInt16) + 150, target / "P2.mhd")
    table = change(target / "cohort.csv", 2, scan="P2.mhd")

    def stop(count, total):
        if count == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(read_cohort(table), tmp_path / "set", SMALL, jobs=1, on_progress=stop)
    (target / "P3.nii").write_bytes(whole)
    voxels = np.frombuffer((target / "P2.raw").read_bytes(), "<i2") - 150
    (target / "P2.raw").write_bytes(voxels.astype("<i2").tobytes())
    made = make(read_cohort(table), tmp_path / "set", SMALL, jobs=1)
    fresh = make(read_cohort(folder / "cohort.csv"), tmp_path / "fresh", SMALL, jobs=1)
    assert [p.patient for p in made.patients] == [p.patient for p in fresh.patients]
    assert np.array_equal(made.images, fresh.images)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_scan_that_ends_its_reader_costs_its_patient_and_says_where_to_look(folder, tmp_path, monkeypatch, jobs):
    target = copy(folder, tmp_path)
    (target / "P3.nii").write_bytes(POISON)
    (target / "P5.nii").write_bytes(RIDDLE)
    poison_readers(tmp_path, monkeypatch)
    made = make(read_cohort(target / "cohort.csv"), tmp_path / "set", SMALL, jobs=jobs)
    assert [p.patient for p in made.patients] == [f"P{number}" for number in range(20) if number not in (3, 5)]
    with (tmp_path / "set" / "rejected.csv").open() as stream:
        lost, unforeseen = csv.DictReader(stream)
    assert (lost["patient"], lost["scan"], lost["code"]) == ("P3", "P3.nii", "READER_LOST")
    assert "SIGSEGV" in lost["reason"] and "set.readers.log" in lost["reason"]
    assert (unforeseen["patient"], unforeseen["code"]) == ("P5", "READER_FAULT")
    log = (tmp_path / "set.readers.log").read_text()
    assert "ZeroDivisionError" in log and "sitecustomize.py" in log
    assert "sitecustomize.py" not in unforeseen["reason"]


def test_the_set_does_not_tell_where_it_was_made(folder, tmp_path):
    target = tmp_path / "Anna  Example" / "cohort"
    target.parent.mkdir()
    shutil.copytree(folder, target)
    (target / "P3.nii").write_bytes((target / "P3.nii").read_bytes()[:5000])
    make(read_cohort(target / "cohort.csv"), target.parent / "set", SMALL, jobs=1)
    assert "P3.nii" in (target.parent / "set" / "rejected.csv").read_text()
    for path in (target.parent / "set").iterdir():
        assert b"Anna" not in path.read_bytes() and str(tmp_path).encode() not in path.read_bytes()


def test_a_damaged_scan_costs_its_patient_not_the_set(folder, tmp_path):
    target = copy(folder, tmp_path)
    (target / "P3.nii").write_bytes((target / "P3.nii").read_bytes()[:5000])
    made = make(read_cohort(target / "cohort.csv"), tmp_path / "set", SMALL, jobs=2)
    assert [p.patient for p in made.patients] == [f"P{number}" for number in range(20) if number != 3]
    with (tmp_path / "set" / "rejected.csv").open() as stream:
        (rejected,) = csv.DictReader(stream)
    assert (rejected["patient"], rejected["scan"], rejected["code"]) == ("P3", "P3.nii", "UNREADABLE_FILE")


def test_masks_of_another_shape_are_faults_of_the_table_and_nothing_is_written(folder, tmp_path):
    target = copy(folder, tmp_path)
    _, lung, _, geometry = chest()
    for name in ("P3-lung.nii", "P5-lung.nii"):
        apart = geometry.affine.copy()
        apart[:3, 3] += 300.0  # beside the scan
        scan.write_nifti(target / name, lung[:, :80], scan.Geometry((6, 80, 96), apart))
    with pytest.raises(BadCohort, match="does not lie on its scan") as caught:
        make(read_cohort(target / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    assert [(f.row, f.column, f.code) for f in caught.value.faults] == [
        (5, "lung", "MASK_MISMATCH"),
        (7, "lung", "MASK_MISMATCH"),
    ]
    assert not (tmp_path / "set").exists()


def test_an_infection_mask_that_is_the_lungs_is_a_fault_of_the_table(folder, tmp_path):
    target = copy(folder, tmp_path)
    (target / "P3-infection.nii").write_bytes((target / "P3-lung.nii").read_bytes())
    path = change(target / "cohort.csv", 3, infection="P3-infection.nii")
    with pytest.raises(BadCohort, match="100% of the lung") as caught:
        make(read_cohort(path), tmp_path / "set", SMALL, jobs=1)
    assert [(f.row, f.column, f.code) for f in caught.value.faults] == [(5, "infection", "BAD_MASK")]


def test_bad_masks_cost_their_patients_where_that_is_wanted(folder, tmp_path):
    target = copy(folder, tmp_path)
    (target / "P3-lung.nii").write_bytes(b"no mask")
    cohort = read_cohort(target / "cohort.csv")
    made = make(cohort, tmp_path / "set", SMALL, jobs=1, skip_bad_masks=True)
    assert "P3" not in {patient.patient for patient in made.patients}
    assert len(made.patients) == len(cohort) - 1 and made.info.rejected == 1
    (row,) = csv.DictReader((tmp_path / "set" / "rejected.csv").open())
    assert row["patient"] == "P3" and row["reason"].startswith("lung mask: ")


def test_a_mask_that_is_not_there_costs_its_patient_where_that_is_wanted(folder, tmp_path):
    target = copy(folder, tmp_path)
    path = change(target / "cohort.csv", 3, infection="gone.nii")
    with pytest.raises(BadCohort) as caught:
        read_cohort(path)
    assert [(f.row, f.column, f.code) for f in caught.value.faults] == [(5, "infection", "PATH_MISSING")]
    cohort = read_cohort(path, missing_masks=True)
    with pytest.raises(BadCohort) as caught:
        make(cohort, tmp_path / "set", SMALL, jobs=1)
    assert [(f.row, f.column, f.code) for f in caught.value.faults] == [(5, "infection", "PATH_MISSING")]
    made = make(cohort, tmp_path / "set", SMALL, jobs=1, skip_bad_masks=True)
    assert len(made.patients) == len(cohort) - 1 and made.info.rejected == 1
    (row,) = csv.DictReader((tmp_path / "set" / "rejected.csv").open())
    assert (row["patient"], row["code"]) == ("P3", "PATH_MISSING")
    assert row["reason"] == "infection mask: no such file: gone.nii"
    with pytest.raises(BadCohort, match="scan"):
        read_cohort(change(path, 3, scan="gone.nii"), missing_masks=True)


def test_a_mask_at_another_resolution_of_the_same_space_is_resampled_and_said_so(folder, tmp_path):
    target = copy(folder, tmp_path)
    _, lung, _, geometry = chest()
    affine = geometry.affine.copy()
    affine[:3, 1:3] *= 2
    affine[:3, 3] += (geometry.affine[:3, 1] + geometry.affine[:3, 2]) / 2
    scan.write_nifti(target / "P1-lung.nii", lung[:, ::2, ::2], scan.Geometry((6, 48, 48), affine))
    made = make(read_cohort(target / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    assert "resampled" in made.patients[1].notes
    exact = make(read_cohort(folder / "cohort.csv"), tmp_path / "exact", SMALL, jobs=1)
    assert (made.masks[1] == exact.masks[1]).mean() > 0.95  # but for the edge


def test_what_the_masks_do_not_tell_is_unlabelled(folder, tmp_path):
    target = copy(folder, tmp_path)
    change(target / "cohort.csv", 0, lung="")
    change(target / "cohort.csv", 2, infection="")
    change(target / "cohort.csv", 1, infection="none")
    made = make(read_cohort(target / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    only_infection, no_infection, only_lung = made.masks[0], made.masks[1], made.masks[2]
    assert set(np.unique(only_infection)) == {2, 255}
    assert set(np.unique(no_infection)) == {0, 1}
    assert set(np.unique(only_lung)) == {0, 255}
    assert [p.labelled for p in made.patients[:4]] == ["infection", "all", "lung", "all"]


def test_without_any_mask_a_slice_is_chosen_by_a_derived_lung_only_on_request(folder, tmp_path):
    target = copy(folder, tmp_path)
    path = change(target / "cohort.csv", 1, lung="", infection="")
    made = make(read_cohort(path), tmp_path / "refused", SMALL, jobs=1)
    assert "P1" not in [p.patient for p in made.patients]
    derived = make(read_cohort(path), tmp_path / "derived", Options(size=48, derive_lung=True), jobs=1)
    assert derived.patients[1].derived and derived.patients[1].slice == 2
    assert "derived" in derived.patients[1].notes


def test_frames_are_the_evenly_spaced_slices(folder, tmp_path):
    made = make(read_cohort(folder / "cohort.csv"), tmp_path / "set", Options(size=48, frames=8, frame_size=32), jobs=1)
    assert made.frames.shape == (20, 8, 32, 32)
    # Frames of six slices are 0 1 1 2 3 4 4 5; the lesion, all that sets both patients apart, lies in slice 4.
    differ = (made.frames[0] != made.frames[1]).any(axis=(1, 2))
    assert np.flatnonzero(differ).tolist() == [5, 6]


def test_the_lungs_of_the_frames_are_kept_as_bits_where_the_masks_have_them(folder, tmp_path):
    options = Options(size=48, frames=6, frame_size=48, frame_lungs=True)
    made = make(read_cohort(folder / "cohort.csv"), tmp_path / "set", options, jobs=1)
    assert made.frame_lungs.shape == (20, 6, 48, 6)
    assert made.info.frame_lungs and "frame_lungs.npy" in made.info.files
    bits = np.unpackbits(made.frame_lungs[0], axis=-1)
    _, lung, infection, _ = chest(lesion=(4, 40, 28, 5))
    expected = (lung | infection)[:, 1::2, 1::2]
    assert (bits == expected).mean() > 0.99  # nearest neighbour may take either of two pixels at an edge
    plain = make(read_cohort(folder / "cohort.csv"), tmp_path / "plain", Options(size=48, frames=6), jobs=1)
    assert plain.frame_lungs is None


def test_frames_without_a_lung_mask_get_a_derived_one_only_on_request(folder, tmp_path):
    target = copy(folder, tmp_path)
    path = change(target / "cohort.csv", 0, lung="")
    options = Options(size=48, frames=6, frame_size=48, frame_lungs=True)
    made = make(read_cohort(path), tmp_path / "refused", options, jobs=1)
    assert "P0" not in [p.patient for p in made.patients]
    derived = make(read_cohort(path), tmp_path / "derived", replace(options, derive_lung=True), jobs=1)
    _, lung, _, _ = chest(lesion=(4, 40, 28, 5))
    bits = np.unpackbits(derived.frame_lungs[0], axis=-1).astype(bool)
    wanted = lung[:, 1::2, 1::2] > 0
    assert 2 * (bits & wanted).sum() / (bits.sum() + wanted.sum()) > 0.9


def test_an_existing_output_is_left_alone(folder, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "precious").write_text("x")
    with pytest.raises(OutputExists):
        make(read_cohort(folder / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["precious"]


def test_a_damaged_prepared_set_is_refused(folder, tmp_path):
    made = make(read_cohort(folder / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    data = bytearray((tmp_path / "set" / "images.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "set" / "images.npy").write_bytes(data)
    with pytest.raises(BadPreparedSet, match=r"images\.npy"):
        PreparedSet.open(made.folder, verify=True)
    info = (tmp_path / "set" / "prepared.json").read_text()
    for name in ("../cohort.csv", "i" * 5000 + ".npy"):  # files elsewhere, or that no system can have
        (tmp_path / "set" / "prepared.json").write_text(info.replace("images.npy", name))
        with pytest.raises(BadPreparedSet, match=r"prepared\.json"):
            PreparedSet.open(made.folder, verify=True)
    (tmp_path / "set" / "prepared.json").write_text(info)
    (tmp_path / "set" / "masks.npy").write_bytes(bytes(data[:200]))
    with pytest.raises(BadPreparedSet, match=r"masks\.npy"):
        PreparedSet.open(made.folder)


def test_the_sets_hash_is_of_all_that_decides_a_training_on_it():
    files = dict.fromkeys(
        ("table.csv", "images.npy", "masks.npy", "folds.csv", "opacity.csv", "rejected.csv"), "0" * 64
    )
    info = PreparedInfo(
        made_with="0", cohort_sha256="0" * 64, window_hu=(-1000, -500), size=48, patients=9, files=files
    )
    assert info.model_copy(update={"window_hu": (-1350, 150)}).sha256 != info.sha256
    for name in files:
        other = info.model_copy(update={"files": files | {name: "1" * 64}}).sha256
        assert (other == info.sha256) == (name in ("opacity.csv", "rejected.csv"))
    assert info.model_copy(update={"files": files | {"frames.npy": "0" * 64}}).sha256 != info.sha256


def test_a_task_that_does_not_know_a_finding_says_so(folder, tmp_path):
    made = make(read_cohort(folder / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    with pytest.raises(UnknownFinding, match="severity"):
        made.labels(TASKS["severity"])


def test_the_same_image_on_two_sides_of_a_fold_stops_the_run(folder, tmp_path):
    with pytest.raises(Leakage, match=r"P0 and P\d+ \(1\.000\) and \d+ more pairs"):
        prepare(read_cohort(folder / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    assert not (tmp_path / "set").exists()


def test_allowed_leakage_is_recorded(folder, tmp_path):
    made = make(read_cohort(folder / "cohort.csv"), tmp_path / "set", SMALL, jobs=1)
    assert ("P0", "P18") in made.info.leakage  # first and last: never on one side in fold 1


def second_mask(target, name, *, turned=False):
    """Write another reader's lesion of P0's chest, smaller and further down; returns what it holds."""
    _, _, infection, geometry = chest(lesion=(4, 46, 30, 4))
    drawn, affine = infection, geometry.affine.copy()
    if turned:  # the file's own rows and slices run the other way
        affine[:3, 3] += affine[:3, 0] * 5 + affine[:3, 1] * 95
        affine[:3, :2] *= -1
        drawn = infection[::-1, ::-1]
    scan.write_nifti(target / name, drawn, scan.Geometry(geometry.shape, affine))
    return infection


def test_both_readers_masks_land_on_the_same_pixels(folder, tmp_path):
    """A mask given as the second reader's lies where it lies as the first one's, however its file is turned."""
    target = copy(folder, tmp_path)
    drawn = second_mask(target, "other.nii", turned=True)
    table = change(target / "cohort.csv", 0, second_infection="other.nii")
    change(table, 1, second_infection="None")
    made = make(read_cohort(table), tmp_path / "set", SMALL, jobs=1)
    swapped = make(
        read_cohort(change(table, 0, infection="other.nii", second_infection="")), tmp_path / "swap", SMALL, jobs=1
    )
    assert made.patients[0].slice == swapped.patients[0].slice == 4
    np.testing.assert_array_equal(made.second_lesion(0), swapped.lesion(0))
    nearest = drawn[4, 1::2, 1::2] > 0  # of two pixels the nearest is either
    assert (made.second_lesion(0) == nearest).mean() > 0.99 and made.second_lesion(0).dtype == np.bool_
    assert 8 <= made.second_lesion(0).sum() <= 16  # about pi 2^2
    assert (made.lesion(0) != made.second_lesion(0)).any()
    said = made.second_lesion(1)
    assert said.shape == (48, 48) and not said.any()
    assert [made.second_lesion(row) for row in range(2, 20)] == [None] * 18
    assert made.second.shape == (20, 48, 48) and (made.second[2] == 255).all()
    assert set(np.unique(made.second[0])) == {0, 1} and set(np.unique(made.second[1])) == {0}
    assert made.info.files["second.npy"] == sha256_of(tmp_path / "set" / "second.npy")
    PreparedSet.open(tmp_path / "set", verify=True)
    assert swapped.second_lesion(0) is None and not swapped.second_lesion(1).any()  # a file for one "none", too


def test_a_second_readers_mask_decides_neither_the_slice_nor_the_hash(folder, tmp_path):
    """And a set of patients of whom no one has any is what it is without the column."""
    without = make(read_cohort(folder / "cohort.csv"), tmp_path / "without", SMALL, jobs=1)
    target = copy(folder, tmp_path)
    empty = make(read_cohort(change(target / "cohort.csv", 0, second_infection="")), tmp_path / "empty", SMALL, jobs=1)
    assert empty.info.files == without.info.files and empty.info.sha256 == without.info.sha256
    assert empty.second is None and empty.second_lesion(0) is None
    _, _, elsewhere, geometry = chest(lesion=(1, 40, 28, 6))
    scan.write_nifti(target / "other.nii", elsewhere, geometry)
    table = change(target / "cohort.csv", 0, second_infection="other.nii")
    made = make(read_cohort(table), tmp_path / "set", SMALL, jobs=1)
    assert made.patients == without.patients
    assert made.second_lesion(0) is not None and not made.second_lesion(0).any()  # of another slice
    assert made.info.sha256 == without.info.sha256
    assert set(made.info.files) - set(without.info.files) == {"second.npy"}
    (tmp_path / "set" / "second.npy").unlink()
    with pytest.raises(BadPreparedSet, match=r"second\.npy"):
        PreparedSet.open(tmp_path / "set")


def test_a_second_readers_mask_that_does_not_fit_is_a_fault_of_the_table(folder, tmp_path):
    target = copy(folder, tmp_path)
    _, lung, _, geometry = chest()
    apart = geometry.affine.copy()
    apart[:3, 3] += 300.0  # beside the scan
    scan.write_nifti(target / "apart.nii", lung[:, :80], scan.Geometry((6, 80, 96), apart))
    table = change(target / "cohort.csv", 0, second_infection="apart.nii")
    change(table, 2, second_infection="P2-lung.nii")  # the lung, and no infection
    cohort = read_cohort(table)
    with pytest.raises(BadCohort, match="does not lie on its scan") as caught:
        make(cohort, tmp_path / "set", SMALL, jobs=1)
    assert [(f.row, f.column, f.code) for f in caught.value.faults] == [
        (2, "second_infection", "MASK_MISMATCH"),
        (4, "second_infection", "BAD_MASK"),
    ]
    assert not (tmp_path / "set").exists()
    made = make(cohort, tmp_path / "set", SMALL, jobs=1, skip_bad_masks=True)
    assert len(made.patients) == 18 and made.info.rejected == 2
    first, _ = csv.DictReader((tmp_path / "set" / "rejected.csv").open())
    assert first["reason"].startswith("second infection mask: ") and str(target) not in first["reason"]
    assert made.second is None  # nobody who is left has one


def test_a_second_readers_mask_that_is_the_first_ones_is_noted(folder, tmp_path):
    target = copy(folder, tmp_path)
    table = change(target / "cohort.csv", 0, second_infection="P0-infection.nii")
    change(table, 1, second_infection="P1-infection.nii")  # both see none
    made = make(read_cohort(table), tmp_path / "set", SMALL, jobs=1)
    assert made.patients[0].notes == "the second infection mask is the first one's in this slice"
    assert made.patients[1].notes == ""


def test_kept_work_of_another_second_mask_is_not_used(folder, tmp_path):
    target = copy(folder, tmp_path)
    second_mask(target, "other.nii")
    table = change(target / "cohort.csv", 0, second_infection="other.nii")

    def stop(count, total):
        if count == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(read_cohort(table), tmp_path / "set", SMALL, jobs=1, on_progress=stop)
    _, _, larger, geometry = chest(lesion=(4, 40, 28, 9))
    scan.write_nifti(target / "other.nii", larger, geometry)
    patient = read_cohort(table).patients[0]
    made = make(read_cohort(table), tmp_path / "set", SMALL, jobs=1)
    assert made.second_lesion(0).sum() > 40  # about a quarter of pi 9^2 = 64, where it is lung
    others = [replace(patient, second_infection=None), replace(patient, no_second_infection=True)]
    assert len({sample_name(one, SMALL) for one in (patient, *others)}) == 3
    lost = replace(patient, second_infection=target / "gone.nii")
    with pytest.raises(MaskFault) as caught:
        sample_name(lost, SMALL)
    assert (caught.value.column, caught.value.error.code) == ("second_infection", "PATH_MISSING")
