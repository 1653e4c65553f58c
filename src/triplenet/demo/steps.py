"""The steps of the demo, each the same call as the verb of that name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from triplenet import catalog, phantom
from triplenet.cohort import read_cohort
from triplenet.demo.outcome import outcome
from triplenet.evaluation.single_run import Evaluation, evaluate, write_evaluation
from triplenet.files import make_folder, refuse_existing, sha256_of, write_text
from triplenet.inference import Result, predict
from triplenet.model import load_model
from triplenet.outputs import write as write_result
from triplenet.prepare.build import prepare
from triplenet.prepare.patient import Options
from triplenet.prepare.store import PreparedSet
from triplenet.report import NewScan, demo_page
from triplenet.training import Run, load_recipe, train

METHODS = ("baseline", "triple")
TASK, FOLD = "binary", 1
LEARNING_RATE = 0.002
MATRIX, THICKNESS_MM, SIZE, CROP, BATCH, ROTATION = 128, 5.0, 128, 112, 8, 15.0

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Demo:
    """What the demo made."""

    folder: Path
    report: Path
    evaluations: dict[str, Evaluation]
    result: Result
    seconds: dict[str, float]
    """By step"""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "report": str(self.report),
            "evaluations": {method: found.as_dict() for method, found in self.evaluations.items()},
            "prediction": self.result.record.model_dump(mode="json"),
            "seconds": self.seconds,
        }


def run(
    out: Path | str,
    *,
    patients: int = 120,
    epochs: int = 30,
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
    task = catalog.task(TASK)

    clock.begin("phantoms", f"1/6  {patients} synthetic patients as DICOM series -> {out / 'cohort'}")
    table = phantom.write_cohort(
        out / "cohort",
        patients=patients,
        seed=seed,
        format="dicom",
        matrix=MATRIX,
        thickness_mm=THICKNESS_MM,
        on_progress=lambda done, total: on_progress("patients", done, total),
    )
    clock.begin("prepare", f"2/6  one slice a patient, windowed and labelled -> {out / 'prepared'}")
    prepared = prepare(
        read_cohort(table),
        out / "prepared",
        Options(size=SIZE),
        on_progress=lambda done, total: on_progress("patients", done, total),
    )
    runs = {}
    for number, method in enumerate(METHODS, start=3):
        title = catalog.method(method).title
        fold = prepared.fold(FOLD)
        clock.begin(
            method,
            f"{number}/6  {title}: {epochs} epochs on {len(fold.train)} patients, from random weights -> "
            f"{out / 'runs' / method}",
        )
        runs[method] = _train(prepared, task, method, epochs, out / "runs" / method, on_progress)
    clock.begin("compare", f"5/6  both on the {len(prepared.fold(FOLD).test)} patients of the test fold")
    evaluations = {method: evaluate(one) for method, one in runs.items()}
    for method, found in evaluations.items():
        write_evaluation(found, runs[method])
        auc, accuracy = found.metrics["auc"], found.metrics["accuracy"]
        say(
            f"     {catalog.method(method).title}: AUC {auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f}), "
            f"accuracy {accuracy.value:.2f} ({accuracy.low:.2f} to {accuracy.high:.2f})"
        )
    clock.begin("predict", f"6/6  a new scan, which no training has seen -> {out / 'new-scan'}")
    result, finding = _predict_new(out, runs["triple"], seed)
    say(f"     {result.record.predicted} (positive {result.record.positive_probability:.2f}); truly {finding}")
    report = out / "report.html"
    seconds = clock.end()
    new_scan = NewScan(result, finding, task.findings[finding])
    commands = _commands(patients, epochs, seed)
    shown = outcome(prepared, runs, evaluations, new_scan, sum(seconds.values()), commands)
    write_text(report, demo_page(shown))
    return Demo(out, report, evaluations, result, seconds)


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
        if text:
            self._say(text)

    def end(self) -> dict[str, float]:
        if self._step:
            self._seconds[self._step] = round(perf_counter() - self._since, 1)
        return dict(self._seconds)


def _train(
    prepared: PreparedSet, task: catalog.Task, method: str, epochs: int, out: Path, on_progress: Progress
) -> Run:
    recipe = load_recipe("quick", method=method, settings=_settings(epochs))
    return train(
        prepared,
        task,
        FOLD,
        recipe,
        out,
        device="cpu",
        on_epoch=lambda epoch: on_progress("epochs", epoch.epoch + 1, epochs),
    )


def _predict_new(out: Path, run: Run, seed: int) -> tuple[Result, str]:
    """A new patient with a typical appearance, as DICOM; the infection mask chooses the slice and is compared with."""
    new = next(number for number in range(seed + 1, seed + 1000) if phantom.finding_of(number, 0) == "typical")
    table = phantom.write_cohort(
        out / "new-scan", patients=1, seed=new, format="dicom", matrix=MATRIX, thickness_mm=THICKNESS_MM
    )
    (patient,) = read_cohort(table)
    model = load_model(run.model)
    result = predict(patient.scan, model, infection=patient.infection, model_sha256=sha256_of(run.model))
    write_result(result, out / "result")
    return result, patient.finding or ""


def _settings(epochs: int) -> list[str]:
    return [
        "encoder.weights=none",
        f"augmentation.crop={CROP}",
        # Patients lie as they lie: turning them by a right angle takes longer to learn than the demo has.
        f"augmentation.rotation_degrees={ROTATION}",
        f"training.epochs={epochs}",
        f"training.batch={BATCH}",
        f"training.learning_rate={LEARNING_RATE}",
        # A validation fold of a dozen patients cannot choose an epoch.
        "training.keep=last",
    ]


def _commands(patients: int, epochs: int, seed: int) -> tuple[str, ...]:
    """The same by hand."""
    sets = " ".join(f"--set {setting}" for setting in _settings(epochs))
    trained = [
        f"triplenet train prepared --method {method} --task {TASK} --fold {FOLD} --recipe quick {sets} "
        f"--out runs/{method}"
        for method in METHODS
    ]
    return (
        f"triplenet phantom cohort --patients {patients} --seed {seed} --matrix {MATRIX} --thickness {THICKNESS_MM:g}",
        f"triplenet prepare cohort/cohort.csv prepared --size {SIZE}",
        *trained,
        *(f"triplenet evaluate runs/{method}" for method in METHODS),
        "triplenet predict new-scan/scans/phantom-0001 --infection new-scan/masks/phantom-0001-infection.nii.gz "
        "--model runs/triple/model.safetensors --out results",
    )
