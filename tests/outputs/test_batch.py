"""A batch: a line a scan, kept where nothing changed, the same whenever it was killed and by however many processes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from poison import POISON, poison_readers
from prepare.synthetic import chest
from toy_model import MARKED_HU, marker
from triplenet import networks, outputs, scan
from triplenet.errors import BadInput, BadModel, OutputExists
from triplenet.files import held_folder
from triplenet.inference import ScanRequest
from triplenet.inference.result import BoundedInfo
from triplenet.inference.runtime import TorchRuntime
from triplenet.model import save_model
from triplenet.outputs import FORMATS, Summary, batch, batch_work, journal, result_folder, summary
from triplenet.outputs.read_ahead import read_ahead


def write_scan(path, lesion=None):
    hu, lung, infection, geometry = chest(lesion=lesion)
    scan.write_nifti(path, np.where(infection > 0, MARKED_HU, hu).astype(np.int16), geometry)
    scan.write_nifti(path.with_name(f"{path.stem}-infection.nii"), infection, geometry)
    scan.write_nifti(path.with_name(f"{path.stem}-lung.nii"), lung, geometry)


@pytest.fixture
def cohort(tmp_path):
    """Three scans named after patients, the second of which is none."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    write_scan(folder / "Doe-Jane.nii", lesion=(4, 40, 28, 5))
    (folder / "Doe-John.nii").write_bytes(b"no scan at all")
    write_scan(folder / "Roe-Jim.nii")
    return [folder / f"{name}.nii" for name in ("Doe-Jane", "Doe-John", "Roe-Jim")]


@pytest.fixture
def reading_here(monkeypatch):
    """Without the process that reads, which takes a second to begin."""
    monkeypatch.setattr(batch_work, "Worker", lambda: nullcontext(None))


def run(scans, out, model=None, *, formats=("json",), **options):
    return outputs.predict_batch(scans, model or marker(), out, outputs=formats, **options)


def kept(written):
    return [one.kept for one in written]


