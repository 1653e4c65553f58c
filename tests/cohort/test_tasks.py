"""Tasks from TOML, checked when read."""

import pytest

from triplenet.catalog import TASKS
from triplenet.cohort import load_task
from triplenet.errors import BadCohort, PathMissing, UnknownName

GOOD = """
name = "two"
classes = ["healthy", "ill"]
[findings]
a = "healthy"
b = "ill"
"""


def test_a_task_file_is_a_task(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(GOOD)
    task = load_task(str(path))
    assert (task.classes, task.label("b"), task.positive) == (("healthy", "ill"), 1, ("ill",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('b = "ill"', 'b = "sick"'), "not a class"),
        (('b = "ill"', 'b = "healthy"'), "no finding belongs to class 'ill'"),
        (('["healthy", "ill"]', '["healthy"]'), "two different"),
        (('name = "two"', 'name = "two"\ncolour = 1'), "colour"),
        (("[findings]", "[findings"), "not a TOML file"),
    ],
)
def test_a_task_file_that_contradicts_itself_is_refused(tmp_path, change, message):
    path = tmp_path / "two.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(BadCohort, match=message):
        load_task(str(path))


def test_an_unknown_task_is_met_with_the_nearest_one():
    with pytest.raises(UnknownName, match="did you mean 'binary'"):
        load_task("binry")


def test_a_missing_task_file_is_missing(tmp_path):
    with pytest.raises(PathMissing):
        load_task(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_built_in_task_uses_all_its_classes(task):
    assert set(task.findings.values()) == set(task.classes)
    assert set(task.positive) < set(task.classes)


def test_mosmeds_severities_are_those_of_its_authors():
    """CT-0 healthy; CT-1 below a quarter of the lung, CT-2 to a half, CT-3 to three quarters and CT-4 beyond."""
    label = TASKS["severity"].label
    assert [label(f"CT-{number}") for number in range(5)] == [0, 1, 2, 3, 3]
    assert [TASKS["severity-binary"].label(f"CT-{number}") for number in range(5)] == [0, 1, 1, 1, 1]


def test_positive_is_class_one_of_the_binary_task():
    task = TASKS["binary"]
    assert {finding: task.label(finding) for finding in task.findings} == {
        "typical": 1,
        "indeterminate": 1,
        "atypical": 0,
        "negative": 0,
    }
