"""Statistics beside estimates and comparisons, as a reviewer asks for them; the same for a run and a benchmark.

The AUC of a cross-validation in two forms, differences over trainings, the seeds' part of the variance, the width of
the intervals and the patients that a narrower one needs, predictive values at other prevalences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from triplenet.evaluation.averaged_auc import AveragedAuc, averaged_auc
from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.predictions import OutOfFoldPredictions, run_values
from triplenet.evaluation.predictive_values import PREVALENCES, PredictiveValues, predictive_values
from triplenet.evaluation.resampled_t import RunComparison, compare_runs
from triplenet.evaluation.sample_size import WIDTHS, Width, widths_of
from triplenet.evaluation.thresholds import Rule
from triplenet.evaluation.variance_components import VarianceComponents, variance_components
from triplenet.training.job import Job
from triplenet.training.run import Run

#: Tested over trainings, and parted into components of variance.
METRICS = ("auc", "brier", "sensitivity", "specificity", "accuracy", "f1")


@dataclass(frozen=True, kw_only=True)
class Supplement:
    """Of all methods; those all of whose runs failed have no value."""

    aucs: Mapping[str, AveragedAuc]
    run_comparisons: tuple[RunComparison, ...]
    """None of fewer than two methods"""
    components: Mapping[str, Mapping[str, VarianceComponents]]
    """Method -> metric"""
    widths: Mapping[str, Mapping[str, Width]]
    """Method -> metric"""
    predictive_values: Mapping[Rule, Mapping[str, tuple[PredictiveValues, ...]]]
    """Rule of the threshold -> method; empty for several classes"""

    def as_dict(self) -> dict[str, object]:
        """Parts of ``statistics.json``."""
        return {
            "averaged_auc": {method: asdict(one) for method, one in self.aucs.items()},
            "run_comparisons": [asdict(one) for one in self.run_comparisons],
            "variance_components": {
                method: {metric: asdict(one) for metric, one in each.items()}
                for method, each in self.components.items()
            },
            "interval_widths": {
                method: {
                    metric: {
                        "width": one.width,
                        "patients": one.patients,
                        "needed": [{"width": width, "patients": count} for width, count in one.needed.items()],
                    }
                    for metric, one in each.items()
                }
                for method, each in self.widths.items()
            },
            "predictive_values": {
                rule.title: {method: [asdict(one) for one in values] for method, values in each.items()}
                for rule, each in self.predictive_values.items()
            },
        }


def supplement_of(
    predictions: Mapping[str, OutOfFoldPredictions],
    estimates: Mapping[str, Mapping[str, Estimate]],
    threshold_estimates: Mapping[Rule, Mapping[str, Mapping[str, Estimate]]],
    runs: Mapping[Job, Run],
    *,
    reference: str,
    positive: int | None,
    prevalences: Sequence[float] = PREVALENCES,
    widths: Sequence[float] = WIDTHS,
) -> Supplement:
    """Made of what is known already; nothing is drawn.

    :param estimates: method -> ``estimation.estimates``
    :param threshold_estimates: rule -> method -> those where its thresholds call the classes
    :param runs: that tell how many patients they were trained on
    :raises BadInput: a prevalence or a width is not above 0 and below 1
    """
    values = {name: run_values(own, positive) for name, own in predictions.items()}
    return Supplement(
        aucs={name: averaged_auc(own, positive) for name, own in predictions.items()},
        run_comparisons=compare_runs(
            predictions, reference, positive=positive, metrics=METRICS, trained=_trained_on(runs)
        ),
        components={
            name: {metric: variance_components(found.get(metric, np.full((1, 1), np.nan))) for metric in METRICS}
            for name, found in values.items()
        },
        widths={
            name: widths_of(found, _tested(predictions[name]), positive=positive, widths=widths)
            for name, found in estimates.items()
        },
        predictive_values={
            rule: {
                name: predictive_values(found["sensitivity"], found["specificity"], prevalences)
                for name, found in each.items()
                if found
            }
            for rule, each in threshold_estimates.items()
        },
    )


def _trained_on(runs: Mapping[Job, Run]) -> dict[Job, int]:
    """Training patients with a finding, of the runs that tell."""
    counts = {job: run.info.patients.get("train", {}) for job, run in runs.items()}
    return {job: sum(number for name, number in each.items() if name) for job, each in counts.items() if each}


def _tested(predictions: OutOfFoldPredictions) -> int:
    return int(np.isin(predictions.folds, predictions.finished_folds).sum())
