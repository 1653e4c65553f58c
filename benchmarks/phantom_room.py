"""How much room a phantom cohort leaves a method: what the true lesions tell at most, and what opacity alone tells.

    python benchmarks/phantom_room.py COHORT.csv [--hu -700 -200] [--out FILE]

The cohort's scans need infection and lung masks (``triplenet phantom`` writes them). On the paper's folds, for the
tasks ``binary`` and ``appearance``, it prints one JSON object with AUC and accuracy of the out-of-fold test patients,
each with its 95 % interval (``evaluation.estimation``), of

- ``opacity``: the bound from below. The share of the lung in the chosen slice that lies between two HU limits, and no
  learning but thresholds on the training patients: one for two classes, as many as part four classes
- ``position``: what can be told without any lesion, from which slice was chosen (the largest infection's, else the
  largest lung's): its height and its lung area, by a model as below
- ``slice``: the bound from above for a method that reads one slice. A model reads what is true of the lesions in the
  chosen slice: area, number, sides, depth under the pleura, height, shape, Hounsfield units
- ``volume``: the same of the lesions in the whole scan, with the slice's, for a method that reads frames

The model is one of scikit-learn's logistic regression, random forest and gradient boosting, fitted on the fold's
training patients and chosen on its validation patients by log loss. ``by_pattern`` holds, for each pattern drawn (where
``phantom.json`` lies beside the table), the patients and the mean probability of disease that the slice's model gives
them. The upper bounds are what these features allow, not a proof: a network may see what they leave out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import triplenet
from triplenet import scan
from triplenet.catalog import TASKS, Task
from triplenet.cohort import read_cohort
from triplenet.cohort.folds import Fold, Member, split
from triplenet.cohort.table import Patient
from triplenet.evaluation.estimation import estimates
from triplenet.evaluation.predictions import OutOfFoldPredictions, RunPredictions, join
from triplenet.evaluation.probe import share_as_probability
from triplenet.prepare.masks import read_masks
from triplenet.prepare.opacity_share import OPACITY_HU, opacity_share
from triplenet.prepare.selection import choose_slice

Bool = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
LEAST_MM = 4.0
"""A piece of a lesion counts as one from this diameter: smaller ones are crumbs of the raster."""
TASKS_ASKED = ("binary", "appearance")
METRICS = ("auc", "accuracy")


def look(patient: Patient, limits_hu: tuple[float, float]) -> dict[str, Floats]:
    """The features of one patient: ``opacity`` (1,), ``position`` (3,), ``slice`` (F,), ``volume`` (G,)."""
    series, how = scan.open(patient.scan).canonical()
    masks = read_masks(series.geometry, how, mask=patient.mask, infection=patient.infection, lung=patient.lung)
    if masks.infection is None or masks.lung is None:
        raise SystemExit(f"patient {patient.patient} has not both masks")
    depth = len(series)
    infection = np.stack([masks.infection[z] for z in range(depth)])
    lung = np.stack([masks.lung[z] for z in range(depth)])
    hu = series.read().hu.astype(np.float64)
    index, _ = choose_slice(infection.sum((1, 2)), lung.sum((1, 2)))
    heights = np.flatnonzero(lung.any((1, 2)))
    height = (index - heights[0]) / max(1, heights[-1] - heights[0])
    areas = lung.sum((1, 2))
    of_slice = lesion_facts(infection[index], lung[index], hu[index], series.spacing_mm[1:])
    of_volume = lesion_facts(infection, lung, hu, series.spacing_mm)
    return {
        "opacity": np.array([opacity_share(hu[index], lung[index], limits_hu)], dtype=np.float64),
        "position": np.array([height, areas[index] / areas.max(), of_slice[0]]),
        "slice": np.array([*of_slice, height]),
        "volume": np.array([*of_volume, *of_slice, height]),
    }


def lesion_facts(infection: Bool, lung: Bool, hu: Floats, spacing_mm: Sequence[float]) -> list[float]:
    """What is true of the lesions of a slice (Y, X) or a volume (Z, Y, X), and of the lung around them.

    :param spacing_mm: between voxels, of each axis
    """
    voxel = float(np.prod(spacing_mm))
    places = np.argwhere(lung)
    low, high = places.min(0), places.max(0)
    middle = places[:, -1].mean()
    pieces, count = ndimage.label(infection, np.ones((3,) * infection.ndim))
    sizes = np.sort(np.bincount(pieces.ravel(), minlength=count + 1)[1:])[::-1] * voxel
    least = LEAST_MM**infection.ndim
    around = ndimage.binary_dilation(lung, iterations=3) & ~lung
    rest = hu[lung & ~infection]
    right, left = lung[..., : int(middle)].sum(), lung[..., int(middle) :].sum()
    facts = [
        float(lung.sum() * voxel),
        float(min(right, left) / max(right, left)),
        *(_spread(rest) if rest.size else [0.0] * 5),
        float((rest > -500).mean()) if rest.size else 0.0,
        float(((hu[around] > -20) & (hu[around] < 30)).mean()),
        float((sizes >= least).sum()),
        float(infection.sum() / lung.sum()),
    ]
    if not infection.any():
        return [*facts, *[0.0] * 29]
    ill = np.argwhere(infection)
    inside = hu[infection]
    deep = ndimage.distance_transform_edt(lung, sampling=spacing_mm)[infection]
    share = (ill - low) / np.maximum(high - low, 1)
    sides = infection[..., : int(middle)].sum() / max(1, right), infection[..., int(middle) :].sum() / max(1, left)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    rough = [np.abs(np.diff(hu, axis=axis))[_both(infection, axis)] for axis in (-2, -1)]
    return [
        *facts,
        float(infection.sum() * voxel),
        float(sizes[0]),
        float(sizes[0] / sizes.sum()),
        float(np.mean(sizes)),
        *map(float, sorted(sides)),
        *_spread(deep),
        float((deep < 15).mean()),
        *map(float, share[:, -2:].mean(0)),
        *map(float, share[:, -2:].std(0)),
        float(share[:, 0].mean()),
        float(np.abs(ill[:, -1] - middle).mean() / max(1, high[-1] - low[-1])),
        *_shape(largest, spacing_mm),
        *_spread(inside),
        float((inside > -300).mean()),
        float((inside > -100).mean()),
        float((inside < -900).mean()),
        float(np.concatenate(rough).mean()) if any(one.size for one in rough) else 0.0,
    ]


def _spread(values: Floats) -> list[float]:
    return [float(values.mean()), float(values.std()), *map(float, np.percentile(values, (10, 50, 90)))]


def _both(mask: Bool, axis: int) -> Bool:
    """Where a voxel and the next along an axis belong to the mask."""
    return np.moveaxis(np.moveaxis(mask, axis, 0)[1:] & np.moveaxis(mask, axis, 0)[:-1], 0, axis)


def _shape(piece: Bool, spacing_mm: Sequence[float]) -> list[float]:
    """Compactness (1 is a square or a cube) and elongation of a piece."""
    voxel = float(np.prod(spacing_mm))
    padded = np.pad(piece, 1)
    surface = sum(
        float((np.diff(padded.astype(np.int8), axis=axis) != 0).sum()) * voxel / spacing_mm[axis]
        for axis in range(piece.ndim)
    )
    size = float(piece.sum()) * voxel
    compact = 2 * piece.ndim * size ** ((piece.ndim - 1) / piece.ndim) / surface
    points = np.argwhere(piece) * np.asarray(spacing_mm)
    if len(points) < 3:
        return [compact, 1.0]
    axes = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 1e-6))
    return [compact, float(axes[-1] / axes[0]) if axes[0] > 0.01 else 100.0]


def _candidates() -> list[Any]:
    logistic = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000)) for c in (0.05, 0.3, 2.0)]
    forests = [
        RandomForestClassifier(300, min_samples_leaf=least, max_features=0.3, random_state=0) for least in (1, 4)
    ]
    boosted = [
        GradientBoostingClassifier(
            n_estimators=trees, max_depth=2, learning_rate=0.08, subsample=0.7, max_features="sqrt", random_state=0
        )
        for trees in (60, 200)
    ]
    return [*logistic, *forests, *boosted]


def oracle(x: dict[str, Floats], y: dict[str, npt.NDArray[np.int64]], classes: int) -> Floats:
    """(n, C) probabilities of the test patients, by the model that the validation patients choose."""
    best = min(
        (model.fit(x["train"], y["train"]) for model in _candidates()),
        key=lambda model: log_loss(y["validation"], model.predict_proba(x["validation"]), labels=range(classes)),
    )
    return np.asarray(best.predict_proba(x["test"]), dtype=np.float64)


def opacity(x: dict[str, Floats], y: dict[str, npt.NDArray[np.int64]], classes: int) -> Floats:
    """(n, C): the score itself where one threshold parts two classes, else the shares between thresholds."""
    tree = DecisionTreeClassifier(max_leaf_nodes=classes, min_samples_leaf=5, random_state=0).fit(
        x["train"], y["train"]
    )
    if classes > 2:
        return np.asarray(tree.predict_proba(x["test"]), dtype=np.float64)
    threshold = _threshold(x["train"][:, 0], y["train"] == 1)
    positive = share_as_probability(x["test"][:, 0], threshold)
    return np.stack([1 - positive, positive], axis=1)


def _threshold(score: Floats, truth: Bool) -> float:
    """Between two patients, where most are called rightly."""
    ordered = np.unique(score)
    between = np.r_[ordered[0] / 2, (ordered[1:] + ordered[:-1]) / 2]
    return float(max(between, key=lambda limit: float(((score >= limit) == truth).mean())))


def bounds(
    features: Floats, task: Task, members: Sequence[Member], folds: Sequence[Fold], model: Callable[..., Floats]
) -> OutOfFoldPredictions:
    """What a model says of the test patients of all folds."""
    row_of = {member.patient: row for row, member in enumerate(members)}
    labels = np.array([task.label(member.finding or "") for member in members])
    runs = []
    for fold in folds:
        rows = {name: [row_of[p] for p in getattr(fold, name)] for name in ("train", "validation", "test")}
        said = model(
            {name: features[at] for name, at in rows.items()},
            {name: labels[at] for name, at in rows.items()},
            len(task.classes),
        )
        runs.append(RunPredictions(fold.number, 0, fold.test, labels[rows["test"]], said))
    return join({"bound": runs})["bound"]


def told(found: OutOfFoldPredictions, positive: int | None) -> dict[str, Any]:
    """AUC and accuracy with their intervals."""
    made = estimates(found, positive=positive)
    return {name: [round(v, 3) for v in (made[name].value, made[name].low, made[name].high)] for name in METRICS}


def patterns_of(table: Path) -> dict[str, str]:
    """The pattern that was drawn for each patient, where the phantom tells."""
    path = table.parent / "phantom.json"
    if not path.is_file():
        return {}
    drawn = json.loads(path.read_text(encoding="utf-8"))["patients"]
    return {one["patient"]: f"{one['finding']}: {one['pattern']}" for one in drawn}


def by_pattern(found: OutOfFoldPredictions, patterns: dict[str, str], positive: Sequence[int]) -> dict[str, Any]:
    """Patients of each pattern, and the mean probability of the classes that count as positive."""
    said = defaultdict(list)
    for patient, probabilities in zip(found.patients, found.probabilities[0], strict=True):
        said[patterns[patient]].append(float(probabilities[list(positive)].sum()))
    return {name: [len(values), round(float(np.mean(values)), 3)] for name, values in sorted(said.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--hu", type=float, nargs=2, default=OPACITY_HU, help="limits of the opacity score")
    parser.add_argument("--out", type=Path, help="write the JSON here as well")
    options = parser.parse_args()
    patients = [patient for patient in read_cohort(options.cohort) if patient.finding is not None]
    limits = (options.hu[0], options.hu[1])
    seen = [look(patient, limits) for patient in patients]
    features = {name: np.stack([one[name] for one in seen]) for name in seen[0]}
    members = [Member(patient.patient, patient.finding) for patient in patients]
    folds = split(members)
    patterns = patterns_of(options.cohort)
    result: dict[str, Any] = {
        "what": "what a method can reach on a phantom cohort: opacity from below, the true lesions from above",
        "version": triplenet.__version__,
        "date": date.today().isoformat(),
        "patients": len(patients),
        "opacity_hu": list(limits),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }
    for name in TASKS_ASKED:
        task = TASKS[name]
        positive = 1 if len(task.classes) == 2 else None
        found = {
            which: bounds(features[which], task, members, folds, opacity if which == "opacity" else oracle)
            for which in features
        }
        result[name] = {which: told(predictions, positive) for which, predictions in found.items()}
        if patterns:
            counted = [task.classes.index(one) for one in task.positive]
            result[name]["by_pattern"] = by_pattern(found["slice"], patterns, counted)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
