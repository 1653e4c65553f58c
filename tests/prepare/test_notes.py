"""Notes of many scans are gathered by kind."""

from triplenet.prepare.notes import by_kind


def test_numbers_do_not_make_another_kind():
    notes = ["3 duplicate slices dropped; approximate HU", "5 duplicate slices dropped", "", "approximate HU"]
    assert by_kind([*notes, "approximate HU"]) == [
        ("approximate HU", 3),
        ("3 duplicate slices dropped (the numbers are of one of them)", 2),
    ]


def test_a_scan_counts_once_for_each_kind():
    assert by_kind(["off by 0.1 mm; off by 0.2 mm"]) == [("off by 0.2 mm", 1)]


def test_a_number_that_all_share_is_told_as_it_is():
    assert by_kind(["1 slice dropped", "1 slice dropped; 8 bits"]) == [("1 slice dropped", 2), ("8 bits", 1)]
