"""The paper's three rotations."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplenet.cohort.folds import Member, numerical, split
from triplenet.errors import CohortError, CohortTooSmall

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


#: Patients by finding and site: RICORD 1A's four hospitals, whose patients are 56, 20, 19 and 15.
HOSPITALS = {"SITE2": 56, "440808": 20, "660042": 19, "419639": 15}


def hospitals(findings=("typical", "negative")):
    return [
        Member(f"{site}-{number}", findings[number % len(findings)], None, site)
        for site, count in HOSPITALS.items()
        for number in range(count)
    ]


def test_every_site_is_tested_as_a_whole_in_one_fold_and_balanced():
    site_of = {member.patient: member.site for member in hospitals()}
    folds = split(hospitals(), scheme="site")
    # The largest first, each to the part with the fewest: 56 | 20 | 19, then 15 to the 19.
    assert [{site_of[p] for p in fold.test} for fold in folds] == [{"SITE2"}, {"440808"}, {"660042", "419639"}]
    assert [len(fold.test) for fold in folds] == [56, 20, 34]
    for fold in folds:
        tested = {site_of[p] for p in fold.test}
        assert not tested & {site_of[p] for p in fold.train + fold.validation}
        assert sorted(fold.train + fold.validation + fold.test) == sorted(site_of)


def test_of_the_sites_that_are_not_tested_every_seventh_patient_of_a_finding_validates():
    finding_of = {member.patient: member.finding for member in hospitals()}
    fold = split(hospitals(), scheme="site")[0]
    rest = sorted(fold.train + fold.validation, key=numerical)
    for finding in ("typical", "negative"):
        of_finding = [p for p in rest if finding_of[p] == finding]
        assert [p for p in fold.validation if finding_of[p] == finding] == of_finding[3::7]
    assert len(fold.validation) == 8


def test_patients_without_a_finding_are_not_trained_on_where_their_site_is_tested():
    members = [
        *hospitals(),
        Member("U1", None, None, "440808"),
        Member("U2", None, None, "elsewhere"),
        Member("U3", None),
    ]
    folds = split(members, scheme="site")
    assert ["U1" in fold.test for fold in folds] == [False, True, False]
    assert ["U1" in fold.train for fold in folds] == [True, False, True]
    assert all({"U2", "U3"} <= set(fold.train) for fold in folds)


def test_a_site_of_many_small_ones_goes_to_the_part_that_has_the_fewest():
    members = [
        Member(f"P{site}-{n}", "typical", None, site) for site in "abcdefg" for n in range(4 if site == "g" else 3)
    ]
    site_of = {member.patient: member.site for member in members}
    folds = split(members, scheme="site")
    # g to part 1, a to 2, b to 3; c to 2 and d to 3 with three each; e to 1 with four; f to 2 with six as 3 has.
    assert [sorted({site_of[p] for p in fold.test}) for fold in folds] == [["e", "g"], ["a", "c", "f"], ["b", "d"]]
    assert [fold.sha256 for fold in split(members[::-1], scheme="site")] == [fold.sha256 for fold in folds]


def test_a_group_validates_or_trains_as_a_whole():
    members = [Member(f"{site}{n}", "typical", f"{site}{n // 2}", site) for site in "abc" for n in range(28)]
    for fold in split(members, scheme="site"):
        for part in (fold.train, fold.validation):
            numbers = {(p[0], int(p[1:]) // 2) for p in part}
            assert len(part) == 2 * len(numbers)


def test_folds_by_site_are_refused_where_sites_are_missing_too_few_or_torn():
    two = [Member(f"{site}{n}", "typical", None, site) for site in "ab" for n in range(20)]
    with pytest.raises(CohortTooSmall, match="three sites or more, 2 have patients"):
        split([*two, Member("U", None, None, "c")], scheme="site")
    with pytest.raises(CohortError, match="a patient without a site") as caught:
        split([*hospitals(), Member("P1", "typical")], scheme="site")
    assert caught.value.where == "patient P1"
    with pytest.raises(CohortError, match="two sites, a and b"):
        split([*two, Member("c1", "typical", "G", "a"), Member("c2", "typical", "G", "b")], scheme="site")
    few = [Member(f"{site}{n}", "typical", None, site) for site in "abc" for n in (1,)]
    with pytest.raises(CohortTooSmall, match="no validation patients"):
        split(few, scheme="site")
