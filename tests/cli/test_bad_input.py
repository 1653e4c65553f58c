"""Bad input is one line with a code and exit 1, and nothing is half-written."""

import csv
import json
import re

import numpy as np
import pytest

from prepare.synthetic import chest, write
from triplenet import scan
from triplenet.cohort import write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    rows = []
    for number in range(20):
        hu, lung, infection, geometry = chest(lesion=(4, 40, 28, 5) if number % 2 == 0 else None)
        rows.append(write(folder, f"P{number}", hu, geometry, lung=lung, infection=infection))
        rows[-1]["finding"] = "typical" if number % 2 == 0 else "negative"
    write_cohort(folder / "cohort.csv", rows)
    return folder / "cohort.csv"


def changed(cohort, name, row, **cells):
    with cohort.open() as stream:
        rows = list(csv.DictReader(stream))
    rows[row].update(cells)
    path = cohort.with_name(name)
    write_cohort(path, rows)
    return path


def refused(triplenet, tmp_path, code, *arguments):
    """Run, and check what every refusal has in common; returns the line."""
    before = sorted(tmp_path.rglob("*"))
    done = triplenet(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert re.match(rf"error\[{code}\]: \S", line), line
    left = [path for path in sorted(tmp_path.rglob("*")) if path not in before and not path.name.startswith(".")]
    assert [path for path in left if ".partial" not in str(path)] == []
    return line


def test_a_missing_file(triplenet, tmp_path):
    for verb in (["prepare", tmp_path / "no.csv", tmp_path / "out"], ["inspect", tmp_path / "nowhere"]):
        line = refused(triplenet, tmp_path, "PATH_MISSING", *verb)
        assert str(verb[1]) in line


def test_an_empty_folder(triplenet, tmp_path):
    (tmp_path / "empty").mkdir()
    done = triplenet("inspect", tmp_path / "empty")
    assert done.returncode == 1
    assert done.stderr.startswith("error[EMPTY_FOLDER]: ")


def test_a_folder_without_ct(triplenet, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter.txt").write_text("not a scan")
    done = triplenet("inspect", tmp_path / "folder")
    assert done.returncode == 1
    assert re.match(r"error\[(EMPTY_FOLDER|NO_CT_SERIES)\]: ", done.stderr)


def test_an_unknown_finding(triplenet, tmp_path, cohort):
    table = changed(cohort, "typo.csv", 3, finding="negativ")
    line = refused(triplenet, tmp_path, "UNKNOWN_FINDING", "prepare", table, tmp_path / "out")
    assert "row 5" in line and "did you mean 'negative'?" in line


def test_a_duplicate_patient(triplenet, tmp_path, cohort):
    table = changed(cohort, "twice.csv", 3, patient="P0")
    line = refused(triplenet, tmp_path, "DUPLICATE_PATIENT", "prepare", table, tmp_path / "out")
    assert "row 5" in line and "row 2" in line


def test_a_mask_of_another_shape(triplenet, tmp_path, cohort):
    _, lung, _, geometry = chest()
    path = cohort.with_name("small.nii")
    apart = geometry.affine.copy()
    apart[:3, 3] += 300.0  # beside the scan
    scan.write_nifti(path, np.ascontiguousarray(lung[:, :80]), scan.Geometry((6, 80, 96), apart))
    table = changed(cohort, "shape.csv", 3, lung="small.nii")
    line = refused(
        triplenet, tmp_path, "MASK_MISMATCH", "prepare", table, tmp_path / "out", "--size", "48", "--jobs", "1"
    )
    assert "row 5, lung" in line and "6 x 80 x 96" in line


def test_every_fault_of_a_table_comes_as_json_when_asked_for(triplenet, tmp_path, cohort):
    table = changed(cohort, "both.csv", 3, patient="P0", finding="negativ")
    done = triplenet("prepare", table, tmp_path / "out", "--json")
    assert done.returncode == 1
    faults = json.loads(done.stdout)["error"]["faults"]
    assert {(fault["row"], fault["code"]) for fault in faults} == {(5, "DUPLICATE_PATIENT"), (5, "UNKNOWN_FINDING")}


def test_an_output_that_exists_is_left_alone(triplenet, tmp_path, cohort):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    refused(triplenet, tmp_path, "OUTPUT_EXISTS", "prepare", cohort, tmp_path / "out")
    assert (tmp_path / "out" / "precious").read_text() == "x"


def test_an_unknown_importer(triplenet, tmp_path):
    refused(triplenet, tmp_path, "UNKNOWN_NAME", "import", "moscow", tmp_path, tmp_path / "out")


def test_a_model_file_that_is_none(triplenet, tmp_path, cohort):
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    refused(
        triplenet,
        tmp_path,
        "BAD_MODEL",
        "predict",
        cohort.with_name("P0.nii"),
        "--model",
        tmp_path / "model.safetensors",
        "--out",
        tmp_path / "out",
    )


def test_wrong_usage_is_two(triplenet, tmp_path):
    assert triplenet("prepare").returncode == 2
    assert triplenet("train", tmp_path, "--fold", "4").returncode == 2


def test_a_window_upside_down_is_wrong_usage(triplenet, tmp_path, cohort):
    assert triplenet("prepare", cohort, tmp_path / "out", "--window", "5,1").returncode == 2


def test_a_refused_scan_is_told_by_exit_code_three(triplenet, tmp_path, cohort):
    damaged = cohort.with_name("damaged.nii")
    damaged.write_bytes(cohort.with_name("P3.nii").read_bytes()[:5000])
    table = changed(cohort, "damaged.csv", 3, scan="damaged.nii", second_infection="none")
    table = changed(table, "second.csv", 2, second_infection="P2-infection.nii")
    words = ("--size", "48", "--jobs", "1", "--allow-leakage", "--json", "--window=-1200,200")
    done = triplenet("prepare", table, tmp_path / "out", *words)
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert (told["rejected"], told["given"]["second_infection"], told["given"]["second_none"]) == (1, 1, 1)
    assert json.loads((tmp_path / "out" / "prepared.json").read_text())["window_hu"] == [-1200, 200]
    assert "UNREADABLE_FILE" in (tmp_path / "out" / "rejected.csv").read_text()


def test_a_file_of_segment_names_that_is_none(triplenet, tmp_path, cohort):
    (tmp_path / "names.toml").write_text("infection = 3")
    arguments = ("prepare", cohort, tmp_path / "out", "--segments", tmp_path / "names.toml")
    assert "infection" in refused(triplenet, tmp_path, "BAD_SEGMENT_NAMES", *arguments)


def test_every_bad_mask_is_listed_or_costs_its_patient(triplenet, tmp_path, cohort):
    for number in (3, 5):
        cohort.with_name(f"bad{number}.nii").write_bytes(b"no mask")
    table = changed(changed(cohort, "one.csv", 3, lung="bad3.nii"), "two.csv", 5, lung="bad5.nii")
    done = triplenet("prepare", table, tmp_path / "out", "--size", "48", "--jobs", "1", "--allow-leakage")
    assert done.returncode == 1 and "row 5" in done.stderr and "row 7" in done.stderr
    skipping = ("--size", "48", "--jobs", "1", "--allow-leakage", "--skip-bad-masks")
    done = triplenet("prepare", table, tmp_path / "out", *skipping)
    assert done.returncode == 3
    with (tmp_path / "out" / "rejected.csv").open() as stream:
        rejected = list(csv.DictReader(stream))
    assert [row["patient"] for row in rejected] == ["P3", "P5"]
    assert not any(str(tmp_path) in row["reason"] or str(cohort.parent) in row["reason"] for row in rejected)
    table = changed(table, "three.csv", 7, infection="gone.nii")
    done = triplenet("prepare", table, tmp_path / "more", *skipping[:-1])
    assert done.returncode == 1 and "row 9" in done.stderr and "gone.nii" in done.stderr
    table = changed(table, "four.csv", 0, second_infection="P2-infection.nii")
    done = triplenet("prepare", table, tmp_path / "more", *skipping)
    assert done.returncode == 3 and "; of a second reader 1, and 0 said to have none;" in done.stdout
    with (tmp_path / "more" / "rejected.csv").open() as stream:
        reasons = {row["patient"]: row["reason"] for row in csv.DictReader(stream)}
    assert list(reasons) == ["P3", "P5", "P7"] and reasons["P7"] == "infection mask: no such file: gone.nii"
