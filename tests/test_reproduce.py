"""``make reproduce``: every step once, gone on with after a stop, and what is kept says which commit made it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import reproduce as script

from triplenet.catalog import PAPERS_METHODS
from triplenet.files import write_csv, write_json, write_text

TOY = script.SIZES["toy"]


class Verbs:
    """Writes what the verbs would, and notes what was asked."""

    def __init__(self, out: Path, failing: str = "") -> None:
        self.out, self.failing = out, failing
        self.asked: list[str] = []

    def __call__(self, command) -> int:
        word = Path(command[0]).name
        self.asked.append(f"{word} {command[command.index('--task') + 1]}" if word == "benchmark" else word)
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
        folder = Path(command[command.index("--out") + 1])
        for method in command[command.index("--methods") + 1].split(","):
            for fold in (1, 2):
                write_text(folder / "runs" / method / f"fold-{fold}" / "seed-0" / "model.safetensors", "")
        write_text(folder / "report.html", "")
        for name in ("tables/table2.md", "tables/table2.tex", "figures/roc.png", "figures/roc.svg"):
            write_text(folder / name, name)

    def explain(self, command):
        run, folder = Path(command[1]), Path(command[3])
        method, fold = run.parts[-3], run.parts[-2].removeprefix("fold-")
        assert folder.name == f"{method}-fold-{fold}-seed-0"
        write_json(folder / "explanations.json", {"method": method})
        rows = [
            {"number": 7, "right": "yes", "p_positive": 0.9, "mass_inside": 0.25 * int(fold), "peak_inside": "yes"},
            {"number": 8, "right": "no", "p_positive": 0.1, "mass_inside": "", "peak_inside": "no"},
        ]
        write_csv(folder / "explanations.csv", rows)


def done(out, *, failing="", commit="aaa"):
    verbs = Verbs(out, failing)
    return script.reproduce(TOY, out, run=verbs, commit=commit), verbs.asked


def test_every_step_is_done_in_its_order(tmp_path):
    code, asked = done(tmp_path / "made")
    assert code == 0
    assert asked[:5] == ["phantom", "prepare", "phantom_room.py", "benchmark binary", "benchmark appearance"]
    assert asked[5:] == ["explain"] * 2 * 2 * len(TOY.methods)
    page = (tmp_path / "made" / "index.html").read_text(encoding="utf-8")
    for text in ('href="binary/report.html"', 'href="appearance/report.html"', "0.500 (0.400 to 0.600)", "aaa"):
        assert text in page


def test_after_a_stop_finished_steps_are_kept_and_benchmarks_go_on_by_themselves(tmp_path):
    code, asked = done(tmp_path, failing="benchmark appearance")
    assert code == 1
    assert asked[-1] == "benchmark appearance"
    assert not json.loads((tmp_path / "steps.json").read_text())["appearance"]["done"]
    code, asked = done(tmp_path, commit="bbb")
    assert code == 0
    assert asked[:2] == ["benchmark binary", "benchmark appearance"]
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


def test_scores_are_means_over_the_patients_of_all_folds_where_they_are_defined(tmp_path):
    done(tmp_path)
    rows = script.explanation_scores(tmp_path)
    assert [row["method"] for row in rows] == ["covnet", "baseline", "triple"] * 2
    assert [row["task"] for row in rows] == ["binary"] * 3 + ["appearance"] * 3
    # Of two folds: 0.25 and 0.5, one patient each; the peak is inside for one of two in both.
    assert rows[0] == {
        "task": "binary",
        "method": "covnet",
        "mass_inside": 0.375,
        "mass_inside_patients": 2,
        "peak_inside": 0.5,
        "peak_inside_patients": 4,
    }


def test_what_is_kept_says_which_commit_made_it_and_shows_no_place(tmp_path):
    done(tmp_path / "made")
    script.keep(tmp_path / "made", tmp_path / "kept")
    names = {str(path.relative_to(tmp_path / "kept")) for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    own = {f"{task}/{name}" for task in script.TASKS for name in ("tables/table2.md", "figures/roc.png")}
    assert names == {"README.md", "steps.json", "explanation_scores.csv", "phantom_room.json"} | own
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


def test_the_paper_size_is_the_papers():
    size = script.SIZES["paper"]
    assert size.phantom[4:6] == ("--matrix", "512")
    assert "--thickness" not in size.phantom
    assert size.prepare == ("--size", "256", "--frames", "64", "--frame-size", "224")
    assert size.benchmark == ("--recipe", "paper")
    assert size.encoder is None


def test_outside_of_a_repository_the_commit_is_unknown(tmp_path):
    assert script.commit_of(tmp_path) == "unknown"
