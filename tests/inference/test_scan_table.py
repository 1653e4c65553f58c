"""A table of scans: what it says goes with each scan, and what is wrong with it is said before any work."""

import pytest

from triplenet.errors import BadCohort, PathMissing
from triplenet.inference import ScanRequest
from triplenet.inference.scan_table import read_scan_table


@pytest.fixture
def folder(tmp_path):
    for name in ("a.nii", "b.nii", "mask.nii"):
        (tmp_path / name).write_bytes(b"content")
    return tmp_path


def read(folder, text):
    (folder / "table.csv").write_text(text)
    return read_scan_table(folder / "table.csv")


def test_masks_series_and_slice_go_with_their_scan_relative_to_the_table(folder):
    found = read(folder, "id;Scan;infection;lung;series;slice\nP1;a.nii;mask.nii;mask.nii;;\nP2;b.nii;none;;1.2.3;7\n")
    assert found.unused == ()
    assert found.requests == (
        ScanRequest(folder / "a.nii", infection=folder / "mask.nii", lung=folder / "mask.nii", patient="P1"),
        ScanRequest(folder / "b.nii", series="1.2.3", slice_from_feet=7, patient="P2"),
    )


def test_a_cohort_table_is_one_and_what_is_not_used_is_told(folder):
    found = read(folder, "patient,finding,scan,mask,age\nP1,typical,a.nii,mask.nii,50\n")
    assert found.requests == (ScanRequest(folder / "a.nii", mask=folder / "mask.nii", patient="P1"),)
    assert found.unused == ("finding", "age")


def test_another_readers_infection_is_not_used_and_no_slip_of_the_first_ones(folder):
    for first in ("", ",infection"):
        found = read(folder, f"scan,second_infection{first}\na.nii,gone.nii{first and ',mask.nii'}\n")
        assert found.unused == ("second_infection",)
        assert found.requests == (ScanRequest(folder / "a.nii", infection=folder / "mask.nii" if first else None),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file\na.nii\n", "lacks the column scan"),
        ("scan,scan\na.nii,b.nii\n", "stands twice"),
        ("scan,infection_mask\na.nii,mask.nii\n", "did you mean 'infection'"),
        ("scan,mask,lung\na.nii,mask.nii,mask.nii\n", "mask column beside"),
        ("scan\n", "no scans"),
        ("scan,slice\na.nii,-1\n", "BAD_SLICE"),
        ("scan,slice\na.nii,3.5\n", "row 2, slice"),
        ("scan,lung\nlost.nii,\ngone.nii,mask.nii\n", "row 2, scan: PATH_MISSING: no such file: lost.nii (and 1 more"),
        ("scan,lung\na.nii\n", "BAD_ROW"),
        ("scan,slice\n,1\nb.nii,x\n", "row 2, scan: NO_SCAN: is empty (and 1 more faults)"),
    ],
)
def test_what_is_wrong_is_said(folder, text, said):
    with pytest.raises(BadCohort) as caught:
        read(folder, text)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_its_own_scans_affair(folder):
    found = read(folder, "scan,lung\nlost.nii,\na.nii,gone.nii\n")
    assert [request.source for request in found.requests] == [folder / "lost.nii", folder / "a.nii"]


def test_a_table_that_is_not_there(folder):
    with pytest.raises(PathMissing):
        read_scan_table(folder / "nothing.csv")