def tree(folder):
    """Every file's content, without the times that the work took."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "result.json":
                content = {**json.loads(content), "timings_ms": None}
            if path.name == journal.JOURNAL:
                lines = [json.loads(line) for line in content.splitlines()]
                content = sorted((line["folder"], line["fingerprint"]) for line in lines if "fingerprint" in line)
            if path.suffix == ".csv":
                content = [{name: number(cell) for name, cell in row.items()} for row in rows(path)]
            found[path.relative_to(folder).as_posix()] = content
    return found


def near(value):
    """What another number of threads may write: equal but for the last digits of a number."""
    if isinstance(value, dict):
        return {name: near(one) for name, one in value.items()}
    if isinstance(value, list):
        return [near(one) for one in value]
    return pytest.approx(value, rel=1e-6, abs=1e-6) if isinstance(value, float) else value


def number(cell):
    try:
        return float(cell)
    except ValueError:
        return cell


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def table(out):
    return rows(out / "results.csv")


@pytest.mark.usefixtures("reading_here")
def test_there_is_a_line_a_scan_in_order_refusals_among_them(cohort, tmp_path):
    infection, lung = (cohort[0].with_name(f"Doe-Jane-{name}.nii") for name in ("infection", "lung"))
    asked = [
        ScanRequest(cohort[0], infection=infection, lung=lung),
        *cohort[1:],
        ScanRequest(cohort[2], slice_from_feet=5),
    ]
    run(asked, tmp_path / "out")
    first, second, third, fourth = table(tmp_path / "out")
    assert [row["folder"] for row in table(tmp_path / "out")] == ["scan-001", "scan-002", "scan-003", "scan-004"]
    assert (first["status"], first["slice"], first["slices"], first["rule"]) == ("done", "4", "6", "infection mask")
    record = json.loads((tmp_path / "out" / "scan-001" / "result.json").read_text())
    assert first["predicted"] == record["predicted"] and first["model_tensors_sha256"] == "e" * 64
    for one in record["classes"]:
        assert float(first[f"p_{one['name']}"]) == pytest.approx(one["probability"], abs=1e-6)
    volume = record["measures"]["both"]["infection_ml"]
    told = [float(first[f"infected_ml{end}"]) for end in ("", "_low", "_high")]
    assert told == pytest.approx([volume[name] for name in ("estimate", "low", "high")], abs=1e-6)
    assert (second["status"], second["code"]) == ("refused", "UNREADABLE_FILE") and second["predicted"] == ""
    assert (fourth["slice"], fourth["rule"]) == ("5", "given")
    assert third["search_evaluations"] == str(
        json.loads((tmp_path / "out" / "scan-003" / "result.json").read_text())["search"]["evaluations"]
    )


@pytest.mark.usefixtures("reading_here")
def test_nothing_written_tells_whose_scan_it_is_unless_asked(cohort, tmp_path):
    run([ScanRequest(path, patient="Jane Doe") for path in cohort], tmp_path / "out")
    text = "".join(path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "Doe" not in text and "Roe" not in text and str(tmp_path) not in text
    run([ScanRequest(path, patient="Jane Doe") for path in cohort], tmp_path / "out", identifiers=True)
    assert [row["input"] for row in table(tmp_path / "out")] == [str(path) for path in cohort]
    assert table(tmp_path / "out")[0]["patient"] == "Jane Doe"
    assert "Doe" not in (tmp_path / "out" / journal.JOURNAL).read_text()


@pytest.mark.usefixtures("reading_here")
def test_what_is_done_is_kept_and_what_has_changed_is_redone(cohort, tmp_path):
    out, mask = tmp_path / "out", cohort[0].with_name("Doe-Jane-infection.nii")
    requests = [ScanRequest(cohort[0], infection=mask), *cohort[1:]]
    assert kept(run(requests, out)) == [False, False, False]
    before = tree(out)
    assert kept(run(requests, out)) == [True, True, True]
    assert tree(out) == before
    write_scan(cohort[1], lesion=(1, 40, 28, 5))
    assert kept(run(requests, out)) == [True, False, True]
    assert [(row["number"], row["status"]) for row in table(out)] == [("1", "done"), ("2", "done"), ("3", "done")]
    os.utime(mask)
    assert kept(run(requests, out)) == [False, True, True]
    (out / "scan-003" / "result.json").write_text("{}")
    assert kept(run(requests, out)) == [True, True, False]
    assert kept(run(requests, out, restart=True)) == [False, False, False]


@pytest.mark.usefixtures("reading_here")
@pytest.mark.parametrize("change", ["model", "options", "outputs", "version"])
def test_another_model_option_output_or_version_redoes_all(cohort, tmp_path, monkeypatch, change):
    run(cohort, tmp_path / "out")
    model, more = marker(), {}
    if change == "model":
        model = replace(model, card=model.card.model_copy(update={"tensors_sha256": "f" * 64}))
    elif change == "version":
        monkeypatch.setattr(batch, "__version__", "99")
    else:
        more = {"aggregate": "mean"} if change == "options" else {"formats": ["json", "png"]}
    assert kept(run(cohort, tmp_path / "out", model, **more)) == [False, False, False]


@pytest.mark.usefixtures("reading_here")
def test_a_model_that_does_not_know_its_own_hash_is_never_taken_for_another(cohort, tmp_path):
    model = marker()
    model = replace(model, card=model.card.model_copy(update={"tensors_sha256": None}))
    run(cohort, tmp_path / "out", model)
    assert kept(run(cohort, tmp_path / "out", model)) == [False, False, False]


@pytest.mark.usefixtures("reading_here")
def test_a_shorter_batch_leaves_nothing_of_the_longer_one(cohort, tmp_path):
    run(cohort, tmp_path / "out")
    assert kept(run(cohort[:2], tmp_path / "out")) == [True, True]
    assert len(table(tmp_path / "out")) == 2
    assert not (tmp_path / "out" / "scan-003").exists()
    run(cohort[:1], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scan-001"]


def kill(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(number, function, instead=kill):
    """The function, with another one in its place at one of its calls."""
    calls = []

    def wrapped(*arguments, **named):
        calls.append(1)
        return (instead if len(calls) == number else function)(*arguments, **named)

    return wrapped


def half_a_line(self, entry):
    self._file.write(journal._line(entry).encode()[:40])
    kill()


MOMENTS = {
    "before a folder": lambda patch: patch(batch_work, "write", at_call(2, batch_work.write)),
    "in a folder": lambda patch: patch(
        result_folder, "FORMATS", {"json": replace(FORMATS["json"], write=at_call(2, FORMATS["json"].write))}
    ),
    "between a folder and its line": lambda patch: patch(journal.Journal, "add", at_call(3, journal.Journal.add)),
    "in a line": lambda patch: patch(journal.Journal, "_append", at_call(2, journal.Journal._append, half_a_line)),
    "in the table": lambda patch: patch(summary, "write_csv", kill),
    "at the end": lambda patch: patch(batch, "discard_others", kill),
}


@pytest.mark.usefixtures("reading_here")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_batch_goes_on_and_ends_in_the_same_files(cohort, tmp_path, monkeypatch, moment):
    run(cohort, tmp_path / "whole")
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(
                1
            )  # a fork has none of the threads that an earlier test began, and would wait for them
            MOMENTS[moment](setattr)
            run(cohort, tmp_path / "killed")
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    done = kept(run(cohort, tmp_path / "killed"))
    assert sum(done) == {"before a folder": 2, "in a folder": 2, "at the end": 3}.get(
        moment, 2 if "folder" in moment else 1
    )
    assert tree(tmp_path / "killed") == near(tree(tmp_path / "whole"))


def test_a_folder_that_was_being_redone_for_a_change_is_not_taken_for_the_earlier_one(tmp_path):
    """Killed after the changed scan's folder and before its line; then the change is taken back."""
    folder = tmp_path / "scan-001"
    folder.mkdir()
    with journal.Journal(tmp_path) as begun:
        begun.add(folder, "as it was", Summary(code="NO_LUNG"))
    with journal.Journal(tmp_path) as begun:
        assert begun.done(folder, "as it was").code == "NO_LUNG"
        assert begun.done(folder, "changed") is None
    with journal.Journal(tmp_path) as begun:
        assert begun.done(folder, "as it was") is None


