"""How the maps score by the primary measure, beside those that see no network; and what the networks answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.figures.figure_style import QUIET, Drawn, letters, line_style, panels, write
from triplenet.evaluation.map_results import MapKey, MapResults
from triplenet.evaluation.map_tables import primary_estimates, title_of_map
from triplenet.evaluation.method_tables import title_of
from triplenet.explanation.labelled_maps import CLASS, OWN
from triplenet.explanation.map_scores import MEASURES

SCORES, ROAD = "map-scores", "map-road"


def map_scores_figure(found: MapResults, folder: Path) -> Drawn | None:
    """A line a map: its mean over the patients with a lesion, the interval, and a dot a patient; None without one."""
    shown = list(primary_estimates(found))
    if not any(key.method for key, _ in shown):
        return None
    measure = MEASURES[found.primary]
    values = found.measures[found.primary].values
    scale = 100 if measure.percent else 1
    highest = max(float(np.nanmax([*values[str(key)], estimate.high])) for key, estimate in shown)
    methods = [key.method for key in found.keys if key.method]
    rows = []
    with letters():
        figure, (axes,) = panels(1, across=1, width_in=6.8, height_in=1.0 + 0.32 * len(shown))
        for line, (key, estimate) in enumerate(shown):
            explains = bool(key.method) and not key.is_ceiling
            colour = line_style(key.method, methods)[0] if explains else QUIET
            each = values[str(key)]
            axes.plot(
                scale * each, np.full(len(each), line), "o", color=colour, alpha=0.12, markersize=3.5, markeredgewidth=0
            )
            axes.plot([scale * estimate.low, scale * estimate.high], [line, line], "-", color=colour, linewidth=2)
            axes.plot(scale * estimate.value, line, "o" if key.map == OWN else "D", color=colour, markersize=6)
            rows.append(
                {
                    "map": str(key),
                    "title": title_of_map(key),
                    "patients": found.measures[found.primary].patients(str(key)),
                    "mean": estimate.value,
                    "low": estimate.low,
                    "high": estimate.high,
                }
            )
        best = next((one.other for one in found.against_none.values()), None)
        if best is not None:
            axes.axvline(
                scale * found.estimates[found.primary][best].value, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3))
            )
        axes.set_yticks(range(len(shown)), [title_of_map(key) for key, _ in shown])
        # As far as there is anything: energy in a small lesion is far below 1 for every map.
        limit = scale * min(1.0, 1.1 * highest or 1.0)
        axes.set(xlim=(-0.02 * limit, 1.02 * limit), ylim=(len(shown) - 0.5, -0.5))
        axes.set_xlabel(f"{measure.title} (%)" if measure.percent else measure.title)
        axes.tick_params(axis="y", length=0, labelcolor="black")
        axes.grid(visible=False, axis="y")
        png = write(folder, SCORES, figure, rows)
    dashed = "" if best is None else f" Dashed: the best that sees no network, {_titled(found, best)}."
    return Drawn(
        SCORES,
        "Maps against the lesions",
        f"{measure.title.capitalize()}, the primary measure: mean over the test patients with a lesion and its 95 % "
        f"interval, and a dot a patient. Circles are the methods' own maps, diamonds the others; grey are ceilings and "
        f"maps that see no network.{dashed}",
        png,
        answer=_answer(found),
    )


def road_figure(found: MapResults, folder: Path) -> Drawn | None:
    """The probability of the class as the most and the least relevant pixels are imputed; None where nobody asked."""
    curves = list(_road_curves(found))
    if not curves:
        return None
    methods = [key.method for key in found.keys if key.method]
    rows = []
    with letters():
        figure, each = panels(2, across=2, width_in=4.2, height_in=3.4)
        for axes, kind in zip(each, ("most", "least"), strict=True):
            for key, fractions, of in curves:
                colour, dash = line_style(key.method, methods)
                thin = key.map == CLASS
                axes.plot(
                    100 * fractions, of[kind], color=colour, linestyle=dash, linewidth=1.0 if thin else 1.8,
                    label=title_of_map(key), marker="D" if thin else None, markersize=3,
                )  # fmt: skip
                rows += [
                    {"map": str(key), "order": kind, "fraction": float(fraction), "probability": float(value)}
                    for fraction, value in zip(fractions, of[kind], strict=True)
                ]
            axes.set(title=f"{kind} relevant first", xlabel="pixels imputed (%)", ylim=(0, 1.02))
        each[0].set_ylabel("probability of the class predicted")
        handles, labels = each[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, handlelength=2.8)
        png = write(folder, ROAD, figure, rows)
    return Drawn(
        ROAD,
        "What the decision rests on (ROAD)",
        "Mean probability of the class predicted, as pixels are replaced by what their neighbours say: with a map that "
        "names what the decision rests on it falls early on the left and late on the right.",
        png,
    )


def _road_curves(
    found: MapResults,
) -> Iterator[tuple[MapKey, npt.NDArray[np.float64], dict[str, npt.NDArray[np.float64]]]]:
    """Each map that was asked about: the fractions, and the mean curves by their names."""
    for key in found.keys:
        asked = [
            one
            for job, run in found.runs.items()
            if job.method == key.method
            for one in run.asked
            if one.map == key.map
        ]
        if asked:
            means = {name: np.mean([one.curves[name] for one in asked], axis=0) for name in ("most", "least")}
            yield key, np.asarray(asked[0].fractions), means


def _titled(found: MapResults, name: str) -> str:
    return title_of_map(dict(found.titled())[name])


def _answer(found: MapResults) -> str:
    """The best method beside the reference, and who does not exceed what sees no network."""
    estimates = found.estimates[found.primary]
    own = {key.method: estimates[str(key)].value for key in found.keys if key.map == OWN}
    known = {method: value for method, value in own.items() if not np.isnan(value)}
    if not known:
        return ""
    measure = MEASURES[found.primary]

    def written(value: float) -> str:
        return f"{100 * value:.1f} %" if measure.percent else f"{value:.2f}"

    best = max(known, key=lambda method: known[method])
    text = f"{measure.title.capitalize()} is highest in the maps of {title_of(best)}, {written(known[best])} on average"
    if found.reference in known and found.reference != best:
        text += f", and {written(known[found.reference])} in those of {title_of(found.reference)}"
    below = [title_of(key.method) for key in found.keys if key.map == OWN and not _exceeds(found, key)]
    text += "."
    if below and found.against_none:
        other = _titled(found, next(iter(found.against_none.values())).other)
        names = " and ".join([", ".join(below[:-1]), below[-1]]) if len(below) > 1 else below[0]
        text += f" The maps of {names} do not exceed {other}, which sees no network."
    return text


def _exceeds(found: MapResults, key: MapKey) -> bool:
    one = found.against_none.get(str(key))
    return one is None or one.exceeds(found.measures[found.primary].higher_is_better)
