"""Classification and visual explanation of pneumonia on chest CT by triple learning.

Research software, not a medical device.

    import triplenet

    prepared = triplenet.prepare("cohort.csv", "prepared", derive_lung=True)
    run = triplenet.train(prepared, "runs/triple-1", "binary", method="triple", encoder="none")
    triplenet.evaluate(run).metrics["auc"]
    result = triplenet.predict("new-scan/", run.model)
    heat = triplenet.explain(run.model, prepared.images[0], method="hirescam")

Each verb of the command line is one call here, with the same defaults; the verb ``explain`` is ``explain_run``, since
``explain`` is of one image. A name is imported when it is first used, so
that reading and preparing need no torch. ``prepare``, ``benchmark`` and ``export`` are calls; the rooms of these names
are reached as ``from triplenet.prepare import ...``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from triplenet.lazy_exports import lazy_exports

__version__ = "0.1.0"

if TYPE_CHECKING:
    from triplenet.cohort import Cohort, load_task, read_cohort
    from triplenet.datasets import import_dataset
    from triplenet.errors import TripleNetError
    from triplenet.evaluation import Evaluation, evaluate
    from triplenet.evaluation.reader_answers import read_answers
    from triplenet.explanation import explain, explain_run
    from triplenet.explanation.reader_study import write_reader_study
    from triplenet.export import export
    from triplenet.inference import Classifier, Result, ScanRequest, predict
    from triplenet.model import Model, load_model, verify_model
    from triplenet.outputs import predict_batch
    from triplenet.outputs import write as write_result
    from triplenet.prepare import PreparedSet, prepare
    from triplenet.report import benchmark
    from triplenet.scan import Scan
    from triplenet.scan import open as open_scan
    from triplenet.scan import read as read_scan
    from triplenet.training import Recipe, Run, load_recipe, open_run, train, train_seeds

_HOMES = {
    "Classifier": "inference",
    "Cohort": "cohort",
    "Evaluation": "evaluation",
    "Model": "model",
    "PreparedSet": "prepare.store",
    "Recipe": "training",
    "Result": "inference",
    "Run": "training",
    "Scan": "scan",
    "ScanRequest": "inference",
    "TripleNetError": "errors",
    "benchmark": "report.benchmark_report",
    "evaluate": "evaluation",
    "explain": "explanation",
    "explain_run": "explanation",
    "export": "export.export_model",
    "import_dataset": "datasets",
    "load_model": "model",
    "load_recipe": "training",
    "load_task": "cohort",
    "open_run": "training",
    "open_scan": "scan:open",
    "predict": "inference",
    "predict_batch": "outputs",
    "prepare": "prepare.preparation",
    "read_answers": "evaluation.reader_answers",
    "read_cohort": "cohort",
    "read_scan": "scan:read",
    "train": "training",
    "train_seeds": "training",
    "verify_model": "model",
    "write_reader_study": "explanation.reader_study",
    "write_result": "outputs:write",
}

__all__ = [
    "Classifier",
    "Cohort",
    "Evaluation",
    "Model",
    "PreparedSet",
    "Recipe",
    "Result",
    "Run",
    "Scan",
    "ScanRequest",
    "TripleNetError",
    "benchmark",
    "evaluate",
    "explain",
    "explain_run",
    "export",
    "import_dataset",
    "load_model",
    "load_recipe",
    "load_task",
    "open_run",
    "open_scan",
    "predict",
    "predict_batch",
    "prepare",
    "read_answers",
    "read_cohort",
    "read_scan",
    "train",
    "train_seeds",
    "verify_model",
    "write_reader_study",
    "write_result",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _FrontDoor(ModuleType):
    """A package whose calls are not hidden by rooms of the same name, which an import would bind here."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor
