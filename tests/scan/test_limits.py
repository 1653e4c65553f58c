"""What is unpacked is counted, and refused when the budget is spent."""

from __future__ import annotations

import pytest

from triplenet.errors import TooLarge
from triplenet.scan import Limits
from triplenet.scan.limits import Budget


def test_a_budget_of_bytes_is_said_when_it_is_spent() -> None:
    budget = Limits().needing(1000, "a.dcm")
    budget.spend(600)
    assert budget.left == 400
    budget.spend(400)
    with pytest.raises(TooLarge, match=r"more than 1000 bytes: a\.dcm"):
        budget.spend(1)


def test_a_budget_of_time_is_said_when_it_is_spent() -> None:
    Budget(10, 60.0, "a.dcm").spend(1)
    with pytest.raises(TooLarge, match=r"more than -1 seconds: a\.dcm"):
        Budget(10, -1.0, "a.dcm").spend(1)


@pytest.mark.parametrize(("packed", "most"), [(2, 500), (50, 500), (300, 3000)])
def test_a_packed_file_may_grow_by_its_ratio_or_to_a_size_that_harms_nobody(packed: int, most: int) -> None:
    assert Limits(archive_ratio=10, unpacked_bytes=500).unpacking(packed, "a").left == most