def test_a_graph_that_turns_out_damaged_takes_no_earlier_result_away(cohort, tmp_path, monkeypatch):
    run(cohort[:1], tmp_path / "out")
    before = tree(tmp_path / "out")

    def damaged(*_):
        raise BadModel("damaged")

    monkeypatch.setattr(TorchRuntime, "_run", damaged)
    monkeypatch.setattr(TorchRuntime, "ready", damaged)
    with pytest.raises(BadModel):
        run(cohort[:1], tmp_path / "out")
    assert tree(tmp_path / "out") == before
    monkeypatch.setattr(TorchRuntime, "ready", lambda _: None)
    with pytest.raises(BadModel):
        run(cohort[:1], tmp_path / "out")  # it could be used, and not for this scan
    assert not list(tmp_path.glob("out/**/result.json"))


def test_an_estimate_stands_between_its_bounds():
    row = Summary(infected_ml=BoundedInfo(estimate=2, low=1, high=3), positive_range=(0.25, 0.5)).row()
    told = {name: float(row[name]) for name in row if row[name] and name != "status"}
    assert told == {
        "infected_ml": 2, "infected_ml_low": 1, "infected_ml_high": 3, "positive_low": 0.25, "positive_high": 0.5
    }  # fmt: skip


def test_a_scan_that_ends_its_reader_is_tried_again(cohort, tmp_path, monkeypatch):
    poison_readers(tmp_path, monkeypatch)
    cohort[1].write_bytes(POISON)
    first = run(cohort, tmp_path / "out")
    assert first[1].summary.code == "READER_LOST" and first[1].log.is_file()
    assert kept(run(cohort, tmp_path / "out")) == [True, False, True]
    write_scan(cohort[1])
    assert not run(cohort, tmp_path / "out")[1].summary.refused
    assert not (tmp_path / "out" / "readers.log").exists()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    card = marker(size=64, crop=64).card
    save_model(path, networks.build("triple", classes=2).eval(), torch.full((64, 64), 0.5), card)
    return path


def test_two_processes_write_what_one_writes_and_a_lost_one_costs_its_scan(cohort, tmp_path, monkeypatch, model_file):
    with monkeypatch.context() as patched:
        patched.setattr(batch_work, "Worker", lambda: nullcontext(None))
        run(cohort, tmp_path / "one", model_file, jobs=1)
    poison_readers(tmp_path, monkeypatch)
    poisoned = cohort[0].with_name("Poe-Jo.nii")
    poisoned.write_bytes(POISON)
    run([*cohort, poisoned], tmp_path / "two", model_file, jobs=2)
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    *others, last = two["results.csv"]
    assert last["code"] == "READER_LOST"
    assert {name: two[name] for name in one} | {"results.csv": others} == near(one)
    assert "Poe" not in (tmp_path / "two" / "readers.log").read_text()
    assert kept(run(cohort, tmp_path / "two", model_file, jobs=1)) == [True, True, True]


