"""Samples that are kept while a set is prepared, each under a name that says everything that decides it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

import triplenet
from triplenet.cohort.table import Patient
from triplenet.errors import PathMissing, SeriesUnknown, TripleNetError, UnreadableFile
from triplenet.files import whole_file
from triplenet.prepare.array_file import NPY_DAMAGE
from triplenet.prepare.masks import MaskFault
from triplenet.prepare.patient import Options, Sample, prepare_patient
from triplenet.scan.file_states import file_states

Outcome = dict[str, Any]
"""What is known of a sample, see ``PreparedPatient``; or the ``code``, ``text`` and ``column`` of a refusal."""


def sample_name(patient: Patient, options: Options) -> str:
    """File name of a patient's sample: another one as soon as a cell, an option or any file behind a path changes.

    Or what is told of a sample: one that an earlier version kept lacks some of it.

    :raises MaskFault, PathMissing, UnreadableFile: a file of the patient cannot be looked at
    """
    facts: list[Any] = [triplenet.__version__, [one.name for one in fields(Sample)], asdict(options)]
    facts += [patient.patient, patient.no_infection, patient.no_second_infection, patient.series]
    for column in ("scan", "infection", "lung", "mask", "second_infection"):
        path: Path | None = getattr(patient, column)
        try:
            facts.append(None if path is None else [str(path), file_states(path)])
        except OSError as error:
            refused = _unreadable(error)
            raise refused if column == "scan" else MaskFault(column, refused) from error
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return f"{digest[:32]}.npz"


def make_or_find(item: tuple[Patient, Path], options: Options) -> tuple[str, Outcome]:
    """One patient's sample in the folder of kept ones: found there, or made.

    :param item: the patient and the folder; one argument, so that it can be mapped
    :returns: its file's name there, and what is known of it or why it was refused
    :raises OutputFailed: no room, no permission
    """
    patient, folder = item
    try:
        name = sample_name(patient, options)
    except MaskFault as fault:
        return "", _refusal(fault.column, fault.error)
    except TripleNetError as error:
        return "", _refusal("scan", error)
    kept = _kept(folder / name)
    if kept is not None:
        return name, kept
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        sample = prepare_patient(patient, options)
    except MaskFault as fault:
        outcome = _refusal(fault.column, fault.error)
    except TripleNetError as error:
        outcome = _refusal("series" if isinstance(error, SeriesUnknown) else "scan", error)
    except OSError as error:
        outcome = _refusal("scan", _unreadable(error))
    else:
        outcome, arrays = sample.facts(), sample.arrays()
    with whole_file(folder / name) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, outcome=np.array(json.dumps(outcome)), **arrays)
    return name, outcome


def _unreadable(error: OSError) -> TripleNetError:
    if isinstance(error, FileNotFoundError):
        return PathMissing("no such file", where=error.filename)
    return UnreadableFile(f"cannot be read ({error.strerror})", where=error.filename)


def _refusal(column: str, error: TripleNetError) -> Outcome:
    return {"code": error.code, "text": str(error), "column": column}


def _kept(path: Path) -> Outcome | None:
    """What is known of a kept sample; None where there is none, or half of one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            outcome: Outcome = json.loads(str(archive["outcome"]))
    except (*NPY_DAMAGE, KeyError, BadZipFile):
        return None
    return outcome
