"""``make reproduce``: every step once, gone on with after a stop, and what is kept says which commit made it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks import reproduce as script

from triplenet.benchmark.benchmark_files import MAPS, STATISTICS, TABLES
from triplenet.benchmark.variants import parse_variants
from triplenet.catalog import PAPERS_METHODS
from triplenet.evaluation.map_tables import SCORES
from triplenet.evaluation.method_tables import TABLE2, TABLE3
from triplenet.evaluation.tables import Cell, Column, Row, Table, write_table
from triplenet.files import write_json, write_text
from triplenet.training import load_recipe

TOY = script.SIZES["toy"]


class Verbs:
    """Writes what the verbs would, and notes what was asked."""

    def __init__(self, out: Path, failing: str = "") -> None:
        self.out, self.failing = out, failing
        self.asked: list[str] = []

    def __call__(self, command) -> int:
        word = Path(command[0]).name
        self.asked.append(f"{word} {Path(command[command.index('--out') + 1]).name}" if word == "benchmark" else word)
        if self.failing and self.asked[-1] == self.failing:
            return 1
        getattr(self, word.removesuffix(".py"))(command)
        return 0

    def phantom(self, command):
        write_text(Path(command[1], "cohort.csv"), "patient\n")

    def prepare(self, command):
        assert Path(command[1]).is_file()
        write_text(Path(command[2], "prepared.json"), "{}")

    def phantom_room(self, command):
        bound = {"auc": [0.5, 0.4, 0.6], "accuracy": [1.0, 0.9, None]}
        bounds = dict.fromkeys(("opacity", "position", "slice", "volume"), bound)
        write_json(Path(command[-1]), dict.fromkeys(script.TASKS, bounds))

    def benchmark(self, command):
        folder, binary = Path(command[command.index("--out") + 1]), "binary" in command
        write_text(folder / "report.html", "")
        write_text(folder / "runs" / "triple" / "model.safetensors", "")
        write_text(folder / "scored" / "triple.json", "{}")
        (folder / "figures" / "heatmaps-1").mkdir(parents=True, exist_ok=True)
        for name in ("roc.png", "roc.svg", "roc.csv", "heatmaps-1.png", "heatmaps-1/triple.png"):
            write_text(folder / "figures" / name, name)
        for name in ("heatmaps-1-paper.png", "heatmaps-1-own-maximum.png"):
            write_text(folder / "figures" / name, name)
        auc, f = Cell(0.9, spread=0.025, mark="better"), Cell(float("nan"), spread=float("nan"))
        row = Row("triple", "Triple Net", {"auc": auc, "accuracy": Cell(0.7), "f1": f}, "1 of 3 runs failed")
        write_table(
            folder / TABLES,
            Table("table2" if binary else "table3", "T", "method", TABLE2 if binary else TABLE3, (row,)),
        )
        column = Column("average_precision", "average precision", scale=1)
        cells = {"average_precision": Cell(0.25 if binary else 0.5, low=0.125, high=0.75)}
        rows = [Row("triple/own", "Triple Net", cells, "does not exceed Lung mask" if binary else "")]
        rows += [Row("lung", "Lung mask", cells, "sees no network")] if binary else []
        write_table(folder / TABLES, Table(SCORES, "T", "map", (column,), tuple(rows)))
        write_json(folder / MAPS, {"primary": "average_precision"})
        write_json(folder / STATISTICS, {})


def done(out, *, failing="", commit="aaa"):
    verbs = Verbs(out, failing)
    return script.reproduce(TOY, out, run=verbs, commit=commit), verbs.asked


def test_every_step_is_done_in_its_order(tmp_path):
    code, asked = done(tmp_path / "made")
    assert code == 0
    assert asked[:3] == ["phantom", "prepare", "phantom_room.py"]
    assert asked[3:] == ["benchmark binary", "benchmark appearance", "benchmark ablations"]
    page = (tmp_path / "made" / "index.html").read_text(encoding="utf-8")
    for text in (
        'href="binary/report.html"',
        'href="appearance/report.html"',
        'href="ablations/report.html"',
        "worse than Triple Net",
        "50.0 (40.0 to 60.0)",
        "100.0 (90.0 to –)",
        "aaa",
    ):
        assert text in page


def test_after_a_stop_finished_steps_are_kept_and_benchmarks_go_on_by_themselves(tmp_path):
    code, asked = done(tmp_path, failing="benchmark appearance")
    assert code == 1
    assert asked[-1] == "benchmark appearance"
    assert not json.loads((tmp_path / "steps.json").read_text())["appearance"]["done"]
    code, asked = done(tmp_path, commit="bbb")
    assert code == 0
    assert asked == ["benchmark binary", "benchmark appearance", "benchmark ablations"]
    said = json.loads((tmp_path / "steps.json").read_text())
    assert said["phantom"]["commits"] == ["aaa"]
    assert said["binary"]["commits"] == ["aaa", "bbb"]
    assert said["appearance"]["done"]
    assert said["phantom"]["command"].startswith(f"triplenet phantom {tmp_path.name}/cohort --patients 30")


def test_a_folder_of_another_size_is_refused_and_one_of_other_workers_is_not(tmp_path):
    done(tmp_path)
    assert script.reproduce(TOY, tmp_path, run=Verbs(tmp_path), commit="aaa", workers=2) == 0
    with pytest.raises(SystemExit, match="another command for phantom"):
        script.reproduce(script.SIZES["small"], tmp_path, run=Verbs(tmp_path), commit="aaa")


def test_a_verb_that_says_done_and_left_nothing_is_not_done(tmp_path):
    assert script.reproduce(TOY, tmp_path, run=lambda _command: 0, commit="aaa") == 1


def test_a_benchmark_with_a_failed_run_goes_on(tmp_path):
    verbs = Verbs(tmp_path)
    code = script.reproduce(TOY, tmp_path, run=lambda c: verbs(c) or (3 if c[0] == "benchmark" else 0), commit="aaa")
    assert code == 0


def shown_rows(page, anchor):
    """The texts of a section's table, a list a row."""
    part = page[page.index(f'<section id="{anchor}"') :]
    part = part[part.index("<table") : part.index("</table>")]
    return [
        [re.sub(r"<[^>]*>", " ", cell).split() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", part)
    ]


def test_the_index_shows_the_main_columns_of_both_tables(tmp_path):
    done(tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    head, row = shown_rows(page, "binary")
    assert [" ".join(words) for words in head] == ["method", "AUC (%)", "accuracy (%)", "sensitivity (%)", "F (%)"]
    # A cell that was not written and one that is not defined are dashes both.
    assert [" ".join(words) for words in row] == [
        "Triple Net (1 of 3 runs failed)",
        "90.00⁺ ± 2.50",
        "70.00",
        "–",
        "–",
    ]
    assert shown_rows(page, "appearance")[0][3] == ["recall", "(%)"]


def test_the_index_shows_the_primary_scores_of_the_maps_of_both_tasks_side_by_side(tmp_path):
    done(tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    head, *rows = [[" ".join(words) for words in row] for row in shown_rows(page, "maps")]
    assert head == ["map", "binary: average precision", "appearance: average precision"]
    assert rows == [
        ["Triple Net", "0.250 (0.125 to 0.750) does not exceed Lung mask", "0.500 (0.125 to 0.750)"],
        ["Lung mask", "0.250 (0.125 to 0.750) sees no network", "–"],
    ]


def test_scores_of_maps_that_are_shares_are_in_per_cent_as_in_the_table(tmp_path):
    row = {"remark": "", "energy": "0.025", "energy_low": "0.0125", "energy_high": "1.0"}
    assert ">2.5 (1.2 to 100.0)<" in script._score(row, "energy", percent=True)
    done(tmp_path)
    write_json(tmp_path / "binary" / MAPS, {"primary": "energy_in_lesion"})
    page = script.index(tmp_path, {})
    assert "binary: energy in the lesion (%)" in page
    assert "appearance: average precision<" in page


def test_the_columns_that_the_index_shows_are_the_tables_own():
    for task, table in (("binary", TABLE2), ("appearance", TABLE3)):
        assert set(script.SHOWN[task][1].values()) <= {column.name for column in table}


def test_an_index_without_tables_and_maps_has_what_there_is(tmp_path):
    page = script.index(tmp_path, {})
    assert 'href="binary/report.html"' in page
    for anchor in ("binary", "appearance", "maps", "room"):
        assert f'<section id="{anchor}"' not in page


FORMER = {
    "phantom": "triplenet phantom made/cohort --like paper --seed 11 --matrix 128 --thickness 5 --format nifti",
    "prepare": "triplenet prepare made/cohort/cohort.csv made/prepared --size 64 --frames 8 --frame-size 48 "
    "--allow-leakage",
    "room": "python benchmarks/phantom_room.py made/cohort/cohort.csv --out made/phantom_room.json",
    "binary": "triplenet benchmark made/prepared --out made/binary --task binary --methods "
    "resnet3d,covnet,decovnet,baseline,wsdl,abn,mtdl,double,triple,triple-wsdl --recipe quick "
    "--set training.epochs=8 --set training.learning_rate=0.001 --encoder none --device cpu",
    "appearance": "triplenet benchmark made/prepared --out made/appearance --task appearance --methods "
    "resnet3d,covnet,decovnet,baseline,wsdl,abn,mtdl,double,triple,triple-wsdl --recipe quick "
    "--set training.epochs=8 --set training.learning_rate=0.001 --encoder none --device cpu",
    "explain binary triple-fold-1-seed-0": "triplenet explain made/binary/runs/triple/fold-1/seed-0 --out "
    "made/explained/binary/triple-fold-1-seed-0 --device cpu",
}
"""What code that explains every run by a step of its own would write of the small size."""


def test_a_folder_begun_when_there_were_more_steps_is_gone_on_with(tmp_path):
    out, note = tmp_path / "made", {"commits": ["old"], "seconds": 8.0, "done": True}
    write_json(out / "steps.json", {name: {"command": command} | note for name, command in FORMER.items()})
    for path in ("cohort/cohort.csv", "prepared/prepared.json"):
        write_text(out / path, "")
    verbs = Verbs(out)
    assert script.reproduce(script.SIZES["small"], out, run=verbs, commit="new", workers=1) == 0
    assert verbs.asked == ["phantom_room.py", "benchmark binary", "benchmark appearance", "benchmark ablations"]
    said = json.loads((out / "steps.json").read_text(encoding="utf-8"))
    now = {name: said[name]["command"] for name in said if name != "ablations"}
    beside = {name: f"{FORMER[name]} --comparators all" for name in script.TASKS}
    assert now == FORMER | beside
    assert said["binary"]["commits"] == ["old", "new"]
    script.keep(out, tmp_path / "kept")
    kept = json.loads((tmp_path / "kept" / "steps.json").read_text(encoding="utf-8"))
    assert list(kept) == ["phantom", "prepare", "room", "binary", "appearance", "ablations"]
    assert "explain" not in (out / "index.html").read_text(encoding="utf-8")


def test_of_a_call_that_is_stopped_its_commit_and_its_seconds_are_known(tmp_path, monkeypatch):
    clock = iter([100.0, 107.5])
    monkeypatch.setattr(script, "monotonic", lambda: next(clock))
    seen = []

    def stopped(_command):
        seen.append(json.loads((tmp_path / "steps.json").read_text(encoding="utf-8"))["phantom"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        script.reproduce(TOY, tmp_path, run=stopped, commit="aaa")
    assert seen[0]["commits"] == ["aaa"]  # while it runs: a killed call writes nothing more
    said = json.loads((tmp_path / "steps.json").read_text(encoding="utf-8"))
    assert said["phantom"]["seconds"] == 7.5
    assert not said["phantom"]["done"]


def test_what_is_kept_says_which_commit_made_it_and_shows_no_place(tmp_path):
    done(tmp_path / "made")
    script.keep(tmp_path / "made", tmp_path / "kept")
    names = {str(path.relative_to(tmp_path / "kept")) for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    expected = {"README.md", "steps.json", "phantom_room.json"}
    for task, table in (("binary", "table2"), ("appearance", "table3"), ("ablations", "table2")):
        expected |= {f"{task}/{name}" for name in ("maps.json", "statistics.json")}
        expected |= {f"{task}/tables/{name}.{end}" for name in (table, "map_scores") for end in ("md", "csv")}
        expected |= {f"{task}/figures/{name}" for name in ("roc.png", "roc.csv", "heatmaps-1.png")}
    assert names == expected
    text = (tmp_path / "kept" / "README.md").read_text(encoding="utf-8")
    assert "| binary | aaa |" in text
    assert "triplenet prepare made/cohort/cohort.csv made/prepared" in text
    assert str(tmp_path) not in text + (tmp_path / "kept" / "steps.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["small", "paper"])
def test_a_size_makes_the_papers_cohort_with_frames_for_all_ten_methods(name, tmp_path):
    size = script.SIZES[name]
    assert size.phantom[:2] == ("--like", "paper")
    assert "--frames" in size.prepare
    assert size.methods == tuple(PAPERS_METHODS)
    binary = next(step for step in script.steps(size, tmp_path, "weights.pth", 2) if step.name == "binary")
    assert binary.command[-4:] == ("--encoder", "weights.pth", "--device", size.device)
    assert binary.machine == ("--workers", "2")


@pytest.mark.parametrize("name", ["small", "paper"])
def test_the_ablations_are_variants_that_there_are_and_train_as_many_steps(name, tmp_path):
    size = script.SIZES[name]
    (step,) = (one for one in script.steps(size, tmp_path) if one.name == "ablations")
    given = [step.command[at + 1] for at, word in enumerate(step.command) if word == "--variant"]
    variants = parse_variants(given)
    assert len(variants) == 11 + 6
    epochs = {}
    for one in variants.values():
        recipe = load_recipe(size.benchmark[1], method=one.method, settings=(*size.benchmark[3::2], *one.settings))
        epochs[one.name] = recipe.training.epochs
    whole = epochs["masks-3"]
    for method in ("baseline", "triple"):
        assert [round(epochs[f"{method}-{number}"] * number / 852) for number in (400, 200, 100)] == [whole] * 3
    assert step.command[step.command.index("--reference") + 1] == "triple"


def test_the_paper_size_is_the_papers():
    size = script.SIZES["paper"]
    assert size.phantom[4:6] == ("--matrix", "512")
    assert "--thickness" not in size.phantom
    assert size.prepare == ("--size", "256", "--frames", "64", "--frame-size", "224", "--allow-leakage")
    assert size.benchmark == ("--recipe", "paper")
    assert size.encoder is None


def test_outside_of_a_repository_the_commit_is_unknown(tmp_path):
    assert script.commit_of(tmp_path) == "unknown"


def test_a_step_ends_with_the_reproduction(tmp_path):
    """Else the next call would find another process in its folder."""
    step = tmp_path / "step.py"
    step.write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "time.sleep(300)\n"
    )
    steps = "from benchmarks import reproduce\n"
    steps += f"reproduce.reproduce = lambda *_, run, **__: run([{str(step)!r}, '--out', 'x'])\n"
    steps += "reproduce.main()"
    running = subprocess.Popen([sys.executable, "-c", steps], cwd=Path(script.__file__).parents[1])
    try:
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            assert running.poll() is None
            time.sleep(0.05)
        running.terminate()
        assert running.wait(timeout=60) == 1
    finally:
        running.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
