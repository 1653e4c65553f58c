"""UMAP of the last convolutional features for training and for test samples (Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.figures.figure_style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    Drawn,
    letters,
    write,
)
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.results import Results
from triplenet.explanation.maps import network_inputs
from triplenet.model import Model, load_model
from triplenet.prepare.store import PreparedSet
from triplenet.training.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

NEIGHBOURS = 15
BATCH = {2: 32, 3: 2}
PARTS = ("train", "test")
Floats = npt.NDArray[np.float32]


def available() -> bool:
    """Whether umap-learn is installed."""
    return find_spec("umap") is not None


@dataclass(frozen=True)
class Projection:
    """A method's patients on the plane, by partition."""

    method: str
    patients: dict[str, tuple[str, ...]]
    labels: dict[str, npt.NDArray[np.int64]]
    points: dict[str, Floats]
    """(n, 2)"""


def features(model: Model, prepared: PreparedSet, rows: Sequence[int]) -> Floats:
    """(n, D) the last convolutional features after global average pooling."""
    import torch

    found = []
    for first in range(0, len(rows), BATCH[model.card.dimensions]):
        images, lungs = network_inputs(model, prepared, rows[first : first + BATCH[model.card.dimensions]])
        with torch.no_grad():
            found.append(model.network.features(model.normalise(images, lungs)).float().cpu().numpy())
    return np.concatenate(found)


def embedding_figure(results: Results, folder: Path, prepared: PreparedSet, *, device: str = "cpu") -> Drawn | None:
    """Training and test samples side by side, a row a method; None where umap-learn is not installed."""
    if not available():
        return None
    runs = results.runs_of_one_fold()
    if not runs:
        return None
    projections = [_project(name, run, prepared, device) for name, run in runs.items()]
    first = next(iter(runs.values()))
    where = f"fold {first.info.fold}, seed {first.recipe.training.seed}"
    with letters():
        from matplotlib.figure import Figure

        # Two methods in a row, each with its two partitions.
        pairs = min(2, len(projections))
        lines = -(-len(projections) // pairs)
        figure = Figure(figsize=(4.6 * pairs, 2.35 * lines + 0.35), layout="constrained")
        for number, one in enumerate(projections):
            for column, part in enumerate(PARTS):
                axes = figure.add_subplot(lines, 2 * pairs, 2 * number + column + 1)
                _draw(axes, one, part, len(results.classes))
        key = [_key(c, name) for c, name in enumerate(results.classes)]
        figure.legend(handles=key, loc="outside lower center", ncols=len(key), frameon=False)
        rows = [row for one in projections for part in PARTS for row in _rows(one, part, results.classes)]
        png = write(folder, "umap", figure, rows)
    return Drawn(
        "umap",
        "Last convolutional features",
        f"UMAP of the features after global average pooling ({where}): the plane is fitted to the training samples of "
        "each method, without augmentation, and the test samples are put into it. Distances between far groups mean "
        "nothing. As Fig. 4 of the paper.",
        png,
    )


def _draw(axes: Axes, one: Projection, part: str, classes: int) -> None:
    """A partition's patients, on a plane that is the same for a method's two partitions."""
    everything = np.concatenate([one.points[part] for part in PARTS])
    margin = 0.05 * np.maximum(np.ptp(everything, axis=0), 1e-6)
    low, high = everything.min(0) - margin, everything.max(0) + margin
    points, labels = one.points[part], one.labels[part]
    for c in range(classes):
        own = points[labels == c]
        colour, marker = _class_style(c)
        axes.scatter(own[:, 0], own[:, 1], s=11, color=colour, marker=marker, linewidths=0, alpha=0.75)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    axes.set_title(f"{title_of(one.method)}: {'training' if part == 'train' else 'test'}")
    axes.set_box_aspect(1)


def _key(c: int, name: str) -> Line2D:
    """A class in the legend."""
    from matplotlib.lines import Line2D

    colour, marker = _class_style(c)
    return Line2D([], [], color=colour, marker=marker, linestyle="none", label=name)


def _class_style(c: int) -> tuple[str, str]:
    """Colour and marker."""
    return CLASS_COLOURS[c % len(CLASS_COLOURS)], CLASS_MARKERS[c % len(CLASS_MARKERS)]


def _rows(one: Projection, part: str, classes: Sequence[str]) -> list[dict[str, object]]:
    """The numbers behind the picture, a row a patient."""
    return [
        {
            "method": one.method,
            "partition": part,
            "patient": patient,
            "label": classes[label] if label >= 0 else "",
            "x": f"{x:.5f}",
            "y": f"{y:.5f}",
        }
        for patient, label, (x, y) in zip(one.patients[part], one.labels[part], one.points[part].tolist(), strict=True)
    ]


def _project(name: str, run: Run, prepared: PreparedSet, device: str) -> Projection:
    import umap

    model = load_model(run.model, device)
    fold = prepared.fold(run.info.fold)
    labels = prepared.labels(run.task)
    patients = {"train": fold.train, "test": fold.test}
    rows = {part: prepared.rows(patients[part]) for part in PARTS}
    vectors = {part: features(model, prepared, rows[part].tolist()) for part in PARTS}
    # One thread and one seed: the same picture each time.
    reducer = umap.UMAP(n_neighbors=min(NEIGHBOURS, len(rows["train"]) - 1), random_state=0, n_jobs=1)
    points = {"train": np.asarray(reducer.fit_transform(vectors["train"]), dtype=np.float32)}
    points["test"] = np.asarray(reducer.transform(vectors["test"]), dtype=np.float32)
    return Projection(name, patients, {part: labels[rows[part]] for part in PARTS}, points)
