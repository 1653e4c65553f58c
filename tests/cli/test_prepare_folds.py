"""``triplenet prepare --folds``: the scheme reaches the set, and one that is not there is told."""

import json

import pytest
import typer
from typer.testing import CliRunner

from prepare.synthetic import chest, write
from triplenet.cli import prepare
from triplenet.cohort import write_cohort
from triplenet.prepare import PreparedSet


@pytest.fixture
def table(tmp_path):
    """Four patients of each of three sites."""
    rows = []
    for number in range(12):
        hu, lung, infection, geometry = chest(slices=3, size=64)
        rows.append(write(tmp_path, f"P{number}", hu, geometry, lung=lung, infection=infection))
        rows[-1] |= {"finding": "negative", "site": "abc"[number // 4]}
    write_cohort(tmp_path / "cohort.csv", rows)
    return tmp_path / "cohort.csv"


def run(*arguments):
    app = typer.Typer()
    app.command()(prepare.prepare)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_folds_by_site_are_asked_for_by_name(table, tmp_path):
    said = run(table, tmp_path / "set", "--size", 32, "--jobs", 1, "--allow-leakage", "--folds", "site", "--json")
    assert said.exit_code == 0, said.output
    # Eight patients of other sites: one of seven validates.
    assert json.loads(said.stdout)["folds"] == {"1": [7, 1, 4], "2": [7, 1, 4], "3": [7, 1, 4]}
    assert PreparedSet.open(tmp_path / "set").fold(2).test == ("P4", "P5", "P6", "P7")


def test_a_scheme_that_is_not_there_is_wrong_usage(table, tmp_path):
    said = run(table, tmp_path / "set", "--folds", "hospital")
    assert said.exit_code == 2
    assert "choose order, stratified or site" in said.output
    assert not (tmp_path / "set").exists()
