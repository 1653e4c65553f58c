"""The three rotations of the paper's cross-validation.

"We divided each dataset into 2 to 1 in numerical order ... In inference data, we also divided it into 1 to 2 for
validation data and for test data." The paper's own counts (169 positives in each test fold, 84 in each validation
fold) hardly come out of one cut through the whole table, but do when its parts are divided each for itself. Here the
parts are the findings, so that a cohort has the same folds for every task; *stratified* does the same after shuffling
with a seed.

*site* leaves sites out instead: each is tested as a whole, in one fold, by models that have seen none of its patients.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from triplenet.errors import CohortError, CohortTooSmall

Partition = Literal["train", "validation", "test"]
Scheme = Literal["order", "stratified", "site"]
SCHEMES: tuple[Scheme, ...] = ("order", "stratified", "site")
_VALIDATION = 7
"""Of the site folds' patients who are not tested one in so many is for validation, as in the paper: 1/9 of 7/9"""
FOLDS = (1, 2, 3)


class Member(NamedTuple):
    """What a split needs to know of a patient."""

    patient: str
    finding: str | None
    group: str | None = None
    site: str | None = None


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

    ``site``: the sites are dealt out into three parts, the largest first, each to the part that has the fewest patients
    so far; fold 1 tests the part of the largest site. Of each finding's patients at the other sites, in numerical
    order, every seventh is validation, the fourth first. Patients without a finding are tested with their site, which
    takes them out of training; those of a site where nobody has one are training patients of every fold.

    :raises CohortTooSmall: a part of a fold would be empty; there are fewer than three sites
    :raises CohortError: by site, a patient with a finding has none, or a group has two
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
    if scheme == "site":
        return _checked(_site_folds(units.values()), "three folds by site need patients of three or more sites")
    if scheme == "stratified":
        generator = random.Random(seed)
        for finding in sorted(strata):
            generator.shuffle(strata[finding])
    folds = tuple(_rotation(number, strata, unlabelled) for number in FOLDS)
    return _checked(folds, "three folds need at least 9 patients of one finding")


def _checked(folds: tuple[Fold, ...], needed: str) -> tuple[Fold, ...]:
    for fold in folds:
        for name in ("train", "validation", "test"):
            if not getattr(fold, name):
                raise CohortTooSmall(f"fold {fold.number} has no {name} patients", do=needed)
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


def _site_folds(units: Collection[list[Member]]) -> tuple[Fold, ...]:
    """:param units: patients who stay together, in numerical order"""
    fold_of = _dealt_out(units)
    return tuple(_site_fold(number, units, fold_of) for number in FOLDS)


def _dealt_out(units: Iterable[list[Member]]) -> dict[str, int]:
    """Site -> the fold that tests it."""
    patients: Counter[str] = Counter()
    for unit in units:
        site = _site(unit)
        if any(member.finding is not None for member in unit):
            if site is None:
                raise CohortError(
                    "a patient without a site cannot be in folds by site",
                    where=f"patient {unit[0].patient}",
                    do="fill in the column site, or choose other folds",
                )
            patients[site] += len(unit)
    if len(patients) < len(FOLDS):
        have = "has" if len(patients) == 1 else "have"
        raise CohortTooSmall(
            f"folds by site need three sites or more, {len(patients)} {have} patients with a finding",
            do="fill in the column site, or choose other folds",
        )
    tested = dict.fromkeys(FOLDS, 0)
    fold_of = {}
    for site in sorted(patients, key=lambda site: (-patients[site], numerical(site))):
        number = min(tested, key=lambda number: (tested[number], number))
        fold_of[site] = number
        tested[number] += patients[site]
    return fold_of


def _site(unit: Sequence[Member]) -> str | None:
    sites = sorted({member.site for member in unit if member.site is not None})
    if len(sites) > 1:
        raise CohortError(
            f"the group has patients of two sites, {sites[0]} and {sites[1]}",
            where=f"group {unit[0].group}",
            do="one site tests it and the other trains on it: give it one site, or choose other folds",
        )
    return sites[0] if sites else None


def _site_fold(number: int, units: Iterable[list[Member]], fold_of: Mapping[str, int]) -> Fold:
    parts: dict[Partition, list[str]] = {"train": [], "validation": [], "test": []}
    seen: Counter[str] = Counter()  # patients of a finding at the sites that are not tested
    for unit in units:
        site = _site(unit)
        finding = next((member.finding for member in unit if member.finding is not None), None)
        part: Partition = "train"
        if site is not None and fold_of.get(site) == number:
            part = "test"
        elif finding is not None:
            part = "validation" if seen[finding] % _VALIDATION == _VALIDATION // 2 else "train"
            seen[finding] += 1
        parts[part] += [member.patient for member in unit]
    train, validation, test = (tuple(sorted(parts[name], key=numerical)) for name in ("train", "validation", "test"))
    return Fold(number, train, validation, test)


def numerical(patient: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key of a patient's name: runs of digits compare as numbers, so that 2 comes before 10."""
    pieces = re.findall(r"\d+|\D+", patient)
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in pieces)
