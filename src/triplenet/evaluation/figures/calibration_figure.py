"""Observed share against predicted probability."""

from __future__ import annotations

from pathlib import Path

from triplenet.evaluation.calibration import expected_calibration_error, reliability
from triplenet.evaluation.figures.figure_style import BLUE, QUIET, Drawn, letters, panels, write
from triplenet.evaluation.method_calibration import event
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.results import Results

ACROSS = 4
BINS = 10


def calibration_figure(results: Results, folder: Path) -> Drawn | None:
    """Observed share against mean probability in ten bins, a panel a method."""
    names = results.finished
    if not names:
        return None
    rows: list[dict[str, object]] = []
    with letters():
        figure, every = panels(len(names), across=ACROSS, width_in=2.5, height_in=2.6)
        for axes, name in zip(every, names, strict=True):
            predictions = results.predictions[name]
            # One seed's: the same patients once more would make the intervals too narrow.
            events = [event(predictions, results.positive, index) for index in range(len(predictions.seeds))]
            seed_index = max(range(len(events)), key=lambda index: len(events[index][0]))
            truth, probability = events[seed_index]
            bins = reliability(truth, probability, bins=BINS)
            axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (1, 3)))
            x, y = [one.predicted for one in bins], [one.observed.value for one in bins]
            low = [max(0.0, one.observed.value - one.observed.low) for one in bins]
            high = [max(0.0, one.observed.high - one.observed.value) for one in bins]
            sizes = [12 + 130 * one.patients / len(truth) for one in bins]
            axes.errorbar(x, y, yerr=[low, high], fmt="none", ecolor=QUIET, elinewidth=0.8)
            axes.plot(x, y, color=BLUE, linewidth=1)
            axes.scatter(x, y, s=sizes, color=BLUE, zorder=3, clip_on=False)
            error = expected_calibration_error(truth, probability)
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=f"{title_of(name)}\nECE {error:.3f}")
            rows += [
                {
                    "method": name,
                    "seed": predictions.seeds[seed_index],
                    "low": one.low,
                    "high": one.high,
                    "patients": one.patients,
                    "predicted": f"{one.predicted:.6g}",
                    "observed": f"{one.observed.value:.6g}",
                    "observed_low": f"{one.observed.low:.6g}",
                    "observed_high": f"{one.observed.high:.6g}",
                }
                for one in bins
            ]
        of = "" if results.positive is None else f" of {results.classes[results.positive]}"
        figure.supxlabel(f"probability{of}" if of else "probability of the predicted class", fontsize=9)
        figure.supylabel(f"share{of}" if of else "share predicted right", fontsize=9)
        png = write(folder, "calibration", figure, rows)
    after = "after" if results.tempered else "before"
    return Drawn(
        "calibration",
        "Calibration",
        "Observed share against mean probability in ten bins of equal width, all test patients together, as the "
        f"networks of one seed say it ({after} temperature scaling). A dot's area is its share of the patients, "
        "the bars are Wilson intervals; on the diagonal a probability means what it says.",
        png,
    )
