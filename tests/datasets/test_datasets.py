"""Public data sets become cohort tables."""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from prepare.synthetic import chest
from triplenet import scan
from triplenet.catalog import TASKS
from triplenet.cli.import_ import import_dataset as verb
from triplenet.cohort import read_cohort
from triplenet.datasets import GROUPS, IMPORTERS, import_dataset
from triplenet.datasets.grey_to_hu import GreyToHu, calibrate
from triplenet.errors import BadDataset, NotHu, OutputExists, PathMissing, UnknownName


def picture(slope, padding_hu=-2100, lesion=None, size=256):
    """A chest slice as an 8-bit picture of ``slope`` HU a grey level with a round field of view, and its true HU."""
    hu, _, infection, _ = chest(slices=3, size=size, lesion=lesion)
    hu = hu[2]
    rows, columns = np.ogrid[0:size, 0:size]
    outside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 > (size / 2 - 1) ** 2
    grey = np.where(outside, 0, np.rint((hu - padding_hu) / slope).clip(0, 255)).astype(np.uint8)
    return grey, hu, outside, infection[2]


@pytest.mark.parametrize("slope", [9.0, 12.0, 14.0, 30.0])
def test_grey_levels_are_tied_to_hu_by_air_and_soft_tissue(slope):
    grey, hu, outside, _ = picture(slope)
    found = calibrate(grey)
    assert found.slope == pytest.approx(slope, rel=0.04)
    error = found.hu(grey)[~outside] - hu[~outside]
    assert np.abs(np.median(error)) < slope
    assert (found.hu(grey)[outside] == -1024).all()


def test_padding_is_air_whatever_its_grey_level_would_be():
    grey = np.array([[0, 4, 5, 6, 104]], np.uint8)
    assert GreyToHu(10.0, -1000.0, padding=5).hu(grey).tolist() == [[-1024, -1024, -1024, -940, 40]]
    assert GreyToHu(10.0, -1000.0, padding=-1).hu(grey).tolist() == [[-1000, -960, -950, -940, 40]]


def test_a_picture_without_lungs_cannot_be_calibrated():
    with pytest.raises(NotHu):
        calibrate(np.tile(np.arange(256, dtype=np.uint8), (256, 1)))


