"""Tasks: findings to classes, built in or from a TOML file.

A task file::

    name = "severity3"
    title = "none, mild, more"
    classes = ["none", "mild", "more"]
    positive = ["mild", "more"]        # optional

    [findings]
    "CT-0" = "none"
    "CT-1" = "mild"
    "CT-2" = "more"
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from triplenet import catalog
from triplenet.catalog import Task
from triplenet.cohort.cells import shortened, unfit_class
from triplenet.errors import BadCohort, PathMissing
from triplenet.toml_text import NotToml, read_toml


class _TaskFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    title: str = ""
    classes: tuple[str, ...]
    findings: dict[str, str]
    positive: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> _TaskFile:
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError("classes must be at least two different names")
        for name in self.classes:
            if fault := unfit_class(name):
                raise ValueError(f"the class {shortened(name)!r} {fault}")
        for finding, name in self.findings.items():
            if name not in self.classes:
                raise ValueError(f"finding {finding!r} belongs to {name!r}, which is not a class")
        empty = set(self.classes) - set(self.findings.values())
        if empty:
            raise ValueError(f"no finding belongs to class {sorted(empty)[0]!r}")
        if not set(self.positive) <= set(self.classes):
            raise ValueError("positive must name classes")
        return self


def load_task(task: Task | Path | str) -> Task:
    """A built-in task by name, or one from a TOML file when the text ends in ``.toml``; a task is given back.

    :raises UnknownName: no built-in task has this name
    :raises PathMissing: there is no such file
    :raises BadCohort: the file is not a task
    """
    if isinstance(task, Task):
        return task
    if isinstance(task, Path) or task.endswith(".toml"):
        return load_task_file(Path(task))
    return catalog.task(task)


def load_task_file(path: Path) -> Task:
    """A task from a TOML file; see the module's example."""
    if not path.is_file():
        raise PathMissing("no such task file", where=path)
    try:
        parsed = _TaskFile.model_validate(read_toml(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadCohort(f"not a task ({place or 'file'}: {first['msg']})", where=path) from error
    except NotToml as error:
        raise BadCohort(f"not a TOML file ({error})", where=path) from error
    positive = parsed.positive or (parsed.classes[1:] if len(parsed.classes) == 2 else ())
    return Task(parsed.name, parsed.title or parsed.name, parsed.classes, parsed.findings, positive)
