"""A cohort -> its prepared set, patient by patient in several processes, restartable, whole or not at all.

Each patient's sample is kept in ``<out>.partial`` as soon as it is made, under a key of everything that decides it, so
that a run that was stopped goes on where it was. The result does not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

import triplenet
from triplenet.cohort.folds import FOLDS, Fold, Member, Scheme, split
from triplenet.cohort.table import Cohort, Patient
from triplenet.errors import BadCohort, CohortError, Fault, Leakage, ScanError, SeriesUnknown
from triplenet.files import refuse_existing, sha256_of, whole_file, whole_folder, write_csv, write_json
from triplenet.prepare import store
from triplenet.prepare.leakage import Twin, twins
from triplenet.prepare.masks import MaskFault
from triplenet.prepare.patient import Options, prepare_patient
from triplenet.prepare.store import PreparedInfo, PreparedPatient, PreparedSet
from triplenet.processes import in_processes

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
    on_progress: Progress = lambda _done, _total: None,
) -> PreparedSet:
    """Make the prepared set of a cohort.

    A scan that cannot be used costs its patient, not the set: it goes to ``rejected.csv``. A mask that does not
    belong to its scan is a fault of the table, as is a series that the scan does not hold, and nothing is written.

    :param allow_leakage: go on with near-duplicates across the sides of a fold; it is recorded
    :param skip_bad_masks: a mask that cannot be used costs its patient, as a scan does, instead of stopping the set
    :param jobs: processes; as many as processors by default
    :param on_progress: called with (patients done, patients in all)
    :raises OutputExists: ``out`` is there already
    :raises BadCohort: masks do not fit their scans, or series are not there; every fault is listed
    :raises CohortTooSmall: too few patients are left for three folds
    :raises Leakage: the same image, or nearly the same, stands on two sides of a fold
    """
    out = Path(out)
    options = options or Options()
    refuse_existing(out)
    unfinished = out.with_name(f".{out.name}.partial")
    unfinished.mkdir(parents=True, exist_ok=True)
    keys = [_key(patient, options) for patient in cohort]
    _make_samples(cohort.patients, keys, options, unfinished, jobs, on_progress)
    outcomes = [_outcome(unfinished / key) for key in keys]
    if skip_bad_masks:
        outcomes = [_as_rejection(outcome) for outcome in outcomes]
    _refuse_bad_rows(cohort, outcomes)
    rejected = [
        Rejection(patient.patient, os.path.relpath(patient.scan, cohort.path.parent), outcome["code"], outcome["text"])
        for patient, outcome in zip(cohort, outcomes, strict=True)
        if "code" in outcome
    ]
    kept = [index for index, outcome in enumerate(outcomes) if "code" not in outcome]
    if not kept:
        raise CohortError(
            f"every scan was refused, the first with {rejected[0].code}: {rejected[0].reason}",
            where=cohort.path,
            do="look at one with triplenet inspect",
        )
    patients = [_prepared(cohort.patients[index], outcomes[index]) for index in kept]
    folds = split([Member(p.patient, p.finding, p.group) for p in patients], scheme=scheme, seed=fold_seed)
    with whole_folder(out) as folder:
        images = _write_arrays(folder, [unfinished / keys[index] for index in kept], options)
        alike = twins([patient.patient for patient in patients], images, folds)
        if alike and not allow_leakage:
            raise _leakage(alike, cohort.path)
        write_csv(folder / store.TABLE, [store.table_row(patient) for patient in patients])
        write_csv(folder / store.FOLDS_FILE, _fold_rows(patients, folds))
        write_csv(folder / store.REJECTED, [asdict(one) for one in rejected], columns=tuple(Rejection.__annotations__))
        names = sorted(path.name for path in folder.iterdir())
        info = PreparedInfo(
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
            rejected=len(rejected),
            files={name: sha256_of(folder / name) for name in names},
        )
        write_json(folder / store.INFO, info.model_dump(mode="json"))
    shutil.rmtree(unfinished)
    return PreparedSet.open(out)


def _make_samples(
    patients: Sequence[Patient],
    keys: Sequence[str],
    options: Options,
    unfinished: Path,
    jobs: int | None,
    on_progress: Progress,
) -> None:
    todo = [
        (patient, unfinished / key)
        for patient, key in zip(patients, keys, strict=True)
        if not (unfinished / key).exists()
    ]
    done = len(patients) - len(todo)
    on_progress(done, len(patients))
    for _ in in_processes(partial(_make_sample, options=options), todo, jobs):
        done += 1
        on_progress(done, len(patients))


def _make_sample(item: tuple[Patient, Path], options: Options) -> None:
    """Prepare one patient into its file: the arrays and, as JSON text, either what is known or why it was refused."""
    patient, path = item
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        sample = prepare_patient(patient, options)
    except ScanError as error:
        column = "series" if isinstance(error, SeriesUnknown) else "scan"
        outcome: dict[str, Any] = {"code": error.code, "text": str(error), "column": column}
    except MaskFault as fault:
        outcome = {"code": fault.error.code, "text": str(fault.error), "column": fault.column}
    else:
        outcome = sample.facts()
        arrays = sample.arrays()
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, outcome=np.array(json.dumps(outcome)), **arrays)


def _outcome(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        outcome: dict[str, Any] = json.loads(str(archive["outcome"]))
    return outcome


def _refuse_bad_rows(cohort: Cohort, outcomes: Sequence[dict[str, Any]]) -> None:
    faults = [
        Fault(patient.row, outcome["column"], outcome["code"], outcome["text"])
        for patient, outcome in zip(cohort, outcomes, strict=True)
        if outcome.get("column", "scan") != "scan"
    ]
    if faults:
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise BadCohort(f"{faults[0]}{more}", where=cohort.path, do="mend the table", faults=faults)


def _as_rejection(outcome: dict[str, Any]) -> dict[str, Any]:
    """A bad mask as what its scan is refused for; anything else as it is."""
    column = outcome.get("column")
    if column not in ("mask", "infection", "lung"):
        return outcome
    name = column if column == "mask" else f"{column} mask"
    return outcome | {"column": "scan", "text": f"{name}: {outcome['text']}"}


def _prepared(patient: Patient, facts: dict[str, Any]) -> PreparedPatient:
    return PreparedPatient(
        patient=patient.patient,
        finding=patient.finding,
        group=patient.group,
        site=patient.site,
        extra=dict(patient.extra),
        **facts,
    )


def _write_arrays(folder: Path, samples: Sequence[Path], options: Options) -> store.Bytes:
    """Put the samples together; returns the images."""
    n, size = len(samples), options.size
    shapes: dict[str, tuple[int, ...]] = {store.IMAGES: (n, size, size), store.MASKS: (n, size, size)}
    if options.frames:
        shapes[store.FRAMES] = (n, options.frames, options.frame_size, options.frame_size)
        if options.frame_lungs:
            packed = store.packed_width(options.frame_size)
            shapes[store.FRAME_LUNGS] = (n, options.frames, options.frame_size, packed)
    arrays = {
        name: open_memmap(folder / name, mode="w+", dtype=np.uint8, shape=shape) for name, shape in shapes.items()
    }
    for row, path in enumerate(samples):
        with np.load(path, allow_pickle=False) as archive:
            for name, array in arrays.items():
                array[row] = archive[Path(name).stem]
    for array in arrays.values():
        array.flush()
    return arrays[store.IMAGES]


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


def _key(patient: Patient, options: Options) -> str:
    """Name of a patient's sample: everything that decides it, so that a changed row or file is made anew."""
    facts: list[Any] = [triplenet.__version__, asdict(options), patient.patient, patient.no_infection, patient.series]
    for path in (patient.scan, patient.infection, patient.lung, patient.mask):
        facts.append(None if path is None else [str(path), path.stat().st_mtime_ns, path.stat().st_size])
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return f"{digest[:32]}.npz"
