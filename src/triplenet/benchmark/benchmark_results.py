"""What the finished runs of a benchmark say together, beside what the benchmark was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from pydantic import JsonValue

from triplenet.benchmark.execution import Benchmark
from triplenet.benchmark.plan import Plan
from triplenet.errors import UnknownName
from triplenet.evaluation import results
from triplenet.evaluation.comparisons import Comparison, compare
from triplenet.evaluation.intervals import RESAMPLES
from triplenet.evaluation.predictive_values import PREVALENCES, check_prevalences
from triplenet.evaluation.results import Results, reference_of
from triplenet.evaluation.sample_size import WIDTHS, check_widths
from triplenet.files import jsonable

GAINED = ("auc", "accuracy")


@dataclass(frozen=True, kw_only=True)
class BenchmarkResults(Results):
    """The results of a benchmark's runs."""

    benchmark: Benchmark
    gains: tuple[Comparison, ...]
    """Every variant against the row before it; none where there are no variants"""

    def as_dict(self) -> dict[str, JsonValue]:
        """``statistics.json``; nothing for what is not defined."""
        if not self.gains:
            return super().as_dict()
        gains: JsonValue = jsonable([asdict(one) | {"verdict": one.verdict()} for one in self.gains])
        return super().as_dict() | {"gains": gains}


def summarise(
    found: Benchmark,
    *,
    reference: str | None = None,
    columns: Sequence[str] | None = None,
    temperature: bool = False,
    prevalences: Sequence[float] = PREVALENCES,
    widths: Sequence[float] = WIDTHS,
    resamples: int = RESAMPLES,
) -> BenchmarkResults:
    """Put a benchmark's finished runs together; there must be one at least.

    :param reference: the method that the others are compared with; the baseline where it is among them, else the first
    :param columns: of the cohort, whose values part the patients; by default ``site`` where the tested have several
    :param temperature: take every probability at its run's temperature, fitted on the run's validation patients
    :param prevalences: at which predictive values are told
    :param widths: of intervals, for which the patients needed are told
    :raises UnknownName: no such method or column
    :raises BadRun: runs do not fit together
    :raises BadInput: a prevalence or a width is not one
    """
    plan = found.plan
    common = results.summarise(
        found.runs,
        plan.task,
        plan.methods,
        seeds=plan.seeds,
        patients=plan.prepared.patients,
        reference=reference,
        columns=_columns(plan, columns),
        temperature=temperature,
        prevalences=prevalences,
        widths=widths,
        resamples=resamples,
    )
    gains = compare(common.predictions, plan.steps, positive=common.positive, metrics=GAINED, resamples=resamples)
    return BenchmarkResults(
        benchmark=found, gains=gains, **{field.name: getattr(common, field.name) for field in fields(common)}
    )


def check_choices(
    plan: Plan,
    reference: str | None,
    columns: Sequence[str] | None,
    prevalences: Sequence[float] = PREVALENCES,
    widths: Sequence[float] = WIDTHS,
) -> None:
    """Refuse a reference or columns that are not there, and shares that are none, before anything is trained.

    :raises UnknownName: no such method or column
    :raises BadInput: a prevalence or a width is not one
    """
    check_prevalences(prevalences)
    check_widths(widths)
    reference_of(plan.methods, reference)
    _columns(plan, columns)


def _columns(plan: Plan, wanted: Sequence[str] | None) -> tuple[str, ...]:
    patients = plan.prepared.patients
    if wanted is None:
        tested = {name for number in plan.folds for name in plan.prepared.fold(number).test}
        sites = {patient.site for patient in patients if patient.finding is not None and patient.patient in tested}
        return ("site",) if len(sites) > 1 else ()
    known = ["site", "finding", *dict.fromkeys(name for patient in patients for name in patient.extra)]
    for name in wanted:
        if name not in known:
            raise UnknownName("the cohort has no such column", where=repr(name), do=f"it has {', '.join(known)}")
    return tuple(dict.fromkeys(wanted))
