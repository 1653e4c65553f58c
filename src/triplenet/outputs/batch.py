"""``triplenet predict`` as a call: scans in, a numbered folder each out, and ``results.csv`` with a line a scan."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Unpack

from pydantic import ValidationError

from triplenet import __version__
from triplenet.errors import BadInput, OutputExists, ScanError, TripleNetError
from triplenet.files import clear_abandoned, held_folder, make_folder, write_text
from triplenet.inference import Classifier, OptionValues, Record, Refusal, Runtime, ScanRequest
from triplenet.inference.runtime import RuntimeName, begin_to_load
from triplenet.inference.scan_table import read_scan_table
from triplenet.outputs.batch_on_ray import work_on_ray
from triplenet.outputs.batch_work import Order, Outcome, Outcomes, Task, work_here, work_in_processes
from triplenet.outputs.journal import JOURNAL, Journal, fingerprint
from triplenet.outputs.output_formats import DEFAULT, RESULT, check_formats, needed_by
from triplenet.outputs.read_ahead import read_ahead
from triplenet.outputs.result_folder import (
    REFUSED,
    check_replaceable,
    discard,
    discard_others,
    write,
)
from triplenet.outputs.site_profiles import resolved
from triplenet.outputs.summary import COLUMNS, TABLE, Summary, write_table
from triplenet.prepare.masks import MaskInput
from triplenet.processes import free_memory, usable_threads
from triplenet.scan.studies import studies_below

if TYPE_CHECKING:
    from triplenet.model import Model

LOG = "readers.log"
"""Beside the results of a batch: tracebacks of what nobody foresaw."""
SCANS_EACH = 8
"""That a process is begun for: it takes as long as some scans to load a model"""
MEMORY_EACH = 3 * 2**30
"""Bytes, of a process with a model and the largest scans"""
TABLE_EVERY_S = 5.0


@dataclass(frozen=True)
class WrittenResult:
    """One scan as it was written."""

    number: int
    """From 1"""
    of: int
    """Scans in all"""
    scan: Path
    folder: Path
    summary: Summary
    kept: bool = False
    """Done by an earlier call"""
    log: Path | None = None
    """What the scan's reader left, where nobody foresaw what happened"""

    @property
    def record(self) -> Record | None:
        """From ``result.json``; None for a refusal, or where that was not among the outputs."""
        with suppress(OSError, ValidationError):
            return Record.model_validate_json((self.folder / RESULT).read_bytes())
        return None

    @property
    def refusal(self) -> Refusal | None:
        """From ``refused.json``; None for a result."""
        with suppress(OSError, ValidationError):
            return Refusal.model_validate_json((self.folder / REFUSED).read_bytes())
        return None


