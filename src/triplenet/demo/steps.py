"""The steps of the demo, each the same call as the verb of that name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from triplenet import catalog, phantom
from triplenet.benchmark.progress import RunProgress
from triplenet.benchmark.records import run_folder
from triplenet.catalog import INTENDED_USE
from triplenet.cohort import read_cohort
from triplenet.demo.patients_picture import write_patients_picture
from triplenet.files import make_folder, refuse_existing, write_text
from triplenet.inference import Result, predict
from triplenet.outputs import write as write_result
from triplenet.outputs.result_page import new_scan
from triplenet.prepare.preparation import prepare
from triplenet.prepare.store import PreparedSet
from triplenet.report.benchmark_page import benchmark_page
from triplenet.report.benchmark_report import BenchmarkReport, benchmark
from triplenet.training.job import Job

METHODS = ("baseline", "triple")
EXPLAINED = "triple"
"""Whose model predicts the new scan"""
TASK, FOLD = "binary", 1
PATIENTS, EPOCHS, LEARNING_RATE = 72, 20, 0.002
MATRIX, THICKNESS_MM, SIZE, CROP, BATCH, ROTATION = 96, 8.0, 96, 80, 8, 15.0
NOTICE = (
    f"{INTENDED_USE} Every scan on this page is synthetic: it shows that the software works, and says nothing about "
    "patients. So small a cohort cannot rank two methods."
)

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Demo:
    """What the demo made."""

    folder: Path
    report: Path
    benchmark: BenchmarkReport
    result: Result
    seconds: dict[str, float]
    """By step"""
    commands: tuple[str, ...]
    """That do the same, in the demo's folder"""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "report": str(self.report),
            "benchmark": self.benchmark.as_dict(),
            "prediction": self.result.record.model_dump(mode="json"),
            "seconds": self.seconds,
            "commands": list(self.commands),
        }


def run(
    out: Path | str,
    *,
    patients: int = PATIENTS,
    epochs: int = EPOCHS,
    seed: int = 0,
    say: Say = lambda _text: None,
    on_progress: Progress = lambda _text, _done, _total: None,
) -> Demo:
    """Run the demo into a new folder.

    :param say: told what is being done, a line a step
    :param on_progress: called with (step, done, total) while a step works
    :raises OutputExists: ``out`` is there and not empty
    """
    out = Path(out)
    refuse_existing(out)
    make_folder(out)
    clock = _Clock(say)
    new = next(number for number in range(seed + 1, seed + 1000) if phantom.finding_of(number, 0) == "typical")
    commands = _commands(patients, epochs, seed, new)

    clock.begin("phantoms", f"1/4  {patients} synthetic patients as DICOM series -> {out / 'cohort'}")
    table = _phantoms(out / "cohort", patients, seed, lambda done, total: on_progress("patients", done, total))
    clock.begin("prepare", f"2/4  one slice a patient, windowed and labelled -> {out / 'prepared'}")
    prepared = prepare(
        table, out / "prepared", size=SIZE, on_progress=lambda done, total: on_progress("patients", done, total)
    )
    write_patients_picture(prepared, out / "patients.png")
    say(f"     the first picture: {out / 'patients.png'}")
    fold = prepared.fold(FOLD)
    titles = " and ".join(catalog.method(method).title for method in METHODS)
    clock.begin(
        "benchmark",
        f"3/4  {titles}: {epochs} epochs on {len(fold.train)} patients from random weights, side by side, compared on "
        f"{len(fold.test)} others -> {out / 'benchmark'}",
    )
    made = _train_and_compare(prepared, out, epochs, commands[2], on_progress)
    for line in _compared(made):
        say(f"     {line}")
    clock.begin("predict", f"4/4  a new scan, which no training has seen -> {out / 'new-scan'}")
    result, finding = _predict_new(out, new)
    say(f"     {result.record.predicted} (positive {result.record.positive_probability:.2f}); truly {finding}")
    seconds = clock.end()
    report = out / "report.html"
    write_text(report, _page(made, result, finding, commands, sum(seconds.values())))
    return Demo(out, report, made, result, seconds, commands)


