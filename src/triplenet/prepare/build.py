"""A cohort -> its prepared set, patient by patient in several processes, restartable, whole or not at all.

Each patient's sample is kept in ``<out>.partial`` as soon as it is made, under a key of everything that decides it, so
that a run that was stopped goes on where it was. The result does not depend on the number of processes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

import triplenet
from triplenet.catalog import UNLABELLED
from triplenet.cohort.folds import FOLDS, Fold, Member, Scheme, split
from triplenet.cohort.table import Cohort, Patient
from triplenet.errors import BadCohort, CohortError, Leakage
from triplenet.files import make_folder, refuse_existing, sha256_of, whole_folder, write_csv, write_json, write_text
from triplenet.prepare import store
from triplenet.prepare.array_file import ArrayFile, write_arrays
from triplenet.prepare.kept_samples import Outcome, make_or_find
from triplenet.prepare.leakage import Twin, twins
from triplenet.prepare.masks import called
from triplenet.prepare.opacity_share import OPACITY_HU
from triplenet.prepare.patient import Options
from triplenet.prepare.store import PreparedInfo, PreparedPatient, PreparedSet
from triplenet.processes import BUDGET_S, Failed, attempts
from triplenet.relative_paths import relative_path, without_places

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rejection:
    """A scan that was refused."""

    patient: str
    scan: str
    code: str
    reason: str


def prepare(
    cohort: Cohort,
    out: Path | str,
    options: Options | None = None,
    *,
    scheme: Scheme = "order",
    fold_seed: int = 0,
    allow_leakage: bool = False,
    skip_bad_masks: bool = False,
    jobs: int | None = None,
    budget_s: float = BUDGET_S,
    on_progress: Progress = lambda _done, _total: None,
) -> PreparedSet:
    """Make the prepared set of a cohort.

    A scan that cannot be used costs its patient, not the set: it goes to ``rejected.csv``. Scans are read in other
    processes, so that this holds for one that ends its reader too; what such a reader left is written beside the set,
    into ``<out>.readers.log``. A mask that does not belong to its scan is a fault of the table, as is a series that the
    scan does not hold, and nothing is written.

    :param allow_leakage: go on with near-duplicates across the sides of a fold; it is recorded
    :param skip_bad_masks: a mask that cannot be used costs its patient, as a scan does, instead of stopping the set
    :param jobs: processes; as many as processors by default
    :param budget_s: seconds that one patient may take
    :param on_progress: called with (patients done, patients in all)
    :raises OutputExists: ``out`` is there already
    :raises OutputFailed: no room, no permission
    :raises BadCohort: masks do not fit their scans, or series are not there; every fault is listed
    :raises CohortTooSmall: too few patients are left for three folds
    :raises Leakage: the same image, or nearly the same, stands on two sides of a fold
    """
    out = Path(out)
    options = options or Options()
    refuse_existing(out)
    # Too few patients for three folds are known before any scan is read.
    split([Member(p.patient, p.finding, p.group, p.site) for p in cohort], scheme=scheme, seed=fold_seed)
    unfinished = out.with_name(f".{out.name}.partial")
    make_folder(unfinished)
    log = out.with_name(f"{out.name}.readers.log")
    samples, outcomes = _make_samples(cohort.patients, options, unfinished, log, jobs, budget_s, on_progress)
    if skip_bad_masks:
        outcomes = [_as_rejection(outcome) for outcome in outcomes]
    _refuse_bad_rows(cohort, outcomes)
    base = cohort.path.resolve().parent
    rejected = _rejections(cohort, outcomes, base)
    kept = [index for index, outcome in enumerate(outcomes) if "code" not in outcome]
    if not kept:
        raise CohortError(
            f"every scan was refused, the first with {rejected[0].code}: {rejected[0].reason}",
            where=cohort.path,
            do="look at one with triplenet inspect",
        )
    patients = [_prepared(cohort.patients[index], outcomes[index], base) for index in kept]
    folds = split([Member(p.patient, p.finding, p.group, p.site) for p in patients], scheme=scheme, seed=fold_seed)
    with whole_folder(out) as folder:
        seconds = any(_second_told(cohort.patients[index]) for index in kept)
        images = _write_arrays(folder, [unfinished / samples[index] for index in kept], options, seconds=seconds)
        alike = twins([patient.patient for patient in patients], images, folds)
        if alike and not allow_leakage:
            raise _leakage(alike, cohort.path)
        write_csv(folder / store.TABLE, [store.table_row(patient) for patient in patients])
        write_csv(folder / store.OPACITY, [store.opacity_row(patient) for patient in patients])
        write_csv(folder / store.FOLDS_FILE, _fold_rows(patients, folds))
        write_csv(folder / store.REJECTED, [asdict(one) for one in rejected], columns=tuple(Rejection.__annotations__))
        info = _info(cohort, options, folder, patients, len(rejected), alike, scheme, fold_seed)
        write_json(folder / store.INFO, info.model_dump(mode="json"))
    shutil.rmtree(unfinished, ignore_errors=True)
    return PreparedSet.open(out)


def _rejections(cohort: Cohort, outcomes: Sequence[Outcome], base: Path) -> list[Rejection]:
    return [
        Rejection(
            patient.patient,
            relative_path(patient.scan, base),
            outcome["code"],
            without_places(outcome["text"], _paths(patient), base),
        )
        for patient, outcome in zip(cohort, outcomes, strict=True)
        if "code" in outcome
    ]


def _info(
    cohort: Cohort,
    options: Options,
    folder: Path,
    patients: Sequence[PreparedPatient],
    rejected: int,
    alike: Sequence[Twin],
    scheme: Scheme,
    fold_seed: int,
) -> PreparedInfo:
    """What ``prepared.json`` says of the other files, which are in the folder."""
    return PreparedInfo(
        made_with=triplenet.__version__,
        cohort_sha256=cohort.sha256,
        window_hu=options.window_hu,
        size=options.size,
        frames=options.frames,
        frame_size=options.frame_size if options.frames else 0,
        frame_sampling=options.frame_sampling,
        frame_lungs=bool(options.frames and options.frame_lungs),
        fold_scheme=scheme,
        fold_seed=fold_seed,
        leakage=tuple((twin.first, twin.second) for twin in alike),
        patients=len(patients),
        derived_lungs=sum(patient.derived for patient in patients),
        rejected=rejected,
        opacity_hu=OPACITY_HU,
        columns=store.OWN_COLUMNS,
        files={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    )


def _make_samples(
    patients: Sequence[Patient],
    options: Options,
    unfinished: Path,
    log: Path,
    jobs: int | None,
    budget_s: float,
    on_progress: Progress,
) -> tuple[list[str], list[Outcome]]:
    """The file of each patient's sample in ``unfinished``, and what is known of it or why it was refused."""
    samples: list[str] = []
    outcomes: list[Outcome] = []
    logged: list[str] = []
    on_progress(0, len(patients))
    make = partial(make_or_find, options=options)
    with closing(attempts(make, [(patient, unfinished) for patient in patients], jobs, budget_s=budget_s)) as results:
        for patient, result in zip(patients, results, strict=True):
            if isinstance(result, Failed):  # not kept: it may have been the machine's fault
                logged.append(f"patient {patient.patient}: {patient.scan}\n{result.error}\n{result.log}\n")
                write_text(log, "\n".join(logged))
                reason = f"{result.error}; see {log.name}"
                samples.append("")
                outcomes.append({"code": result.error.code, "text": reason, "column": "scan"})
            else:
                samples.append(result[0])
                outcomes.append(result[1])
            on_progress(len(outcomes), len(patients))
    return samples, outcomes


