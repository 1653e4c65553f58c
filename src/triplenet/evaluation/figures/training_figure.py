"""Losses and accuracies against the epoch: of many runs together, and of one with every term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from triplenet.evaluation.figures.figure_style import (
    BLUE,
    CLASS_COLOURS,
    DASHES,
    QUIET,
    VERMILION,
    Drawn,
    letters,
    panels,
    plain,
    write,
)
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.results import Results
from triplenet.training.run import HISTORY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 4
_SCORES = {
    "validation_accuracy": "validation accuracy",
    "validation_auc": "validation AUC",
    "training_accuracy": "training accuracy (augmented)",
    "lambda": "lambda",
}


def training_figure(results: Results, folder: Path) -> Drawn | None:
    """Loss and accuracies against the epoch, a column a method, a thin line a run."""
    trained = {job.method for job, run in results.runs.items() if (run.folder / HISTORY).is_file()}
    names = [name for name in results.finished if name in trained]
    if not names:
        return None
    if len(results.runs) == 1:
        return _every_term(results, folder)
    rows: list[dict[str, object]] = []
    with letters():
        from matplotlib.figure import Figure

        columns = min(ACROSS, len(names))
        blocks = -(-len(names) // columns)
        figure = Figure(figsize=(2.5 * columns, 3.4 * blocks + 0.4), layout="constrained")
        for number, name in enumerate(names):
            block, column = divmod(number, columns)
            loss = figure.add_subplot(2 * blocks, columns, 2 * block * columns + column + 1)
            score = figure.add_subplot(2 * blocks, columns, (2 * block + 1) * columns + column + 1, sharex=loss)
            histories = _histories(results, name)
            for (fold, seed), history in histories.items():
                rows += [{"method": name, "fold": fold, "seed": seed} | _cells(row) for row in history]
            _training_panel(loss, score, list(histories.values()))
            loss.set_title(title_of(name))
            loss.tick_params(labelbottom=False)
            if column == 0:
                loss.set_ylabel("loss")
                score.set_ylabel("accuracy")
            if block == blocks - 1 or number + columns >= len(names):
                score.set_xlabel("epoch")
        handles, labels = score.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, handlelength=2.8)
        png = write(folder, "training", figure, rows)
    return Drawn(
        "training",
        "Training curves",
        "Above the loss that is minimised, below the accuracies on the augmented training images and on the validation "
        "patients; thin a run, thick the mean over folds and seeds. Losses of methods with other terms cannot be "
        "compared.",
        png,
    )


def _every_term(results: Results, folder: Path) -> Drawn:
    """The same of a single run: each loss term, lambda, accuracies, the validation AUC, and the epoch that was kept."""
    ((job, run),) = results.runs.items()
    history, kept = run.history(), run.info.best_epoch
    terms = [name for name in history[0] if name.startswith("loss_") and name != "loss_total"] if history else []
    losses = {name: name.removeprefix("loss_") for name in terms} | {"loss_total": "total, minimised"}
    with letters():
        figure, (loss, score) = panels(2, across=1, width_in=6.4, height_in=2.8)
        for axes, names in ((loss, losses), (score, _SCORES)):
            _lines(axes, history, names)
            axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, handlelength=2.8)
            if kept is not None:
                axes.axvline(kept + 1, color=QUIET, linewidth=1, zorder=0)
        if kept is not None:
            score.annotate("kept", (kept + 1, 0), xytext=(3, 3), textcoords="offset points", color=QUIET, fontsize=8)
        loss.set(ylabel="loss", title=f"{title_of(job.method)}, fold {job.fold}, seed {job.seed}")
        score.set(xlabel="epoch", ylim=(-0.02, 1.02))
        png = write(folder, "training", figure, [_text(row) for row in history])
    return Drawn(
        "training",
        "Training curves",
        "Above each loss term before its weight and the sum that is minimised, below lambda, the accuracies and the "
        "validation AUC; the line marks the epoch whose weights were kept.",
        png,
    )


def _lines(axes: Axes, history: Sequence[Mapping[str, float | None]], names: Mapping[str, str]) -> None:
    """A line a column that has values, none told apart by colour alone."""
    styles = zip(CLASS_COLOURS, DASHES, strict=True)
    for name, label in names.items():
        values = np.array([row.get(name) for row in history], dtype=np.float64)
        if np.isnan(values).all():
            continue
        colour, dash = next(styles)
        marker = "o" if len(values) == 1 else None  # a single point has no line
        epochs = np.arange(1, len(values) + 1)
        axes.plot(epochs, values, color=colour, linestyle=dash, marker=marker, label=label, linewidth=1.5)


def _text(row: Mapping[str, float | None]) -> dict[str, object]:
    return {name: "" if value is None else value for name, value in row.items()}


def _histories(results: Results, name: str) -> dict[tuple[int, int], list[dict[str, float | None]]]:
    return {(job.fold, job.seed): run.history() for job, run in results.runs.items() if job.method == name}


def _training_panel(loss: Axes, score: Axes, histories: list[list[dict[str, float | None]]]) -> None:
    for axes, column, colour, dash, label in (
        (loss, "loss_total", VERMILION, "-", None),
        (score, "training_accuracy", VERMILION, (0, (5, 2)), "training (augmented)"),
        (score, "validation_accuracy", BLUE, "-", "validation"),
    ):
        lines = [np.array([row.get(column) for row in history], dtype=np.float64) for history in histories]
        longest = max(map(len, lines))
        whole = np.full((len(lines), longest), np.nan)
        for row, line in enumerate(lines):
            whole[row, : len(line)] = line
            axes.plot(np.arange(1, len(line) + 1), line, color=colour, linewidth=0.5, alpha=0.5)
        mean = np.where(np.isfinite(whole).any(0), np.nansum(whole, 0) / np.isfinite(whole).sum(0).clip(1), np.nan)
        marker = "o" if longest == 1 else None  # a single point has no line
        axes.plot(
            np.arange(1, longest + 1), mean, color=colour, linestyle=dash, linewidth=1.7, label=label, marker=marker
        )
        plain(axes)
    score.set_ylim(-0.02, 1.02)


def _cells(row: Mapping[str, float | None]) -> dict[str, object]:
    kept = ("epoch", "loss_total", "training_accuracy", "validation_loss", "validation_accuracy", "validation_auc")
    return {name: "" if row.get(name) is None else row[name] for name in kept}