class _Clock:
    """Seconds by step."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._step = ""
        self._since = perf_counter()
        self._seconds: dict[str, float] = {}

    def begin(self, step: str, text: str) -> None:
        self.end()
        self._step, self._since = step, perf_counter()
        self._say(text)

    def end(self) -> dict[str, float]:
        if self._step:
            self._seconds[self._step] = round(perf_counter() - self._since, 1)
        return dict(self._seconds)


def _phantoms(out: Path, patients: int, seed: int, on_progress: Callable[[int, int], None] | None = None) -> Path:
    return phantom.write_cohort(
        out,
        patients=patients,
        seed=seed,
        format="dicom",
        matrix=MATRIX,
        thickness_mm=THICKNESS_MM,
        on_progress=on_progress,
    )


def _train_and_compare(
    prepared: PreparedSet, out: Path, epochs: int, command: str, on_progress: Progress
) -> BenchmarkReport:
    """The benchmark of the demo.

    :param command: that does the same
    """
    return benchmark(
        prepared,
        out / "benchmark",
        TASK,
        methods=METHODS,
        folds=(FOLD,),
        recipe="quick",
        settings=_settings(epochs),
        workers=len(METHODS),
        device="cpu",
        map_patients=0,  # a newcomer waits
        command=command,
        following=lambda _plan: _followed(on_progress),
    )


def _followed(on_progress: Progress) -> AbstractContextManager[Callable[[Mapping[Job, RunProgress]], None]]:
    """Epochs of all trainings together."""

    def advance(progress_of: Mapping[Job, RunProgress]) -> None:
        done = sum(one.of if one.ended else one.epochs for one in progress_of.values())
        on_progress("epochs", done, sum(one.of for one in progress_of.values()))

    return nullcontext(advance)


def _compared(made: BenchmarkReport) -> list[str]:
    lines = [f"{job}: failed: {failure.code}: {failure.text}" for job, failure in made.benchmark.failures.items()]
    for method in () if made.results is None else made.results.finished:
        found = made.results.estimates[method] if made.results is not None else {}
        auc, brier = found["auc"], found["brier"]
        lines.append(
            f"{catalog.method(method).title}: AUC {auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f}), "
            f"Brier score {brier.value:.2f} ({brier.low:.2f} to {brier.high:.2f})"
        )
    return lines + [drawn.answer for drawn in made.figures if drawn.answer]


def _predict_new(out: Path, seed: int) -> tuple[Result, str]:
    """A new patient with a typical appearance, as DICOM; the infection mask chooses the slice and is compared with."""
    (patient,) = read_cohort(_phantoms(out / "new-scan", 1, seed))
    model = run_folder(out / "benchmark", Job(EXPLAINED, FOLD, 0)) / "model.safetensors"
    result = predict(patient.scan, model, infection=patient.infection)
    write_result(result, out / "results" / "scan-001")
    return result, patient.finding or ""


def _page(made: BenchmarkReport, result: Result, finding: str, commands: Sequence[str], seconds: float) -> str:
    """The benchmark's own page, with the new scan as a section."""
    return benchmark_page(
        made.benchmark,
        made.results,
        made.tables,
        made.figures,
        command="\n".join(commands),
        seconds=seconds,
        eyebrow="triplenet demo on synthetic patients",
        notice=NOTICE,
        more=[new_scan(result, finding=finding, truth=catalog.task(TASK).findings[finding])],
    )


def _settings(epochs: int) -> list[str]:
    return [
        "encoder.weights=none",
        f"augmentation.crop={CROP}",
        # Patients lie as they lie: turning them by a right angle takes longer to learn than the demo has.
        f"augmentation.rotation_degrees={ROTATION:g}",
        f"training.epochs={epochs}",
        f"training.batch={BATCH}",
        f"training.learning_rate={LEARNING_RATE}",
        # A validation fold of half a dozen patients cannot choose an epoch.
        "training.keep=last",
    ]


def _commands(patients: int, epochs: int, seed: int, new: int) -> tuple[str, ...]:
    """The same by hand."""
    sets = " ".join(f"--set {setting}" for setting in _settings(epochs))
    size = f"--matrix {MATRIX} --thickness {THICKNESS_MM:g}"
    model = run_folder(Path("benchmark"), Job(EXPLAINED, FOLD, 0)) / "model.safetensors"
    return (
        f"triplenet phantom cohort --patients {patients} --seed {seed} {size}",
        f"triplenet prepare cohort/cohort.csv prepared --size {SIZE}",
        f"triplenet benchmark prepared --task {TASK} --methods {','.join(METHODS)} --folds {FOLD} --recipe quick "
        f"{sets} --workers {len(METHODS)} --device cpu --map-patients 0 --out benchmark",
        f"triplenet phantom new-scan --patients 1 --seed {new} {size}",
        "triplenet predict new-scan/scans/phantom-0001 --infection new-scan/masks/phantom-0001-infection.nii.gz "
        f"--model {model} --out results",
    )
