"""``triplenet predict`` as a call: scans in, a numbered folder each out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from triplenet.errors import BadInput, TripleNetError
from triplenet.files import write_text
from triplenet.inference import BatchItem, Classifier, OptionValues, Record, Refusal, Runtime
from triplenet.inference.runtime import RuntimeName
from triplenet.outputs.result_folder import FORMATS, check_formats, discard, discard_others, write, write_refusal
from triplenet.prepare.masks import MaskInput

if TYPE_CHECKING:
    from triplenet.model import Model

LOG = "readers.log"
"""Beside the results of a batch: tracebacks of what nobody foresaw."""


@dataclass(frozen=True)
class WrittenResult:
    """One scan of a batch as it was written: a record, or the error that it was refused with."""

    scan: Path
    folder: Path
    record: Record | None
    error: TripleNetError | None = None
    refusal: Refusal | None = None
    log: Path | None = None
    """What the scan's reader left, where nobody foresaw what happened"""


def predict_batch(
    scans: Sequence[Path | str],
    model: Runtime | Model | Path | str,
    out: Path | str,
    *,
    outputs: Sequence[str] = FORMATS,
    infection: MaskInput | None = None,
    lung: MaskInput | None = None,
    mask: MaskInput | None = None,
    slice_from_feet: int | None = None,
    series: str | None = None,
    finder: Runtime | Model | Path | str | None = None,
    device: str = "cpu",
    runtime: RuntimeName = "auto",
    on_written: Callable[[WrittenResult], None] = lambda _written: None,
    **options: Unpack[OptionValues],
) -> tuple[WrittenResult, ...]:
    """Classify scans and write a folder each: ``out/scan-001``, ``out/scan-002``, ...; earlier results there go.

    Folders are numbered in the order of the scans, since a file's name may be a patient's. A scan that cannot be used
    does not stop the others: its folder says why. A scan alone is read in this process, and its error is raised.

    :param outputs: the formats to write
    :param infection: a mask of a scan alone, as ``lung``, ``mask``, ``slice_from_feet`` and ``series`` are
    :param on_written: called with each as it is ready
    :raises UnknownName: no such format
    :raises BadInput: masks, a slice or a series are given for several scans
    :raises OutputExists: a folder holds something else
    :raises OutputFailed: no room, no permission

    The other parameters and errors are those of ``inference.Classifier``.
    """
    of_one: dict[str, Any] = {
        "infection": infection,
        "lung": lung,
        "mask": mask,
        "slice_from_feet": slice_from_feet,
        "series": series,
    }
    if len(scans) > 1 and any(given is not None for given in of_one.values()):
        raise BadInput("masks, a slice or a series go with one scan only", do="give the scans one by one")
    paths, out, formats = [Path(scan) for scan in scans], Path(out), check_formats(outputs)
    classify = Classifier.load(model, finder=finder, device=device, runtime=runtime, **options)
    folders = [out / f"scan-{number:03d}" for number in range(1, len(paths) + 1)]
    if len(paths) == 1:
        try:
            result = classify(paths[0], **of_one)
        except TripleNetError:
            discard(folders[0])
            raise
        items = iter([BatchItem(1, result)])
    else:
        items = classify.each(paths)
    done = []
    for written in _written(items, paths, folders, out / LOG, formats, classify.options.identifiers):
        done.append(written)
        on_written(written)
    discard_others(out, keep=[folder.name for folder in folders])
    return tuple(done)


def _written(
    items: Iterator[BatchItem],
    paths: Sequence[Path],
    folders: Sequence[Path],
    log: Path,
    formats: Sequence[str],
    identifiers: bool,
) -> Iterator[WrittenResult]:
    logs: list[str] = []
    for item, path, folder in zip(items, paths, folders, strict=True):
        if item.result is not None:
            write(item.result, folder, formats)
            yield WrittenResult(path, folder, item.result.record)
        elif item.error is not None and item.refusal is not None:
            write_refusal(item.refusal, folder)
            if item.log:
                text = item.log if identifiers else item.log.replace(str(path), folder.name)
                logs.append(f"{folder.name}: {item.error.code}\n{text}\n")
                write_text(log, "\n".join(logs))
            yield WrittenResult(path, folder, None, item.error, item.refusal, log if item.log else None)
