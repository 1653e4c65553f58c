"""One scan of a batch from its path to its folder, in this process or in another one, and what comes back: little."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from triplenet.errors import (
    OutOfMemory,
    ReaderFault,
    ReaderLost,
    ReaderTimeout,
    ScanError,
    SystemFailed,
    TripleNetError,
)
from triplenet.inference import BatchItem, Classifier, Options, Refusal, ScanRequest, refusal
from triplenet.inference.runtime import RuntimeName
from triplenet.outputs.output_formats import needed_by
from triplenet.outputs.result_folder import write, write_refusal
from triplenet.outputs.summary import Summary
from triplenet.processes import Failed, Worker, as_finished

BUDGET_S = 3600.0
"""Of one scan, read and classified: an end to one that would hang a batch"""
_PASSING = (ReaderLost, ReaderTimeout, ReaderFault, OutOfMemory, SystemFailed)


@dataclass(frozen=True)
class Order:
    """What holds for all scans of a batch; the model by its file, so that each process loads its own."""

    model: Path
    finder: Path | None
    device: str
    runtime: RuntimeName
    options: Options
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One scan: where it is, where its result goes, and the state that it is in."""

    index: int
    request: ScanRequest
    folder: Path
    fingerprint: str


@dataclass(frozen=True)
class Outcome:
    """What comes back of a scan whose folder is written."""

    summary: Summary
    log: str = ""
    """Of an error that nobody foresaw; it may name the scan"""
    passing: bool = False
    """Refused for a reason that may be the machine's and not the scan's, so that it is worth another try"""


Outcomes = Generator[tuple[Task, Outcome], None, None]
_loaded: list[tuple[Order, Classifier]] = []
"""In another process: the model, loaded with the first scan."""


def work_here(classify: Classifier, tasks: Iterable[Task], outputs: tuple[str, ...]) -> Outcomes:
    """Scan by scan with a model that is loaded; only reading is another process's."""
    with Worker() as reader:
        for task in tasks:
            item = classify.attempt(task.request, reader=reader)
            yield task, _write(item, task, outputs, identifiers=classify.options.identifiers)


def work_in_processes(order: Order, tasks: Iterable[Task], jobs: int, threads: int) -> Outcomes:
    """Several scans at once, as they are finished: a process each for all of it.

    :param threads: of each process
    """
    sent: dict[int, Task] = {}

    def noted() -> Iterable[Task]:
        for number, task in enumerate(tasks):
            sent[number] = task
            yield task

    with closing(as_finished(partial(work, order), noted(), jobs, budget_s=BUDGET_S, threads=threads)) as results:
        for number, result in results:
            task = sent.pop(number)
            yield task, lost(order, task, result) if isinstance(result, Failed) else result


def work(order: Order, task: Task) -> Outcome:
    """One scan, whole, in the process that is asked."""
    if not _loaded or _loaded[0][0] != order:
        _loaded[:] = [(order, load(order))]
    item = _loaded[0][1].attempt(task.request)
    return _write(item, task, order.outputs, identifiers=order.options.identifiers)


def load(order: Order) -> Classifier:
    """The order's model; its errors are those of ``Classifier.load``."""
    options = {name: getattr(order.options, name) for name in Options.__dataclass_fields__}
    return Classifier.load(
        order.model,
        finder=order.finder,
        device=order.device,
        runtime=order.runtime,
        keep=needed_by(order.outputs),
        **options,
    )


def lost(order: Order, task: Task, failed: Failed) -> Outcome:
    """A scan whose process was lost: its refusal is written here."""
    named = task.request.source if order.options.identifiers else None
    return _write(BatchItem(1, None, failed.error, refusal(failed.error, named), failed.log), task, order.outputs)


def _write(item: BatchItem, task: Task, outputs: tuple[str, ...], *, identifiers: bool = False) -> Outcome:
    result = item.result
    if result is not None:
        try:
            write(result, task.folder, outputs)
            return Outcome(Summary.of_record(result.record))
        except ScanError as fault:  # an object cannot refer to the scan as it is
            named = task.request.source if identifiers else None
            item = BatchItem(item.number, None, fault, refusal(fault, named))
    error, refused = _refused(item)
    write_refusal(refused, task.folder)
    return Outcome(Summary.of_refusal(refused), item.log, isinstance(error, _PASSING))


def _refused(item: BatchItem) -> tuple[TripleNetError, Refusal]:
    if item.error is None or item.refusal is None:
        raise ValueError("an item of a batch has neither a result nor a refusal")
    return item.error, item.refusal
