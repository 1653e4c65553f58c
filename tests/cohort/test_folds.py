"""The paper's three rotations."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplenet.cohort.folds import Member, numerical, split
from triplenet.errors import CohortTooSmall

#: Table 1
PAPER = {"typical": 470, "indeterminate": 289, "atypical": 137, "negative": 383}


def paper_cohort():
    findings = [finding for finding, count in PAPER.items() for _ in range(count)]
    return [Member(f"J{number}", finding) for number, finding in enumerate(findings)]


def test_the_papers_counts_come_out():
    finding_of = {member.patient: member.finding for member in paper_cohort()}
    folds = split(paper_cohort())
    positive = {"typical", "indeterminate"}
    for fold in folds:
        assert sum(finding_of[p] in positive for p in fold.test) == 169
        assert sum(finding_of[p] in positive for p in fold.validation) == 84
        assert len(fold.validation) + len(fold.test) in (425, 426, 427, 428)
    assert sum(len(fold.test) + len(fold.validation) for fold in folds) == 1279


def test_fold_one_infers_on_the_last_third_in_numerical_order():
    fold = split([Member(f"P{n}", "negative") for n in range(1, 28)])[0]
    assert fold.train == tuple(f"P{n}" for n in range(1, 19))
    assert fold.validation == ("P19", "P20", "P21")
    assert fold.test == tuple(f"P{n}" for n in range(22, 28))


def test_numbers_in_names_count_as_numbers():
    assert sorted(["P10", "P9", "P1a", "P1"], key=numerical) == ["P1", "P1a", "P9", "P10"]


@given(
    findings=st.lists(st.sampled_from("abc"), min_size=60, max_size=90),
    groups=st.lists(st.one_of(st.none(), st.integers(0, 8)), min_size=90, max_size=90),
    scheme=st.sampled_from(["order", "stratified"]),
    seed=st.integers(0, 5),
)
def test_each_fold_holds_every_patient_once_and_keeps_groups_together(findings, groups, scheme, seed):
    members = [
        Member(f"P{n}", finding, None if group is None else f"G{group}")
        for n, (finding, group) in enumerate(zip(findings, groups, strict=False))
    ]
    try:
        folds = split(members, scheme=scheme, seed=seed)
    except CohortTooSmall:
        return
    inference = Counter()
    for fold in folds:
        parts = (fold.train, fold.validation, fold.test)
        assert sorted(sum(parts, ())) == sorted(member.patient for member in members)
        inference.update(fold.validation + fold.test)
        for group in {member.group for member in members} - {None}:
            inside = {member.patient for member in members if member.group == group}
            assert sum(bool(inside & set(part)) for part in parts) == 1
    assert set(inference.values()) == {1}


def test_the_order_of_the_table_does_not_matter():
    members = paper_cohort()
    assert [fold.sha256 for fold in split(members)] == [fold.sha256 for fold in split(members[::-1])]


def test_stratified_folds_follow_their_seed():
    members = paper_cohort()
    again = [split(members, scheme="stratified", seed=seed)[0].sha256 for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_patients_without_a_finding_are_always_for_training():
    members = [*(Member(f"P{n}", "negative") for n in range(9)), Member("U1", None)]
    assert all("U1" in fold.train for fold in split(members))


def test_a_cohort_too_small_for_three_folds_is_refused():
    with pytest.raises(CohortTooSmall, match="no validation"):
        split([Member(f"P{n}", "negative") for n in range(8)])