def predict_batch(
    scans: Sequence[ScanRequest | Path | str] | None,
    model: Runtime | Model | Path | str,
    out: Path | str,
    *,
    table: Path | str | None = None,
    studies: Path | str | None = None,
    outputs: Sequence[str] = DEFAULT,
    site: Path | str | None = None,
    infection: MaskInput | None = None,
    lung: MaskInput | None = None,
    mask: MaskInput | None = None,
    slice_from_feet: int | None = None,
    series: str | None = None,
    finder: Runtime | Model | Path | str | None = None,
    device: str = "cpu",
    runtime: RuntimeName = "auto",
    jobs: int | None = None,
    ray: str | None = None,
    restart: bool = False,
    on_note: Callable[[str], None] = lambda _text: None,
    on_written: Callable[[WrittenResult], None] = lambda _written: None,
    **options: Unpack[OptionValues],
) -> tuple[WrittenResult, ...]:
    """Classify scans and write a folder each: ``out/scan-001``, ``out/scan-002``, ...; earlier results there go.

    Folders are numbered in the order of the scans, since a file's name may be a patient's. A scan that cannot be used
    does not stop the others: its folder says why. What an earlier call into ``out`` did is kept where nothing that
    decides the result has changed: the files of the scan and its masks, the model, options, outputs, version. A scan
    that was refused for what may be the machine's fault is tried again. ``results.csv`` has a line a scan.

    One scan in ``scans`` is no batch: it is read in this process, its error is raised, there is no table of one line,
    and it is always done anew.

    :param scans: or None, where ``table`` or ``studies`` says which
    :param table: a CSV, one row a scan; see ``inference.scan_table``
    :param studies: a folder, each study below which is a scan; see ``scan.studies``
    :param outputs: the formats to write, or profiles of them: see ``outputs.output_formats`` and ``site_profiles``
    :param site: a TOML file with a site's own profiles
    :param infection: a mask of a scan alone, as ``lung``, ``mask``, ``slice_from_feet`` and ``series`` are
    :param jobs: scans at once, each in a process of its own with its own model; by default as many as the machine has
        processors and memory for, and no more than one for 8 scans. With one, the model is in this process
    :param ray: the address of a Ray cluster that does the work, ``local`` or ``auto``; on a shared file system
    :param restart: do everything anew
    :param on_note: told what was passed over, and how many earlier results were removed
    :param on_written: called with each as it is ready, in no order
    :raises UnknownName: no such format or profile
    :raises BadSite: the site's profiles cannot be used
    :raises MissingExtra: a format needs a package that is not installed
    :raises NotDicom: of the one scan, which is no DICOM, an output is wanted that refers to DICOM instances
    :raises BadInput: masks, a slice or a series are given for several scans; several processes are asked for with a
        model that is no file; no scans, or from two places
    :raises BadCohort, PathMissing: the table or folder cannot be used
    :raises OutputExists: a folder holds something else, or another batch is being written there
    :raises OutputFailed: no room, no permission

    The other parameters and errors are those of ``inference.Classifier``.
    """
    told: dict[str, Any] = {
        "infection": infection,
        "lung": lung,
        "mask": mask,
        "slice_from_feet": slice_from_feet,
        "series": series,
    }
    if isinstance(scans, str | Path):
        raise BadInput("scans is one path", do="give a list of them, or call predict")
    formats, out = check_formats(resolved(outputs, site)), Path(out)
    requests = _requests(scans, table, studies, out, on_note)
    alone = scans is not None and len(requests) == 1
    if any(given is not None for given in told.values()):
        if not alone:
            raise BadInput("masks, a slice or a series go with one scan only", do="name them in a table, --from")
        requests = (replace(requests[0], **{name: given for name, given in told.items() if given is not None}),)
    if jobs is not None and jobs < 1:
        raise BadInput(f"{jobs} jobs", do="give 1 or more")
    if alone and isinstance(model, Path | str):  # the network loads while the scan is opened and its lungs are found
        model = begin_to_load(model, device, runtime)
    keep = needed_by(formats)
    classify = Classifier.load(model, finder=finder, device=device, runtime=runtime, keep=keep, **options)
    if alone:
        return (_single(classify, requests[0], out, formats, on_written, on_note),)
    order = _order(model, finder, device, runtime, classify, formats)
    if order is None and (ray is not None or (jobs or 1) > 1):
        raise BadInput("several processes each load the model, which is no file here", do="give the model's path")
    if ray is not None:  # another machine's working directory is another one
        out, requests = out.absolute(), tuple(request.absolute() for request in requests)
    batch = _Batch(
        out,
        requests,
        classes=classify.card.classes,
        settings=_settings(classify, device, formats),
        identifiers=classify.options.identifiers,
        on_written=on_written,
        on_note=on_note,
    )
    if jobs is None and ray is None:
        jobs = default_jobs(device, len(requests))
    work = _way(classify, order, jobs, ray, formats)
    del classify  # other processes have their own
    return batch.run(work, anew=restart)