@pytest.mark.slow
def test_a_ray_cluster_writes_what_one_process_writes(cohort, tmp_path, monkeypatch, model_file):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'triplenet[ray]'")
    run(cohort, tmp_path / "here", model_file, jobs=1)
    monkeypatch.chdir(tmp_path)
    relative = [path.relative_to(tmp_path) for path in cohort]
    run(relative, "ray", model_file, ray="local", jobs=2)
    assert tree(tmp_path / "ray") == near(tree(tmp_path / "here"))
    assert kept(run(cohort, tmp_path / "ray", model_file, jobs=1)) == [True, True, True]


def test_what_cannot_be_is_refused_before_any_work(cohort, tmp_path):
    out = tmp_path / "out"
    for wrong in ({"jobs": 2}, {"ray": "local"}, {"jobs": 0}, {"lung": cohort[0]}, {"table": "a.csv"}):
        with pytest.raises(BadInput):
            run(cohort, out, **wrong)
    with pytest.raises(BadInput, match="no scans"):
        run([], out)
    assert not out.exists()
    (out / "scan-003").mkdir(parents=True)
    (out / "scan-003" / "letter.txt").write_text("dear")
    with pytest.raises(OutputExists):
        run(cohort, out)
    (out / "scan-003" / "letter.txt").rename(out / "results.csv")
    with pytest.raises(OutputExists, match=r"results\.csv"):
        run(cohort, out)
    assert not (out / "scan-001").exists()
    shutil.rmtree(out)
    out.mkdir()
    with held_folder(out), pytest.raises(OutputExists, match="another batch"):
        run(cohort, out)


@pytest.mark.usefixtures("reading_here")
def test_the_table_can_be_watched(cohort, tmp_path):
    rows = []

    def on_written(written):
        rows.append(len(table(tmp_path / "out")))
        assert (written.number, written.of) == (len(rows), 3)

    run(cohort, tmp_path / "out", on_written=on_written)
    assert rows[0] == 1 and len(table(tmp_path / "out")) == 3


def test_the_next_scans_are_read_ahead_and_no_further(tmp_path, monkeypatch):
    asked = []
    files = [tmp_path / f"{number}.nii" for number in range(6)]
    for file in files[:5]:
        file.write_bytes(b"x" * 100)
    monkeypatch.setattr(os, "posix_fadvise", lambda handle, start, size, _advice: asked.append(size))
    taken = []

    def items():
        for file in files:
            taken.append(file)
            yield file

    ahead = read_ahead(items(), lambda path: [path], 2)
    assert next(ahead) == files[0] and taken == files[:3]
    assert list(ahead) == files[1:]  # the last of which is not there
    for _ in range(500):
        if len(asked) == 5:
            break
        time.sleep(0.01)
    assert asked == [100] * 5


@pytest.mark.slow
def test_a_command_that_is_killed_with_its_processes_at_work_goes_on(cohort, tmp_path, model_file):
    """Killed from outside when so many scans are done, by the command line with two processes."""
    for number in range(5):
        write_scan(cohort[0].with_name(f"more-{number}.nii"), lesion=(number, 40, 28, 5))
    scans = sorted(cohort[0].parent.glob("*.nii"))

    def command(out):
        return [sys.executable, "-m", "triplenet", "predict", *map(str, scans), "--model", model_file, "--out", out,
                "--jobs", "2"]  # fmt: skip

    assert subprocess.run(command(tmp_path / "whole"), capture_output=True, check=False).returncode == 3
    for done in (1, 4, 9):
        running = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = tmp_path / "killed" / journal.JOURNAL
        while running.poll() is None and not (lines.is_file() and lines.read_bytes().count(b"\n") >= done):
            time.sleep(0.01)
        running.kill()
        assert running.wait() == -signal.SIGKILL
    last = subprocess.run(command(tmp_path / "killed"), capture_output=True, text=True, check=False)
    assert last.returncode == 3 and "were done already" in last.stderr
    assert tree(tmp_path / "killed") == near(tree(tmp_path / "whole"))


@pytest.mark.parametrize("scans", [1, 2])
def test_earlier_results_that_go_are_told_of(cohort, tmp_path, reading_here, scans):
    told = []
    run(cohort, tmp_path / "out", on_note=told.append)
    assert told == []
    run([*cohort[:1], *cohort[2:]][:scans], tmp_path / "out", on_note=told.append)
    assert told == [
        f"removed: {3 - scans} earlier results in {'a folder' if scans == 2 else 'folders'} of no scan given now"
    ]


def test_one_path_is_no_list_of_them(tmp_path):
    with pytest.raises(BadInput, match="one path"):
        outputs.predict_batch("scan.nii.gz", tmp_path / "model", tmp_path / "out")