@pytest.fixture
def slices(tmp_path):
    """MosMed's single slices: two patients without and two with infection, one of them with a mask."""
    src = tmp_path / "src"
    (src / "image").mkdir(parents=True)
    (src / "infection").mkdir()
    rows = [("s1", "CT-0", False), ("s2", "CT-1", True), ("s3", "CT-2", False), ("s4", "CT-0", False)]
    with (src / "index.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["patient", "severity", "image", "infection"])
        for patient, severity, masked in rows:
            grey, _, _, infection = picture(12.0, lesion=(2, 100, 75, 12) if masked else None)
            Image.fromarray(np.stack([grey] * 3, axis=-1)).save(src / "image" / f"{patient}.png")
            if masked:
                Image.fromarray(infection * 255).save(src / "infection" / f"{patient}.png")
            table.writerow([patient, severity, f"image/{patient}.png", f"infection/{patient}.png" if masked else ""])
    return src


def test_mosmed_slices_become_scans_in_approximate_hu(slices, tmp_path):
    cohort = read_cohort(import_dataset("mosmed", slices, tmp_path / "out", jobs=1), tasks=[TASKS["severity"]])
    assert [p.finding for p in cohort] == ["CT-0", "CT-1", "CT-2", "CT-0"]
    assert [p.no_infection for p in cohort] == [True, False, False, True]
    read = scan.read(cohort.patients[1].scan)
    assert any("approximate" in note for note in read.source.notes)
    mask, geometry = scan.read_mask(cohort.patients[1].infection, like=read.geometry)
    assert geometry.same_grid(read.geometry)
    assert read.hu[mask > 0].mean() == pytest.approx(-500, abs=40)


def test_a_mask_drawn_at_another_resolution_lies_on_its_picture(slices, tmp_path):
    drawn = Image.open(slices / "infection" / "s2.png")
    half = np.asarray(drawn)[::2, ::2]
    Image.fromarray(half).save(slices / "infection" / "s2.png")
    cohort = read_cohort(import_dataset("mosmed", slices, tmp_path / "out", jobs=1))
    mask, _ = scan.read_mask(cohort.patients[1].infection)
    np.testing.assert_array_equal(mask[0], np.repeat(np.repeat(half > 0, 2, axis=0), 2, axis=1))


def test_mosmeds_official_volumes_stay_where_they_are(tmp_path):
    src = tmp_path / "COVID19_1110"
    for severity, study in (("CT-0", "study_0001"), ("CT-1", "study_0255")):
        (src / "studies" / severity).mkdir(parents=True)
        (src / "studies" / severity / f"{study}.nii.gz").write_bytes(b"x")
    (src / "masks").mkdir()
    (src / "masks" / "study_0255_mask.nii.gz").write_bytes(b"x")
    first, second = read_cohort(import_dataset("mosmed", src, tmp_path / "out"))
    assert first.no_infection and first.scan.samefile(src / "studies" / "CT-0" / "study_0001.nii.gz")
    assert second.infection.samefile(src / "masks" / "study_0255_mask.nii.gz")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "src").mkdir()
    with pytest.raises(BadDataset):
        import_dataset("mosmed", tmp_path / "src", tmp_path / "out")
    with pytest.raises(PathMissing):
        import_dataset("mosmed", tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UnknownName):
        import_dataset("moscow", tmp_path / "src", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_output_is_left_alone(slices, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(OutputExists):
        import_dataset("mosmed", slices, tmp_path / "out", jobs=1)


@pytest.mark.real_data
def test_real_mosmed_slices_calibrate_to_lung_and_tissue():
    folder = os.environ.get("TRIPLENET_REAL_DATA")
    if not folder:
        pytest.skip("TRIPLENET_REAL_DATA does not name the folder with real scans")
    from triplenet.prepare.lung import lung_mask

    medians = []
    for path in sorted((Path(folder) / "mosmed" / "image").iterdir())[::60]:
        grey = scan.read_image(path)
        hu = calibrate(grey).hu(grey)
        lung = lung_mask(hu[None], (1.0, 0.7, 0.7))[0] > 0
        assert lung.mean() > 0.05, path.name
        medians.append(float(np.median(hu[lung])))
    assert -920 < np.median(medians) < -800
    assert min(medians) > -1000 and max(medians) < -600


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_covid_ct_md_has_one_folder_a_patient_and_three_findings(tmp_path):
    src = tmp_path / "src"
    touch(src, "COVID-19 Cases/P001/IM0001.dcm", "Cap Cases/cap001/IM0001.dcm", "Normal Cases/normal001/IM0001.dcm")
    touch(src, "Index.csv")
    cohort = read_cohort(import_dataset("covid-ct-md", src, tmp_path / "out"), tasks=TASKS.values())
    assert {p.patient: p.finding for p in cohort} == {"P001": "COVID-19", "cap001": "CAP", "normal001": "normal"}
    assert cohort.patients[0].scan.samefile(src / "COVID-19 Cases" / "P001")


def test_folders_of_findings_hold_volumes_of_any_kind(tmp_path):
    src = tmp_path / "src"
    touch(src, "typical/a.nii.gz", "typical/b/1.dcm", "negative/a.nii.gz", "negative/notes.txt", "readme.md")
    cohort = read_cohort(import_dataset("folders", src, tmp_path / "out"))
    assert [(p.patient, p.finding) for p in cohort] == [("a", "negative"), ("a-2", "typical"), ("b", "typical")]


def test_covid_ct_pictures_of_one_publication_stay_together(tmp_path):
    src = tmp_path / "src"
    grey, *_ = picture(12.0)
    for name in (
        "CT_COVID/2020.01.24.919183-p27-132.png",
        "CT_COVID/2020.01.24.919183-p28-133.png",
        "CT_NonCOVID/7.png",
    ):
        (src / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey).save(src / name)
    cohort = read_cohort(import_dataset("covid-ct", src, tmp_path / "out", jobs=1), tasks=TASKS.values())
    first, second, other = cohort
    assert first.group == second.group != other.group
    assert [p.finding for p in cohort] == ["COVID-19", "COVID-19", "non-COVID-19"]
    assert scan.read(first.scan).hu.shape == (1, 256, 256)


def test_covid19_ct_seg_volumes_come_with_their_masks_and_without_a_finding(tmp_path):
    src = tmp_path / "src"
    for folder in ("COVID-19-CT-Seg_20cases", "Infection_Mask", "Lung_Mask"):
        touch(src, f"{folder}/coronacases_001.nii.gz", f"{folder}/radiopaedia_4_85506_1.nii.gz")
    (patient,) = read_cohort(import_dataset("covid19-ct-seg", src, tmp_path / "out"))
    assert patient.finding is None
    assert patient.infection.samefile(src / "Infection_Mask" / "coronacases_001.nii.gz")
    assert patient.lung.samefile(src / "Lung_Mask" / "coronacases_001.nii.gz")


def test_covid19_ct_seg_slices_of_one_scan_are_one_group(tmp_path):
    folder = tmp_path / "src" / "coronacases_001"
    (folder / "image").mkdir(parents=True)
    (folder / "infection").mkdir()
    grey, _, _, infection = picture(12.0, lesion=(2, 100, 75, 12))
    for number in range(21):
        Image.fromarray(grey).save(folder / "image" / f"{number:03d}.png")
        Image.fromarray(infection[::2, ::2] * 255).save(folder / "infection" / f"{number:03d}.png")
    cohort = read_cohort(import_dataset("covid19-ct-seg", tmp_path / "src", tmp_path / "out", jobs=1))
    assert [p.patient for p in cohort] == [f"coronacases_001-{number:03d}" for number in (0, 10, 20)]
    assert {p.group for p in cohort} == {"coronacases_001"}
    read = scan.read(cohort.patients[0].scan)
    mask, _ = scan.read_mask(cohort.patients[0].infection, like=read.geometry)
    assert read.hu[mask > 0].mean() == pytest.approx(-500, abs=60)  # drawn at half the resolution


def test_medseg_crops_are_turned_upright_and_tied_to_hu_by_their_lung(tmp_path):
    hu, lung, infection, _ = chest(slices=3, size=256, lesion=(2, 100, 75, 12))
    crop = np.s_[2, 50:206, 24:232]
    grey = ((hu[crop].astype(float) + 1250) / 1500 * 255).clip(0, 255).astype(np.uint8)
    for name, array in (("img", grey), ("lung", lung[crop] * 255), ("infection", infection[crop] * 255)):
        (tmp_path / "src" / name).mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(np.rot90(array, 1))).save(tmp_path / "src" / name / "3.png")
    (patient,) = read_cohort(import_dataset("medseg", tmp_path / "src", tmp_path / "out", jobs=1))
    read = scan.read(patient.scan)
    assert read.hu.shape == (1, 156, 208)
    error = read.hu[0].astype(float) - hu[crop]
    assert np.abs(np.median(error)) < 60
    assert np.median(np.abs(error)) < 60  # upside down, errors of both signs would make up for each other
    for path, drawn in ((patient.infection, infection), (patient.lung, lung)):
        np.testing.assert_array_equal(scan.read_mask(path, read.geometry)[0][0], drawn[crop])


def test_a_picture_that_cannot_be_tied_to_hu_is_left_out_and_listed(slices, tmp_path):
    Image.fromarray(np.zeros((256, 256), np.uint8)).save(slices / "image" / "s3.png")
    out = import_dataset("mosmed", slices, tmp_path / "out", jobs=1)
    assert [p.patient for p in read_cohort(out)] == ["s1", "s2", "s4"]
    with (tmp_path / "out" / "rejected.csv").open() as stream:
        (rejected,) = csv.DictReader(stream)
    assert (rejected["patient"], rejected["code"]) == ("s3", "NOT_HU")


def test_a_damaged_picture_or_mask_costs_its_patient_not_the_import(slices, tmp_path):
    (slices / "image" / "s1.png").write_bytes((slices / "image" / "s1.png").read_bytes()[:300])
    (slices / "infection" / "s2.png").write_bytes(b"not a picture")
    app = typer.Typer()
    app.command()(verb)
    result = CliRunner().invoke(app, ["mosmed", str(slices), str(tmp_path / "out"), "--jobs", "1"])
    assert result.exit_code == 3
    assert [p.patient for p in read_cohort(tmp_path / "out" / "cohort.csv")] == ["s3", "s4"]
    with (tmp_path / "out" / "rejected.csv").open() as stream:
        rejected = {row["patient"]: (row["code"], row["reason"]) for row in csv.DictReader(stream)}
    assert {code for code, _ in rejected.values()} == {"UNREADABLE_FILE"}
    assert rejected["s1"][1].endswith("s1.png") and rejected["s2"][1].endswith("s2.png")


def test_when_every_picture_is_damaged_the_first_fault_is_told(slices, tmp_path):
    for path in (slices / "image").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(BadDataset, match="UNREADABLE_FILE"):
        import_dataset("mosmed", slices, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


def test_what_desktops_and_archives_leave_behind_is_no_patient(tmp_path):
    src = tmp_path / "src"
    touch(src, "typical/a.nii.gz", "typical/._a.nii.gz", "typical/.cache/x", "__MACOSX/typical/._a.nii.gz", ".git/x")
    cohort = read_cohort(import_dataset("folders", src, tmp_path / "out"))
    assert [(p.patient, p.finding) for p in cohort] == [("a", "typical")]


def passed(out):
    """Reason by path of what an import passed over."""
    with (out / "passed-over.csv").open() as stream:
        return {row["path"]: row["reason"] for row in csv.DictReader(stream)}


def run_verb(*arguments):
    app = typer.Typer()
    app.command()(verb)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_every_volume_that_scan_reads_is_a_patient_also_with_a_detached_header(tmp_path):
    src = tmp_path / "src"
    touch(
        src,
        "typical/a.nhdr",
        "typical/a.raw",
        "typical/b.mhd",
        "typical/b.zraw",
        "negative/c.nhdr",
        "negative/c.raw.gz",
    )
    cohort = read_cohort(import_dataset("folders", src, tmp_path / "out"))
    assert [(p.patient, p.finding, p.scan.name) for p in cohort] == [
        ("c", "negative", "c.nhdr"),
        ("a", "typical", "a.nhdr"),
        ("b", "typical", "b.mhd"),
    ]
    assert not (tmp_path / "out" / "passed-over.csv").exists()


def test_what_is_no_patient_is_listed_and_counted(tmp_path):
    src = tmp_path / "src"
    touch(src, "typical/a.nii.gz", "typical/._a.nii.gz", "typical/b.rar", "typical/c/report.pdf", "typical/d/IM0001")
    touch(src, "readme.md", "negative/e.nii", "negative/lonely.raw")
    said = run_verb("folders", src, tmp_path / "out")
    assert said.exit_code == 0
    assert [p.patient for p in read_cohort(tmp_path / "out" / "cohort.csv")] == ["e", "a", "d"]
    assert set(passed(tmp_path / "out")) == {
        "readme.md", "typical/._a.nii.gz", "typical/b.rar", "typical/c", "negative/lonely.raw"
    }  # fmt: skip
    assert "note, 2 passed over: no scan by its name" in said.stderr
    assert "passed-over.csv" in said.stderr
    record = json.loads(run_verb("folders", src, tmp_path / "again", "--json").stdout)
    assert (record["scans"], record["patients"], sum(record["passed_over"].values())) == (3, 3, 5)


def test_the_help_and_the_page_name_every_data_set():
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    said = " ".join(run_verb("--help").stdout.replace("│", " ").split())
    for name in IMPORTERS:
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", said), name
        assert f"| `{name}` |" in page
    assert set(GROUPS) < set(IMPORTERS)


@pytest.mark.parametrize("inside", [(), ("b.rar", "._c.nii"), ("b/notes.txt",)])
def test_a_finding_whose_folder_gives_nothing_is_refused(tmp_path, inside):
    src = tmp_path / "src"
    touch(src, "typical/a.nii.gz")
    (src / "negative").mkdir()
    touch(src / "negative", *inside)
    with pytest.raises(BadDataset, match="the folder of 'negative' holds no scan") as caught:
        import_dataset("folders", src, tmp_path / "out")
    assert ("passed over" in str(caught.value)) == bool(inside)
    assert not (tmp_path / "out").exists()


def test_mosmed_tells_of_studies_and_masks_that_it_did_not_take(tmp_path):
    src = tmp_path / "COVID19_1110"
    touch(src, "studies/CT-0/study_0001.nii.gz", "studies/CT-1/study_0255.nii.gz", "studies/CT-1/report.txt")
    touch(src, "studies/CT-9/study_0300.nii.gz", "masks/study_0255_mask.nii.gz", "masks/study_0999_mask.nii.gz")
    assert len(read_cohort(import_dataset("mosmed", src, tmp_path / "out"))) == 2
    assert set(passed(tmp_path / "out")) == {
        "studies/CT-1/report.txt", "studies/CT-9", "masks/study_0999_mask.nii.gz"
    }  # fmt: skip
    (src / "studies" / "CT-2").mkdir()
    with pytest.raises(BadDataset, match="CT-2 holds no study"):
        import_dataset("mosmed", src, tmp_path / "other")


def test_mosmed_slices_that_the_index_does_not_name_are_told(slices, tmp_path):
    touch(slices, "image/s9.png")
    import_dataset("mosmed", slices, tmp_path / "out", jobs=1)
    assert passed(tmp_path / "out") == {"image/s9.png": "not named in index.csv"}


def test_covid19_ct_seg_tells_of_volumes_that_are_no_hu_or_have_no_mask(tmp_path):
    src = tmp_path / "src"
    touch(src, "Infection_Mask/coronacases_001.nii.gz")
    for name in ("coronacases_001", "coronacases_002", "radiopaedia_4_85506_1"):
        touch(src, f"COVID-19-CT-Seg_20cases/{name}.nii.gz")
    import_dataset("covid19-ct-seg", src, tmp_path / "out")
    reasons = passed(tmp_path / "out")
    assert "without a mask" in reasons["COVID-19-CT-Seg_20cases/coronacases_002.nii.gz"]
    assert "8-bit" in reasons["COVID-19-CT-Seg_20cases/radiopaedia_4_85506_1.nii.gz"]


def test_slices_of_a_patient_are_not_counted_as_patients(tmp_path):
    grey, _, _, infection = picture(12.0, lesion=(2, 100, 75, 12))
    for case in ("coronacases_001", "coronacases_002"):
        for number in range(12):
            for name, array in (("image", grey), ("infection", infection * 255 * (number > 0))):
                (tmp_path / "src" / case / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(tmp_path / "src" / case / name / f"{number:03d}.png")
    (tmp_path / "src" / "coronacases_001" / "infection" / "003.png").unlink()
    said = run_verb("covid19-ct-seg", tmp_path / "src", tmp_path / "out", "--jobs", "1")
    # Of 001 ten slices show infection, of 002 eleven: the first and the eleventh are taken.
    assert said.stdout.startswith("3 scans of 2 patients in ")
    assert "note, 2 passed over: a slice that shows no infection" in said.stderr
    assert "note, 1 passed over: a slice without an infection mask" in said.stderr
    assert "note, 18 passed over: not the first of 10 slices" in said.stderr


def test_medseg_tells_of_slices_without_masks(tmp_path):
    hu, lung, infection, _ = chest(slices=3, size=256, lesion=(2, 100, 75, 12))
    grey = ((hu[2].astype(float) + 1250) / 1500 * 255).clip(0, 255).astype(np.uint8)
    for name, array in (("img", grey), ("lung", lung[2] * 255), ("infection", infection[2] * 255)):
        (tmp_path / "src" / name).mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(np.rot90(array, 1))).save(tmp_path / "src" / name / "3.png")
    touch(tmp_path / "src", "img/4.png", "lung/5.png")
    import_dataset("medseg", tmp_path / "src", tmp_path / "out", jobs=1)
    assert set(passed(tmp_path / "out")) == {"img/4.png", "lung/5.png"}
