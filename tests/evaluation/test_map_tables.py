"""The tables of the maps of a benchmark."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from matplotlib import pyplot

from triplenet.evaluation.intervals import Difference, Estimate
from triplenet.evaluation.map_results import MapKey, MapResults
from triplenet.evaluation.map_statistics import MapComparison, MapValues
from triplenet.evaluation.map_tables import agreement_table

# The package has a function of this name.
figure_module = import_module("triplenet.evaluation.figures.map_scores_figure")


def results_with(agreement, primary):
    return MapResults((), primary, "baseline", (), np.zeros(0, np.int64), {}, {}, {}, {}, {}, agreement, {})


def test_agreement_can_be_read_from_either_measure_and_the_primary_one_stands_first():
    agreement = {
        ("energy_in_lesion", "rank"): Estimate(0.2, 0.1, 0.3),
        ("energy_in_lesion", "road"): Estimate(-0.4, -0.5, 0.0),
        ("rank", "road"): Estimate(0.6, 0.5, 0.7),
    }
    table = agreement_table(results_with(agreement, "rank"))
    assert [column.name for column in table.columns] == ["rank", "energy_in_lesion", "road"]
    assert [row.name for row in table.rows] == ["rank", "energy_in_lesion", "road"]
    assert [column.group for column in table.columns] == ["", "share of the map's sum", "the network's answers"]
    assert table.columns[0].title == "rank of the lesion, primary"
    values = [{name: cell.value for name, cell in row.cells.items()} for row in table.rows]
    assert values == [
        {"energy_in_lesion": 0.2, "road": 0.6},
        {"rank": 0.2, "road": -0.4},
        {"rank": 0.6, "energy_in_lesion": -0.4},
    ]


def test_a_follows_measure_says_what_it_follows_where_no_group_does():
    table = agreement_table(results_with({("rank", "follows_noise"): Estimate(0.2, 0.1, 0.3)}, "rank"))
    assert [row.title for row in table.rows] == ["rank of the lesion", "follows the decision under noise"]


def test_the_figure_of_a_share_is_in_per_cent_as_far_as_there_is_anything(tmp_path, monkeypatch):
    keys = (MapKey("baseline", "own"), MapKey("triple", "own"), MapKey("", "lung"))
    each = {"baseline/own": [0.02, 0.04], "triple/own": [0.1, 0.3], "lung": [0.1, 0.1]}
    values = MapValues("energy_in_lesion", {name: np.array(of) for name, of in each.items()}, np.array([1, 1]))
    estimates = {
        "baseline/own": Estimate(0.03, 0.02, 0.04),
        "triple/own": Estimate(0.2, 0.1, 0.3),
        "lung": Estimate(0.1, 0.1, 0.1),
    }
    against = {
        "baseline/own": MapComparison("baseline/own", "lung", Difference(-0.07, -0.08, -0.06, 0.01), 2),
        "triple/own": MapComparison("triple/own", "lung", Difference(0.1, 0.0, 0.2, 0.5), 2),
    }
    found = MapResults(
        keys, "energy_in_lesion", "baseline", ("a", "b"), np.array([1, 1]), {"energy_in_lesion": values},
        {"energy_in_lesion": estimates}, {}, against, {}, {}, {},
    )  # fmt: skip
    seen = {}

    def write(folder, name, figure, rows):
        (axes,) = figure.axes
        seen.update(label=axes.get_xlabel(), limits=axes.get_xlim(), rows=rows)
        seen["lines"] = [line.get_xdata() for line in axes.lines]
        pyplot.close(figure)
        return folder / f"{name}.png"

    monkeypatch.setattr(figure_module, "write", write)
    drawn = figure_module.map_scores_figure(found, tmp_path)
    assert seen["label"] == "energy in the lesion (%)"
    assert seen["limits"] == pytest.approx(
        (-0.66, 33.66)
    )  # 1.1 times the highest dot, and a fiftieth of that on both sides
    dots, interval, mean = seen["lines"][3:6]
    np.testing.assert_allclose(dots, [10, 30])
    np.testing.assert_allclose(interval, [10, 30])
    np.testing.assert_allclose(mean, [20])
    np.testing.assert_allclose(seen["lines"][-1], [10, 10])  # the best that sees no network
    assert seen["rows"][1]["mean"] == 0.2  # files of numbers keep the share
    assert drawn.answer == (
        "Energy in the lesion is highest in the maps of Triple Net, 20.0 % on average, and 3.0 % in those of Baseline "
        "ResNet18. The maps of Baseline ResNet18 and Triple Net do not exceed Lung mask, which sees no network."
    )
