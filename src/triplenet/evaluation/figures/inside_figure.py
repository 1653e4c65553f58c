"""How much of each method's heat map lies inside the true infection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from triplenet.evaluation.figures.figure_style import QUIET, Drawn, letters, line_style, panels, title_of, write
from triplenet.explanation.cases import Case, table_cell


def inside_figure(of: Mapping[str, Sequence[Case]], folder: Path, *, where: str, reference: str) -> Drawn | None:
    """A line a method, a dot a patient, a mark their mean; None where no map can be compared with an infection.

    :param of: method -> its cases
    :param where: which runs they are of
    """
    shares: dict[str, list[float]] = {}
    hits: dict[str, float] = {}
    rows = []
    for method, cases in of.items():
        for case in cases:
            share, hit = case.map_scores.energy_in_lesion, case.map_scores.pointing_game
            if share is None or hit is None:
                continue
            shares.setdefault(method, []).append(share)
            hits[method] = hits.get(method, 0) + hit
            row = {"patient": case.patient.patient, "number": case.number, "method": method, **case.scores()}
            rows.append({name: table_cell(value) for name, value in row.items()})
    if not shares:
        return None
    with letters():
        figure, (axes,) = panels(1, across=1, width_in=6.4, height_in=0.9 + 0.34 * len(shares))
        for line, (method, values) in enumerate(shares.items()):
            colour, _ = line_style(method)
            axes.plot(values, [line] * len(values), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
            axes.plot(float(np.mean(values)), line, "|", color=colour, markersize=16, markeredgewidth=2.5)
        axes.set_yticks(range(len(shares)), [title_of(method) for method in shares])
        axes.set(xlim=(-0.02, 1.02), ylim=(len(shares) - 0.5, -0.5), xlabel="share of the map inside the infection")
        axes.tick_params(axis="y", length=0, labelcolor="black")
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.grid(visible=False, axis="y")
        png = write(folder, "inside", figure, rows)
    pointed = ", ".join(f"{title_of(method)} {hits[method]:.3g} of {len(values)}" for method, values in shares.items())
    return Drawn(
        "inside",
        "Inside the infection",
        f"The share of each heat map's sum that lies inside the true infection, a dot a test patient with one "
        f"({where}), and their mean. Maps that are dark everywhere are left out. The hottest pixel lies inside: "
        f"{pointed}.",
        png,
        answer=_answer({method: float(np.mean(values)) for method, values in shares.items()}, reference),
    )


def _answer(means: Mapping[str, float], reference: str) -> str:
    """The best beside the reference, or the only one."""
    best = max(means, key=lambda method: means[method])
    said = [f"{means[best]:.0%} of {title_of(best)}'s heat map"]
    if reference in means and reference != best:
        said.append(f"{means[reference]:.0%} of {title_of(reference)}'s")
    return f"Inside the true infections lay, on average, {' and '.join(said)}."
