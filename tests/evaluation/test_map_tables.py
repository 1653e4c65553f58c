"""The tables of the maps of a benchmark."""

from __future__ import annotations

import numpy as np

from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.map_results import MapResults
from triplenet.evaluation.map_tables import agreement_table


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
    assert table.columns[0].title == "rank of the lesion (primary)"
    values = [{name: cell.value for name, cell in row.cells.items()} for row in table.rows]
    assert values == [
        {"energy_in_lesion": 0.2, "road": 0.6},
        {"rank": 0.2, "road": -0.4},
        {"rank": 0.6, "energy_in_lesion": -0.4},
    ]