def _refuse_bad_rows(cohort: Cohort, outcomes: Sequence[Outcome]) -> None:
    faults = [
        patient.fault(outcome["column"], outcome["code"], outcome["text"])
        for patient, outcome in zip(cohort, outcomes, strict=True)
        if outcome.get("column", "scan") != "scan"
    ]
    if faults:
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise BadCohort(f"{faults[0]}{more}", where=cohort.path, do="mend the table", faults=faults)


def _as_rejection(outcome: Outcome) -> Outcome:
    """A bad mask as what its scan is refused for; anything else as it is."""
    column = outcome.get("column")
    if column not in ("mask", "infection", "lung", "second_infection"):
        return outcome
    return outcome | {"column": "scan", "text": f"{called(column)}: {outcome['text']}"}


def _paths(patient: Patient) -> tuple[Path | None, ...]:
    return (patient.scan, patient.infection, patient.lung, patient.mask, patient.second_infection)


def _prepared(patient: Patient, facts: Outcome, base: Path) -> PreparedPatient:
    texts = {name: without_places(facts[name], _paths(patient), base) for name in ("series_choice", "notes")}
    return PreparedPatient(
        patient=patient.patient,
        finding=patient.finding,
        group=patient.group,
        site=patient.site,
        extra=dict(patient.extra),
        **(facts | texts),
    )


def _second_told(patient: Patient) -> bool:
    """Whether another reader told of the infection."""
    return patient.second_infection is not None or patient.no_second_infection


def _write_arrays(folder: Path, samples: Sequence[Path], options: Options, *, seconds: bool) -> ArrayFile:
    """Put the samples together; returns the images.

    :param seconds: whether another reader told of any patient's infection
    """
    n, size = len(samples), options.size
    shapes: dict[str, tuple[int, ...]] = {store.IMAGES: (n, size, size), store.MASKS: (n, size, size)}
    if options.frames:
        shapes[store.FRAMES] = (n, options.frames, options.frame_size, options.frame_size)
        if options.frame_lungs:
            packed = store.packed_width(options.frame_size)
            shapes[store.FRAME_LUNGS] = (n, options.frames, options.frame_size, packed)
    if seconds:
        shapes[store.SECOND] = (n, size, size)
    untold = {Path(store.SECOND).stem: np.full((size, size), UNLABELLED, dtype=np.uint8)}
    names = [Path(name).stem for name in shapes]

    def read() -> Iterator[dict[str, store.Bytes]]:
        for path in samples:
            with np.load(path, allow_pickle=False) as archive:
                yield {name: archive[name] if name in archive else untold[name] for name in names}

    return write_arrays(folder, shapes, read())[store.IMAGES]


def _leakage(alike: Sequence[Twin], table: Path) -> Leakage:
    more = f" and {len(alike) - 1} more pairs" if len(alike) > 1 else ""
    return Leakage(
        f"{alike[0]}{more} are the same image on two sides of a fold",
        where=table,
        do="give both one group, remove one, or say --allow-leakage",
    )


def _fold_rows(patients: Sequence[PreparedPatient], folds: Sequence[Fold]) -> list[dict[str, str]]:
    part = {
        (fold.number, patient): name
        for fold in folds
        for name in ("train", "validation", "test")
        for patient in getattr(fold, name)
    }
    return [
        {"patient": one.patient} | {f"fold{number}": part[number, one.patient] for number in FOLDS} for one in patients
    ]
