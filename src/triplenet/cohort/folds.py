"""The three rotations of the paper's cross-validation.

"We divided each dataset into 2 to 1 in numerical order ... In inference data, we also divided it into 1 to 2 for
validation data and for test data." The paper's own counts (169 positives in each test fold, 84 in each validation
fold) hardly come out of one cut through the whole table, but do when its parts are divided each for itself. Here the
parts are the findings, so that a cohort has the same folds for every task; *stratified* does the same after shuffling
with a seed.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from triplenet.errors import CohortTooSmall

Partition = Literal["train", "validation", "test"]
Scheme = Literal["order", "stratified"]
FOLDS = (1, 2, 3)


class Member(NamedTuple):
    """What a split needs to know of a patient."""

    patient: str
    finding: str | None
    group: str | None = None


@dataclass(frozen=True)
class Fold:
    """One rotation: patients by partition, each in numerical order."""

    number: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of the assignment; equal for equal folds, whatever the order of the table."""
        lines = [
            f"{name}\t{patient}\n"
            for name, patients in (
                ("train", self.train),
                ("validation", self.validation),
                ("test", self.test),
            )
            for patient in sorted(patients)
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def split(members: Iterable[Member], *, scheme: Scheme = "order", seed: int = 0) -> tuple[Fold, ...]:
    """The three folds.

    Within each finding the patients, in numerical order, are cut into thirds; the last third is fold 1's
    inference part, the one before fold 2's, the first fold 3's. Of each inference third the first third (rounded
    down) is validation, the rest test. A group counts as one patient with its first member's finding. Patients
    without a finding are training patients of every fold.

    :raises CohortTooSmall: a part of a fold would be empty
    """
    ordered = sorted(members, key=lambda member: numerical(member.patient))
    units: dict[str, list[Member]] = defaultdict(list)
    for member in ordered:
        units[member.group if member.group is not None else f"\0{member.patient}"].append(member)
    strata: dict[str, list[list[Member]]] = defaultdict(list)
    unlabelled: list[str] = []
    for unit in units.values():
        finding = next((member.finding for member in unit if member.finding is not None), None)
        if finding is None:
            unlabelled += [member.patient for member in unit]
        else:
            strata[finding].append(unit)
    if not strata:
        raise CohortTooSmall("no patient has a finding", do="fill in the column finding")
    if scheme == "stratified":
        generator = random.Random(seed)
        for finding in sorted(strata):
            generator.shuffle(strata[finding])
    folds = tuple(_rotation(number, strata, unlabelled) for number in FOLDS)
    for fold in folds:
        for name in ("train", "validation", "test"):
            if not getattr(fold, name):
                raise CohortTooSmall(
                    f"fold {fold.number} has no {name} patients",
                    do="three folds need at least 9 patients of one finding",
                )
    return folds


def _rotation(number: int, strata: dict[str, list[list[Member]]], unlabelled: Sequence[str]) -> Fold:
    train = list(unlabelled)
    validation: list[str] = []
    test: list[str] = []
    third = 3 - number  # fold 1 infers on the last third: "2 to 1"
    for units in strata.values():
        n = len(units)
        start, stop = round(n * third / 3), round(n * (third + 1) / 3)
        middle = start + (stop - start) // 3
        for position, unit in enumerate(units):
            part = train
            if start <= position < stop:
                part = validation if position < middle else test
            part += [member.patient for member in unit]
    return Fold(number, *(tuple(sorted(part, key=numerical)) for part in (train, validation, test)))


def numerical(patient: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key of a patient's name: runs of digits compare as numbers, so that 2 comes before 10."""
    pieces = re.findall(r"\d+|\D+", patient)
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in pieces)
