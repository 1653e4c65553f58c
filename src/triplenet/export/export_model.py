"""From a run or a model file to a file for elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from triplenet.errors import BadRun
from triplenet.export.description import Port, Written
from triplenet.export.export_formats import Format, check_installed
from triplenet.files import refuse_existing, sha256_of, whole_file
from triplenet.model import ModelCard, read_card
from triplenet.training.run import open_run


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: Path
    format: Format
    card: ModelCard
    bytes: int
    sha256: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    differences: dict[str, float]
    """output -> its greatest difference from the model's own on random images"""
    facts: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "file": str(self.path),
            "format": self.format.name,
            "method": self.card.method,
            "classes": list(self.card.classes),
            "bytes": self.bytes,
            "sha256": self.sha256,
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": [asdict(port) for port in self.outputs],
            "differences": self.differences,
            **self.facts,
        }


def export(source: Path, chosen: Format, to: Path, *, on_step: Callable[[str], None] = lambda _text: None) -> Exported:
    """Write a model in another format, whole or not at all; a graph is compared with the model before it is kept.

    :param source: a finished run's folder, or a model file
    :param on_step: called with what is being done
    :raises OutputExists: ``to`` is there
    :raises MissingExtra: the format needs what is not installed
    :raises BadModel: damaged, or not a triplenet model
    :raises BadRun: the training is not finished
    :raises ExportFailed: the graph does not say what the model says
    """
    refuse_existing(to)
    model_file = _model_file(source)
    card = read_card(model_file)
    check_installed(chosen)
    write: Callable[[Path, Path, Callable[[str], None]], Written] = import_module(
        f"triplenet.export.{chosen.module}"
    ).write
    with whole_file(to) as temporary:
        written = write(model_file, temporary, on_step)
    return Exported(to, chosen, card, to.stat().st_size, sha256_of(to), **vars(written))


def _model_file(source: Path) -> Path:
    if not source.is_dir():
        return source
    run = open_run(source)
    if not run.complete:
        raise BadRun("the training is not finished", where=source, do="go on with triplenet train --resume")
    return run.model
