"""The primary measure of the maps among parts of the patients, with how many each part has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import RESAMPLES, Estimate
from triplenet.evaluation.map_results import MapKey, MapResults
from triplenet.evaluation.map_statistics import MapValues, map_estimates
from triplenet.evaluation.predictions import OutOfFoldPredictions
from triplenet.explanation.labelled_maps import OWN
from triplenet.prepare.store import PreparedSet

#: A lesion is on both sides if each has this share of it.
OTHER_SIDE = 0.1
#: Millimetres that part thin slices from medium and thick ones.
THIN_MM, THICK_MM = 1.5, 3.0
_THIRDS = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True)
class MapStratum:
    """Part of the patients; who belongs to it may differ between methods."""

    about: str
    value: str
    estimates: Mapping[str, Estimate]
    """Method -> mean of the primary measure"""
    patients: Mapping[str, int]
    """Method -> of whom it is"""


def map_strata(
    found: MapResults,
    prepared: PreparedSet,
    predictions: Mapping[str, OutOfFoldPredictions],
    *,
    resamples: int = RESAMPLES,
) -> tuple[MapStratum, ...]:
    """By the lesion's share of the lung, number and side, the slices' thickness, right and wrong, and confidence.

    Thirds are of the patients that have a value; confidence is the probability of the class predicted.

    :param predictions: method -> what it says of the same patients
    """
    methods = [key.method for key in found.keys if key.map == OWN]
    rows = prepared.rows(list(found.patients)).tolist()
    common = {
        "lesion's share of the lung": _thirds(np.array([_share(prepared, row) for row in rows])),
        "lesions in the slice": [_number(prepared, row) for row in rows],
        "side of the lesion": [_side(prepared, row) for row in rows],
        "slice thickness": [_thickness(prepared, row) for row in rows],
    }
    strata = [
        _stratum(found, about, value, dict.fromkeys(methods, np.array(values) == value), resamples)
        for about, values in common.items()
        for value in _in_order(values)
    ]
    known = [method for method in methods if method in predictions]
    right = {method: _right(predictions[method], found.patients) for method in known}
    sure = {method: _thirds(_confidence(predictions[method], found.patients)) for method in known}
    for about, own in (("prediction", right), ("confidence", sure)):
        for value in _in_order([one for each in own.values() for one in each]):
            members = {method: np.array(each) == value for method, each in own.items()}
            strata.append(_stratum(found, about, value, members, resamples))
    return tuple(one for one in strata if any(one.patients.values()))


def _stratum(
    found: MapResults, about: str, value: str, members: Mapping[str, npt.NDArray[np.bool_]], resamples: int
) -> MapStratum:
    whole = found.measures[found.primary]
    values = {
        method: np.where(inside, whole.values[str(MapKey(method, OWN))], np.nan) for method, inside in members.items()
    }
    part = MapValues(whole.measure, values, whole.folds, whole.groups, whole.higher_is_better)
    counts = {method: part.patients(method) for method in values}
    return MapStratum(about, value, map_estimates(part, resamples=resamples), counts)


def _in_order(values: Sequence[str]) -> list[str]:
    """Those that there are, thirds and numbers rising, nothing for patients without one."""
    there = {value for value in values if value}
    order = (*_THIRDS, "one", "two", "three or more", *_SIDES, *_THICKNESSES, "right", "wrong")
    return [value for value in order if value in there]


def _thirds(values: npt.NDArray[np.float64]) -> list[str]:
    known = values[np.isfinite(values)]
    if len(known) < len(_THIRDS):
        return [""] * len(values)
    limits = np.quantile(known, (1 / 3, 2 / 3))
    return [_THIRDS[int(np.searchsorted(limits, value))] if np.isfinite(value) else "" for value in values]


def _share(prepared: PreparedSet, row: int) -> float:
    lesion, lung = prepared.lesion(row), prepared.lung(row)
    if lesion is None or lung is None or not lesion.any():
        return float("nan")
    return float(lesion.sum() / lung.sum())


def _number(prepared: PreparedSet, row: int) -> str:
    from scipy.ndimage import label

    lesion = prepared.lesion(row)
    if lesion is None or not lesion.any():
        return ""
    _, number = label(lesion, np.ones((3, 3)))
    return "one" if number == 1 else "two" if number == 2 else "three or more"


_SIDES = ("right only", "left only", "both sides")


def _side(prepared: PreparedSet, row: int) -> str:
    """Of the patient, whose left is on the image's right, parted by the middle of the lung's columns."""
    lesion, lung = prepared.lesion(row), prepared.lung(row)
    if lesion is None or not lesion.any():
        return ""
    there = np.flatnonzero((lesion if lung is None else lung).any(axis=0))
    middle = lesion.shape[1] / 2 if lung is None else (there[0] + there[-1] + 1) / 2
    left = float(lesion[:, int(middle) :].sum() / lesion.sum())
    return _SIDES[0] if left < OTHER_SIDE else _SIDES[1] if left > 1 - OTHER_SIDE else _SIDES[2]


_THICKNESSES = (f"below {THIN_MM:g} mm", f"{THIN_MM:g} to {THICK_MM:g} mm", f"over {THICK_MM:g} mm")


def _thickness(prepared: PreparedSet, row: int) -> str:
    patient = prepared.patients[row]
    thick = patient.slice_thickness_mm or patient.slice_mm
    if thick is None:
        return ""
    return _THICKNESSES[0 if thick < THIN_MM else 1 if thick <= THICK_MM else 2]


def _right(predictions: OutOfFoldPredictions, patients: Sequence[str]) -> list[str]:
    rows, predicted, _ = predictions.pooled()
    known = {
        predictions.patients[row]: "right" if predictions.labels[row] == said else "wrong"
        for row, said in zip(rows.tolist(), predicted.tolist(), strict=True)
    }
    return [known.get(name, "") for name in patients]


def _confidence(predictions: OutOfFoldPredictions, patients: Sequence[str]) -> npt.NDArray[np.float64]:
    rows, _, probabilities = predictions.pooled()
    sure = dict(zip((predictions.patients[row] for row in rows.tolist()), probabilities.max(axis=1), strict=True))
    return np.array([sure.get(name, np.nan) for name in patients])
