"""``triplenet predict`` as a user meets it."""

import csv
import json

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from outputs.dicom_results import source
from poison import POISON, RIDDLE, poison_readers
from prepare.synthetic import chest
from toy_model import marker
from triplenet import networks, scan
from triplenet.cli.predict import predict
from triplenet.errors import NotDicom, PathMissing, UnknownName
from triplenet.model import save_model

app = typer.Typer()
app.command()(predict)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A scan named after a patient, its masks, and a model."""
    folder = tmp_path_factory.mktemp("place")
    hu, lung, infection, geometry = chest(lesion=(4, 40, 28, 5))
    for name, array in (("Doe-Jane", hu), ("lung", lung), ("infection", infection)):
        scan.write_nifti(folder / f"{name}.nii", array, geometry)
    torch.manual_seed(0)
    network = networks.build("triple", classes=2).eval()
    card = marker(size=64, crop=64).card
    save_model(folder / "model.safetensors", network, torch.full((64, 64), 0.5), card)
    return folder


def run(place, *arguments):
    words = [str(word) for word in (*arguments, "--model", place / "model.safetensors")]
    return CliRunner().invoke(app, words)


def test_a_scan_gives_a_record_a_picture_and_one_line(place, tmp_path):
    done = run(place, place / "Doe-Jane.nii", "--infection", place / "infection.nii", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / "scan-001" / "result.json").read_text())
    assert record["slice"]["from_feet"] == 4
    assert len(record["model"]["file_sha256"]) == 64
    assert (tmp_path / "out" / "scan-001" / "overlay.png").is_file()
    assert "slice 4" in done.stdout
    assert record["predicted"] in done.stdout


def test_a_sites_own_profile_is_written(place, tmp_path):
    (tmp_path / "site.toml").write_text('[site]\nours = ["archive", "csv"]\n')
    source(tmp_path / "study")
    told = ("--site", tmp_path / "site.toml", "--out", tmp_path / "out", "--slice", 2)
    done = run(place, tmp_path / "study", *told, "--outputs", "ours")
    assert done.exit_code == 0, done.output
    assert {"explanation.dcm", "result.csv"} <= {path.name for path in (tmp_path / "out" / "scan-001").iterdir()}
    with pytest.raises(UnknownName, match="'ours'"):
        raise run(place, tmp_path / "study", "--out", tmp_path / "out", "--outputs", "ours").exception
    with pytest.raises(NotDicom):
        raise run(place, place / "Doe-Jane.nii", *told, "--outputs", "seg").exception


def test_a_scan_that_ends_its_reader_costs_its_own_result_and_leaves_a_log(place, tmp_path, monkeypatch):
    poison_readers(tmp_path, monkeypatch)
    (tmp_path / "Doe-John.nii").write_bytes(POISON)
    (tmp_path / "Roe-Jim.nii").write_bytes(RIDDLE)
    scans = (tmp_path / "Doe-John.nii", tmp_path / "Roe-Jim.nii", place / "Doe-Jane.nii")
    done = run(place, *scans, "--out", tmp_path / "out", "--outputs", "json")
    assert done.exit_code == 3
    codes = [json.loads((tmp_path / "out" / f"scan-00{n}" / "refused.json").read_text())["code"] for n in (1, 2)]
    assert codes == ["READER_LOST", "READER_FAULT"]
    assert (tmp_path / "out" / "scan-003" / "result.json").is_file()
    log = (tmp_path / "out" / "readers.log").read_text()
    assert "ZeroDivisionError" in log and "scan-002" in log and "SIGSEGV" in log
    written = done.stdout + done.stderr + "".join(p.read_text() for p in (tmp_path / "out").rglob("*.*") if p.is_file())
    assert "Doe" not in written and "Roe" not in written


def test_no_name_gets_out_unless_asked(place, tmp_path):
    done = run(place, place / "Doe-Jane.nii", "--out", tmp_path / "out", "--outputs", "json")
    written = (tmp_path / "out" / "scan-001" / "result.json").read_text()
    assert "Jane" not in done.stdout + done.stderr + written
    asked = run(place, place / "Doe-Jane.nii", "--out", tmp_path / "out", "--outputs", "json", "--identifiers")
    assert "Doe-Jane.nii" in asked.stdout
    assert "Doe-Jane.nii" in (tmp_path / "out" / "scan-001" / "result.json").read_text()


def test_a_batch_goes_on_past_a_refused_scan_and_ends_with_3(place, tmp_path):
    out = tmp_path / "out"
    done = run(place, tmp_path / "nothing", place / "Doe-Jane.nii", "--out", out, "--outputs", "json", "--json")
    assert done.exit_code == 3
    answer = json.loads(done.stdout)
    assert answer["refused"] == 1
    assert answer["scans"][0]["refusal"]["code"] == "PATH_MISSING"
    assert answer["scans"][1]["result"]["predicted"]
    assert sorted(path.name for path in out.iterdir()) == [".batch.jsonl", "results.csv", "scan-001", "scan-002"]
    assert [path.name for path in (out / "scan-001").iterdir()] == ["refused.json"]
    assert "error[PATH_MISSING]: scan-001" in done.stderr


def test_a_single_scan_that_is_refused_is_an_error_and_leaves_nothing(place, tmp_path):
    done = run(place, tmp_path / "nothing", "--out", tmp_path / "out")
    assert isinstance(done.exception, PathMissing)
    assert not (tmp_path / "out").exists()


def test_a_single_scan_that_is_refused_removes_the_earlier_result(place, tmp_path):
    run(place, place / "Doe-Jane.nii", "--out", tmp_path / "out", "--outputs", "json")
    run(place, tmp_path / "nothing", "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "scan-001").exists()


def test_a_smaller_batch_leaves_nothing_of_the_larger_one(place, tmp_path):
    again = [place / "Doe-Jane.nii"] * 2
    run(place, *again, "--out", tmp_path / "out", "--outputs", "json")
    run(place, again[0], "--out", tmp_path / "out", "--outputs", "json")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scan-001"]


@pytest.mark.parametrize("extra", [["--mask", "lung.nii", "--lung", "lung.nii"], ["Doe-Jane.nii", "--slice", "2"]])
def test_what_does_not_go_together_is_wrong_usage(place, tmp_path, extra):
    words = [place / word if word.endswith(".nii") else word for word in extra]
    done = run(place, place / "Doe-Jane.nii", *words, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_unknown_output_is_named(place, tmp_path):
    done = run(place, place / "Doe-Jane.nii", "--out", tmp_path / "out", "--outputs", "json,gif")
    assert isinstance(done.exception, UnknownName)
    assert "'gif'" in str(done.exception)


def test_the_slice_can_be_chosen(place, tmp_path):
    run(place, place / "Doe-Jane.nii", "--slice", 0, "--out", tmp_path / "out", "--outputs", "json")
    record = json.loads((tmp_path / "out" / "scan-001" / "result.json").read_text())
    assert (record["slice"]["from_feet"], record["slice"]["rule"]) == (0, "given")
    np.testing.assert_allclose(record["slice"]["z_mm"], 0.0)


def test_without_a_mask_the_scan_is_searched_as_it_is_asked_for(place, tmp_path):
    """The model is not trained: what it finds does not matter, how it looked does."""
    for search, evaluations in (("exhaustive", 6), ("coarse", range(1, 7)), ("lung", None)):
        out = tmp_path / search
        done = run(place, place / "Doe-Jane.nii", "--search", search, "--smallest-lesion-mm", 12, "--out", out)
        assert done.exit_code == 0, done.output
        found = json.loads((out / "scan-001" / "result.json").read_text())["search"]
        if evaluations is None:
            assert found is None
            continue
        assert found["evaluations"] in (evaluations if isinstance(evaluations, range) else (evaluations,))
        assert (found["smallest_lesion_mm"], found["by"]) == (12.0, "triple")
    wrong = run(place, place / "Doe-Jane.nii", "--search", "fast", "--out", tmp_path / "out")
    assert wrong.exit_code == 2 and "exhaustive" in wrong.output
    assert not (tmp_path / "out").exists()


def test_a_finder_that_is_no_model_is_refused_before_anything_is_read(place, tmp_path):
    done = run(place, place / "Doe-Jane.nii", "--finder", place / "lung.nii", "--out", tmp_path / "out")
    assert getattr(done.exception, "code", None) == "BAD_MODEL"
    assert not (tmp_path / "out").exists()


def results(out):
    with (out / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_table_of_scans_with_masks_is_a_batch_that_goes_on(place, tmp_path):
    table = place / "cohort.csv"
    table.write_text("patient,scan,infection,age\nDoe,Doe-Jane.nii,infection.nii,50\nDoe,lost.nii,,50\n")
    words = ("--from", table, "--out", tmp_path / "out", "--outputs", "json")
    done = run(place, *words)
    assert done.exit_code == 3
    assert "columns of the table that are not used: age" in done.stderr
    first, second = results(tmp_path / "out")
    assert (first["slice"], first["rule"]) == ("4", "infection mask")
    assert (second["status"], second["code"]) == ("refused", "PATH_MISSING") and second["code"] in done.stderr
    assert "Doe" not in done.output + (tmp_path / "out" / "results.csv").read_text()
    again = run(place, *words)
    assert again.exit_code == 3 and "2 of 2 scans were done already, 1 of them refused" in again.stderr
    assert done.stdout == again.stdout
    anew = run(place, *words, "--restart", "--json")
    assert [one["kept"] for one in json.loads(anew.stdout)["scans"]] == [False, False]


def test_a_folder_of_studies_is_a_batch_even_of_one(place, tmp_path):
    (tmp_path / "studies" / "Doe").mkdir(parents=True)
    (tmp_path / "studies" / "Doe" / "Jane.nii").symlink_to(place / "Doe-Jane.nii")
    (tmp_path / "studies" / "letter.txt").write_text("dear")
    out = tmp_path / "studies" / "results"
    for _ in range(2):  # results lie below the studies and are none
        done = run(place, "--studies", tmp_path / "studies", "--out", out, "--outputs", "json")
        assert done.exit_code == 0, done.output
        assert len(results(out)) == 1
    assert "passed over: 1 x not a scan" in done.stderr and "Doe" not in done.output.replace(str(out), "")


@pytest.mark.parametrize(
    "words", [(), ("--from", "a.csv", "--studies", "b"), ("scan", "--from", "a.csv"), ("--jobs", 0)]
)
def test_scans_come_from_one_place(place, tmp_path, words):
    assert run(place, *words, "--out", tmp_path / "out").exit_code == 2
    assert not (tmp_path / "out").exists()
