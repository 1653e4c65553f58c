"""Acquisitions and phases under one series UID are volumes of their own; anything else at one position is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence

from scan.dicom_builder import body, enhanced_dataset, save, write_series
from triplenet import scan
from triplenet.errors import DuplicateSlices
from triplenet.scan.inspection import inspect

FIRST, SECOND = body(6, 24, 20, seed=1), body(6, 24, 20, seed=2)
UID = "1.2.826.0.1.3680043.8.498.1"


def two(folder: Path, first: dict[str, Any], second: dict[str, Any], other: Any = SECOND) -> None:
    write_series(folder / "a", FIRST, **first)
    write_series(folder / "b", other, **second)


@pytest.mark.parametrize(
    ("keyword", "values", "why"),
    [
        ("AcquisitionNumber", (2, 10), "acquisition 2, of 2 at the same positions"),
        ("TemporalPositionIdentifier", (1, 2), "time point 1, of 2 at the same positions"),
        ("TemporalPositionIndex", (1, 2), "time point 1, of 2 at the same positions"),
        ("ConvolutionKernel", ("B40f", "B70f"), "kernel B40f, of 2 at the same positions"),
    ],
)
def test_volumes_at_the_same_positions_are_parted_by_what_tells_them_apart(
    tmp_path: Path, keyword: str, values: tuple[Any, Any], why: str
) -> None:
    two(tmp_path, {keyword: values[0]}, {keyword: values[1]})
    found = scan.open(tmp_path)
    assert np.array_equal(found.read().hu, FIRST)
    assert why in found.source.choice
    assert any("acquisition left out: 6" in note for note in found.source.notes)
    assert np.array_equal(scan.read(tmp_path, series=f"{UID}#2").hu, SECOND)
    listed = inspect(tmp_path).series
    assert [(entry["uid"], entry["slices"], entry["problem"]) for entry in listed] == [
        (UID, 6, None),
        (f"{UID}#2", 6, None),
    ]
    assert any(why in reason for reason in listed[0]["reasons"])


def test_the_longer_acquisition_is_used_and_the_other_is_listed(tmp_path: Path) -> None:
    two(tmp_path, {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, SECOND[1:4])
    write_series(tmp_path / "b", SECOND[1:4], AcquisitionNumber=2, origin=(-14.0, -12.5, 102.0))
    found = scan.open(tmp_path)
    assert np.array_equal(found.read().hu, FIRST)
    assert scan.open(tmp_path, series=f"{UID}#2").geometry.shape[0] == 3


def test_phases_of_an_enhanced_ct_are_parted_by_their_time_point(tmp_path: Path) -> None:
    dataset = enhanced_dataset(FIRST)
    frames = []
    for number, volume in enumerate((FIRST, SECOND), start=1):
        for frame in enhanced_dataset(volume).PerFrameFunctionalGroupsSequence:
            content = Dataset()
            content.TemporalPositionIndex = number
            frame.FrameContentSequence = DicomSequence([content])
            frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    dataset.NumberOfFrames = 12
    dataset.PixelData += enhanced_dataset(SECOND).PixelData
    path = save(dataset, tmp_path / "phases.dcm")
    assert np.array_equal(scan.read(path).hu, FIRST)
    assert np.array_equal(scan.read(path, series=f"{UID}#2").hu, SECOND)


def test_a_file_that_is_there_twice_does_not_hinder_parting(tmp_path: Path) -> None:
    two(tmp_path, {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2})
    shutil.copytree(tmp_path / "a", tmp_path / "again")
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, FIRST)
    assert "6 duplicate slices dropped" in found.source.notes


def test_acquisitions_one_after_the_other_stay_one_volume(tmp_path: Path) -> None:
    """A chest scanned in two breath-holds, or step and shoot: the numbers differ, the positions too."""
    write_series(tmp_path / "a", FIRST[:3], AcquisitionNumber=1)
    write_series(tmp_path / "b", FIRST[3:], AcquisitionNumber=2, origin=(-14.0, -12.5, 106.0))
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, FIRST)
    assert "of 2" not in found.source.choice


def test_two_halves_that_overlap_are_refused_for_neither_is_a_chest(tmp_path: Path) -> None:
    write_series(tmp_path / "a", FIRST[:4], AcquisitionNumber=1)
    write_series(tmp_path / "b", SECOND[3:], AcquisitionNumber=2, origin=(-14.0, -12.5, 106.0))
    with pytest.raises(DuplicateSlices):
        scan.open(tmp_path)


@pytest.mark.parametrize("numbers", [(None, None), (1, 1), (1, None)])
def test_what_no_header_tells_apart_is_refused(tmp_path: Path, numbers: tuple[int | None, int | None]) -> None:
    two(tmp_path, {"AcquisitionNumber": numbers[0]}, {"AcquisitionNumber": numbers[1]})
    with pytest.raises(DuplicateSlices):
        scan.open(tmp_path)


def test_a_part_with_a_gap_is_refused_with_all_the_others(tmp_path: Path) -> None:
    two(tmp_path, {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2})
    (tmp_path / "b" / "IM0003.dcm").unlink()
    with pytest.raises(DuplicateSlices):
        scan.open(tmp_path)


def test_one_slice_scanned_again_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", FIRST, AcquisitionNumber=1)
    write_series(tmp_path / "b", SECOND[:1], AcquisitionNumber=2, origin=(-14.0, -12.5, 104.0))
    with pytest.raises(DuplicateSlices):
        scan.open(tmp_path)


@pytest.mark.parametrize("shift", [0.3, 1.0])
def test_a_second_acquisition_shifted_between_the_first_ones_slices_is_not_woven_in(
    tmp_path: Path, shift: float
) -> None:
    write_series(tmp_path / "a", FIRST, AcquisitionNumber=1)
    write_series(tmp_path / "b", SECOND, AcquisitionNumber=2, origin=(-14.0, -12.5, 100.0 + shift))
    found = scan.open(tmp_path)
    assert np.array_equal(found.read().hu, FIRST)
    assert "acquisition 1, of 2 with slices between each other's" in found.source.choice
    assert np.array_equal(scan.read(tmp_path, series=f"{UID}#2").hu, SECOND)


def test_one_acquisition_a_slice_or_a_block_is_one_scan(tmp_path: Path) -> None:
    """Step and shoot numbers each turn of the tube; nothing is parted."""
    for k in range(6):
        write_series(
            tmp_path / str(k), FIRST[k : k + 1], AcquisitionNumber=k // 2, origin=(-14.0, -12.5, 100.0 + 2 * k)
        )
    assert np.array_equal(scan.read(tmp_path).hu, FIRST)


def test_passes_that_meet_in_one_slice_can_be_used_with_a_note(tmp_path: Path) -> None:
    write_series(tmp_path / "a", FIRST[:4], AcquisitionNumber=1)
    write_series(tmp_path / "b", SECOND[3:], AcquisitionNumber=2, origin=(-14.0, -12.5, 106.0))
    with pytest.raises(DuplicateSlices, match="--allow-gaps"):
        scan.open(tmp_path)
    found = scan.read(tmp_path, allow_gaps=True)
    assert len(found.hu) == 6
    assert any("two different slices at 106.00 mm" in note for note in found.source.notes)
