"""From a run or a model file to a file for elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from triplenet.errors import BadInput, BadRun, UnknownName
from triplenet.export.description import Port, Written
from triplenet.export.export_formats import FORMATS, Format, check_installed, find_format, format_of
from triplenet.files import refuse_existing, sha256_of, whole_file
from triplenet.model import ModelCard, read_card
from triplenet.prepare.store import PreparedSet
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


def export(
    source: Path | str,
    out: Path | str,
    format: Format | str | None = None,  # the option's name
    *,
    int8: PreparedSet | Path | str | None = None,
    on_step: Callable[[str], None] = lambda _text: None,
) -> Exported:
    """Write a model in another format, whole or not at all; a graph is compared with the model before it is kept.

    :param source: a finished run's folder, or a model file
    :param format: ``safetensors``, ``onnx`` or ``torch``; by default as the name of ``out`` ends
    :param int8: as ONNX in 8-bit integers: a prepared set by whose training patients layers are scaled, and on whose
        test patients the change is measured
    :param on_step: called with what is being done
    :raises BadInput: the model cannot be quantised, or the set is not for it
    :raises UnknownName: no such format, or ``out`` ends as another one's files do
    :raises OutputExists: ``out`` is there
    :raises MissingExtra: the format needs what is not installed
    :raises BadModel: damaged, or not a triplenet model
    :raises BadRun: the training is not finished
    :raises ExportFailed: the graph does not say what the model says
    """
    to = Path(out)
    chosen = _chosen(format, to)
    refuse_existing(to)
    model_file = _model_file(Path(source))
    card = read_card(model_file)
    card.refuse_true_masks()
    check_installed(chosen)
    prepared = None
    if int8 is not None:
        if chosen.name != "onnx":
            raise BadInput(f"a {chosen.title} is not written in 8-bit integers", where="int8", do="export as ONNX")
        from triplenet.export.int8 import check_int8

        prepared = PreparedSet.of(int8)
        check_int8(card, prepared)
    write: Callable[[Path, Path, Callable[[str], None]], Written] = import_module(
        f"triplenet.export.{chosen.module}"
    ).write
    with whole_file(to) as temporary:
        written = write(model_file, temporary, on_step)
        if prepared is not None:
            on_step("quantising")
            from triplenet.export.int8 import INT8, in_words, quantise
            from triplenet.export.onnx_graph import runner

            change = quantise(temporary, card, prepared, runner)
            # In integers the graph differs from the model, as the measured change tells.
            written = replace(written, differences={}, facts=written.facts | {INT8: in_words(change)})
    return Exported(to, chosen, card, to.stat().st_size, sha256_of(to), **vars(written))


def _chosen(wanted: Format | str | None, to: Path) -> Format:
    by_name = format_of(to.suffix)
    chosen = find_format(wanted) if isinstance(wanted, str) else wanted or by_name
    if chosen is None:
        known = ", ".join(one.suffix for one in FORMATS.values())
        raise UnknownName("the file's name does not say its format", where=to, do=f"let it end in one of {known}")
    if by_name not in (None, chosen):
        raise UnknownName(f"the name does not end as a file of the format {chosen.name}", where=to)
    return chosen


def _model_file(source: Path) -> Path:
    if not source.is_dir():
        return source
    run = open_run(source)
    if not run.complete:
        raise BadRun("the training is not finished", where=source, do="go on with triplenet train --resume")
    return run.model