def _way(
    classify: Classifier, order: Order | None, jobs: int | None, ray: str | None, formats: tuple[str, ...]
) -> Callable[[Iterator[Task]], Outcomes]:
    """How the scans are worked on: in this process, in several, or on a cluster."""
    if order is not None and ray is not None:
        return lambda tasks: work_on_ray(order, tasks, ray, jobs)
    if order is None or jobs is None or jobs == 1:
        return lambda tasks: work_here(classify, read_ahead(tasks, _paths, 2), formats)
    threads = max(1, usable_threads() // jobs)
    return lambda tasks: work_in_processes(order, read_ahead(tasks, _paths, jobs + 1), jobs, threads)


def default_jobs(device: str, scans: int) -> int:
    """How many scans at once: one a processor, as far as memory goes, for many scans; one where a GPU computes.

    On a busy machine of two processors, two processes of one thread took a fifth to a half of the time of one of two
    (``benchmarks/results/batch_memory.json``), on a quieter one as long.
    """
    if device != "cpu":
        return 1
    memory = free_memory()
    room = usable_threads() if memory is None else memory // MEMORY_EACH
    return max(1, min(usable_threads(), room, scans // SCANS_EACH))


def _requests(
    scans: Sequence[ScanRequest | Path | str] | None,
    table: Path | str | None,
    studies: Path | str | None,
    out: Path,
    on_note: Callable[[str], None],
) -> tuple[ScanRequest, ...]:
    """The scans, from wherever they are named.

    :raises BadInput: nowhere, or in two places
    """
    if sum((bool(scans), table is not None, studies is not None)) != 1:
        what = "no scans are given" if not scans and table is None and studies is None else "scans from two places"
        raise BadInput(what, do="give scans, or a table by --from, or a folder by --studies")
    if table is not None:
        found = read_scan_table(table)
        if found.unused:
            on_note(f"columns of the table that are not used: {', '.join(found.unused)}")
        return found.requests
    if studies is not None:
        below = studies_below(studies, leave_out=[out], results=[RESULT, REFUSED])
        if below.skipped:
            on_note("passed over: " + ", ".join(f"{count} x {why}" for why, count in sorted(below.skipped.items())))
        if not below.scans:
            raise BadInput("no study lies below the folder", where=studies, do="give a scan's own folder as SCAN")
        return tuple(map(ScanRequest, below.scans))
    return tuple(map(ScanRequest.of, scans or ()))


def _order(
    model: object, finder: object, device: str, runtime: RuntimeName, classify: Classifier, formats: tuple[str, ...]
) -> Order | None:
    """What another process is told; None where it cannot have the models."""
    if not isinstance(model, Path | str) or not isinstance(finder, Path | str | None):
        return None
    searching = None if finder is None else Path(finder).absolute()
    return Order(Path(model).absolute(), searching, device, runtime, classify.options, formats)


def _single(
    classify: Classifier,
    request: ScanRequest,
    out: Path,
    formats: tuple[str, ...],
    on_written: Callable[[WrittenResult], None],
    on_note: Callable[[str], None],
) -> WrittenResult:
    folder = _folder(out, 1)
    try:
        result = classify(
            request.source,
            infection=request.infection,
            lung=request.lung,
            mask=request.mask,
            slice_from_feet=request.slice_from_feet,
            series=request.series,
        )
    except TripleNetError:
        classify.runtime.ready()  # a model that cannot be used says nothing of the scan: an earlier result stays
        _remove(folder, out)
        raise
    try:
        write(result, folder, formats)
    except ScanError:  # an object cannot refer to the scan as it is
        _remove(folder, out)
        raise
    written = WrittenResult(1, 1, _named(request), folder, Summary.of_record(result.record))
    on_written(written)
    _say_gone(discard_others(out, keep=[folder.name]), on_note)
    _forget(out)
    return written


def _say_gone(count: int, on_note: Callable[[str], None]) -> None:
    if count:
        on_note(f"removed: {count} earlier results in {'folders' if count > 1 else 'a folder'} of no scan given now")


def _remove(folder: Path, out: Path) -> None:
    """An earlier result of a scan that is refused now."""
    discard(folder)
    _forget(out)


def _forget(out: Path) -> None:
    """Remove what tells of an earlier batch as a whole, since it does not tell of what is there now."""
    for path in (out / JOURNAL, out / LOG, *([out / TABLE] if _is_table(out / TABLE) else [])):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _is_table(path: Path) -> bool:
    """Whether a file is a table of results."""
    with suppress(OSError, UnicodeDecodeError), path.open(encoding="utf-8") as stream:
        return stream.readline().startswith(",".join(COLUMNS[:2]))
    return False


def _folder(out: Path, number: int) -> Path:
    return out / f"scan-{number:03d}"


def _named(request: ScanRequest) -> Path:
    return Path(request.source) if isinstance(request.source, Path | str) else Path("-")


def _paths(task: Task) -> Sequence[Path]:
    return task.request.paths


@dataclass
class _Batch:
    """The scans of one call: which are done already, and what is known of the others as they are finished."""

    out: Path
    requests: Sequence[ScanRequest]
    classes: Sequence[str]
    settings: Mapping[str, Any]
    identifiers: bool
    on_written: Callable[[WrittenResult], None]
    on_note: Callable[[str], None]
    done: dict[int, WrittenResult] = field(default_factory=dict)
    logs: dict[int, str] = field(default_factory=dict)
    table_due: float = 0.0

    def run(self, work: Callable[[Iterator[Task]], Outcomes], *, anew: bool) -> tuple[WrittenResult, ...]:
        """:param work: yields each task with its outcome, in whatever order"""
        make_folder(self.out)
        with ExitStack() as held:
            try:
                held.enter_context(held_folder(self.out))
            except BlockingIOError as error:
                do = "wait for it, or name another folder"
                raise OutputExists("another batch is being written here", where=self.out, do=do) from error
            self._check_out()
            journal = held.enter_context(Journal(self.out, anew=anew))
            (self.out / LOG).unlink(missing_ok=True)
            outcomes = held.enter_context(closing(work(self._tasks(journal))))
            for task, outcome in outcomes:
                if not outcome.passing:
                    journal.add(task.folder, task.fingerprint, outcome.summary)
                self._note(task, outcome)
            self._write_table()
            gone = discard_others(self.out, keep=[_folder(self.out, number).name for number in self._numbers()])
            _say_gone(gone, self.on_note)
            clear_abandoned(self.out)
        return tuple(self.done[index] for index in range(len(self.requests)))

    def _numbers(self) -> range:
        return range(1, len(self.requests) + 1)

    def _check_out(self) -> None:
        """Refuse before the work what would be refused after some of it.

        :raises OutputExists: a folder or the table is something else
        """
        there = {entry.name for entry in os.scandir(self.out)}
        if TABLE in there and not _is_table(self.out / TABLE):
            raise OutputExists("this is no table of results", where=self.out / TABLE, do="name another folder for them")
        for number in self._numbers():
            folder = _folder(self.out, number)
            if folder.name in there:
                check_replaceable(folder)

    def _tasks(self, journal: Journal) -> Iterator[Task]:
        """The scans that are not done yet; the others are told of in passing."""
        for index, request in enumerate(self.requests):
            folder = _folder(self.out, index + 1)
            state = fingerprint(request, self.settings)
            summary = journal.done(folder, state)
            task = Task(index, request, folder, state)
            if summary is None:
                yield task
            else:
                self._note(task, Outcome(summary), kept=True)

    def _note(self, task: Task, outcome: Outcome, *, kept: bool = False) -> None:
        log = None
        if outcome.log:
            text = outcome.log if self.identifiers else outcome.log.replace(str(_named(task.request)), task.folder.name)
            self.logs[task.index] = f"{task.folder.name}: {outcome.summary.code}\n{text}\n"
            log = self.out / LOG
            write_text(log, "\n".join(text for _, text in sorted(self.logs.items())))
        place = (task.index + 1, len(self.requests))
        written = WrittenResult(*place, _named(task.request), task.folder, outcome.summary, kept, log)
        self.done[task.index] = written
        if monotonic() >= self.table_due:
            began = monotonic()
            self._write_table()
            # A large table on a slow share is written more seldom.
            self.table_due = monotonic() + max(TABLE_EVERY_S, 20 * (monotonic() - began))
        self.on_written(written)

    def _write_table(self) -> None:
        rows = []
        for index, written in sorted(self.done.items()):
            row = {"number": written.number, "folder": written.folder.name, **written.summary.row()}
            if self.identifiers:
                row |= {"input": str(written.scan), "patient": self.requests[index].patient or ""}
            rows.append(row)
        write_table(self.out / TABLE, rows, self.classes)


def _settings(classify: Classifier, device: str, formats: tuple[str, ...]) -> dict[str, Any]:
    """Whatever decides the results of all scans."""
    return {
        "model": _identity(classify.runtime),
        "finder": None if classify.finder is None else _identity(classify.finder),
        "device": device,
        "options": asdict(classify.options),
        "outputs": formats,
        "triplenet": __version__,
    }


def _identity(runtime: Runtime) -> object:
    """What tells a model from another; one that does not know its own is never the same twice."""
    return runtime.name, runtime.model_sha256 or os.urandom(16).hex()
