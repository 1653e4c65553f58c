"""The chest CT is found among everything else in a study, with reasons, and always the same one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from scan.dicom_builder import body, save, slice_dataset, stored_values, write_series
from triplenet import scan
from triplenet.errors import NoCtSeries, NotHu, SeriesGap, SeriesUnknown, SeveralPatients, UnreadableFile
from triplenet.scan import survey
from triplenet.scan.inspection import inspect

HU = body(6, 24, 20)
LARGE = body(6, 64, 64)  # enough for JPEG 2000


def add(folder: Path, number: int, hu: Any = HU, **options: Any) -> None:
    write_series(folder / f"s{number}", hu, series=f"1.2.3.{number}", SeriesNumber=number, **options)


def order(folder: Path) -> list[int | None]:
    return [candidate.header.series_number for candidate in survey(folder).candidates]


def verdict(folder: Path, number: int) -> scan.Candidate:
    return next(found for found in survey(folder).candidates if found.header.series_number == number)


def test_thin_chest_wins_over_thick_chest_over_abdomen(tmp_path: Path) -> None:
    add(tmp_path, 1, thickness=8.0)
    add(tmp_path, 2, thickness=1.0)
    add(tmp_path, 3, thickness=1.0, BodyPartExamined="ABDOMEN", SeriesDescription="Abdomen")
    assert order(tmp_path) == [2, 1, 3]
    assert any("chest" in reason for reason in verdict(tmp_path, 2).score.reasons)
    assert any("another body part" in reason for reason in verdict(tmp_path, 3).score.reasons)


def test_original_wins_over_derived_and_many_slices_over_few(tmp_path: Path) -> None:
    add(tmp_path, 1, ImageType=["DERIVED", "SECONDARY", "AXIAL"])
    add(tmp_path, 2)
    assert order(tmp_path) == [2, 1]
    add(tmp_path, 3, hu=body(60, 24, 20))
    assert order(tmp_path) == [3, 2, 1]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("B40f", "soft"), ("B30s", "soft"), ("D40s", "soft"), ("Br40d", "soft"), ("STANDARD", "soft"), ("FC08", "soft"),
        ("C", "soft"), ("B70f", "lung"), ("B60s", "lung"), ("Bl57d", "lung"), ("I70f", "lung"), ("LUNG", "lung"),
        ("CHST", "lung"), ("FC51", "lung"), ("FC86", "lung"), ("YC", "lung"), ("L", "lung"), ("H70h", ""), ("BONE", ""),
        ("EDGE", ""), ("FC30", ""),
    ],
)  # fmt: skip
def test_kernels_of_all_makers_are_told_apart(tmp_path: Path, kernel: str, kind: str) -> None:
    add(tmp_path, 1, ConvolutionKernel=kernel)
    reasons = " ".join(verdict(tmp_path, 1).score.reasons)
    assert [name for name in ("soft", "lung") if f"{name} kernel" in reasons] == ([kind] if kind else [])


def test_of_series_that_differ_in_the_kernel_alone_the_soft_one_is_used_then_the_lungs(tmp_path: Path) -> None:
    for number, kernel in enumerate(("H70h", "B70f", "B40f"), start=1):  # by number the soft one would be last
        add(tmp_path, number, ConvolutionKernel=kernel)
    assert order(tmp_path) == [3, 2, 1]


def test_a_kernel_with_a_strength_is_its_first_part(tmp_path: Path) -> None:
    add(tmp_path, 1, ConvolutionKernel=["I50f", "3"])
    assert any("lung kernel I50f" in reason for reason in verdict(tmp_path, 1).score.reasons)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"SeriesDescription": "Topogram 0.6 T20s"}, "localizer"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, "secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67", "Modality": "SR"}, "dose report"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}, "not CT but MR"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT"}, "not CT but PT"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"]}, "reformat"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE"]}, "reformat"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "RCBF"]}, "not HU"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
    ],
)
def test_what_is_no_chest_volume_is_left_out_with_its_reason(
    tmp_path: Path, attributes: dict[str, Any], why: str
) -> None:
    add(tmp_path, 1, **attributes)
    with pytest.raises(NoCtSeries, match=why):
        scan.open(tmp_path)
    add(tmp_path, 2, thickness=8.0, BodyPartExamined="HEAD", SeriesDescription="")
    assert scan.open(tmp_path).source.header["series_number"] == 2
    assert why in str(verdict(tmp_path, 1).score.excluded)


@pytest.mark.parametrize("axes", [((1, 0, 0), (0, 0, -1)), ((0, 1, 0), (0, 0, -1))])
def test_coronal_and_sagittal_reformats_are_used_only_when_asked_for(tmp_path: Path, axes: Any) -> None:
    add(tmp_path, 1, across=axes[0], down=axes[1])
    with pytest.raises(NoCtSeries, match="not axial"):
        scan.open(tmp_path)
    found = scan.open(tmp_path, series="1.2.3.1")
    assert np.array_equal(found.read().hu, HU)
    assert "asked for by its UID, although it is a reformat" in found.source.choice
    axial, _ = found.canonical()
    assert axial.slice(3).shape == (axial.geometry.shape[1], axial.geometry.shape[2])
    assert axial.geometry.affine[2, 0] > 0


def test_a_localizer_in_the_same_series_is_left_out(tmp_path: Path) -> None:
    write_series(tmp_path, HU)
    scout = slice_dataset(
        np.full((50, 30), 1000),
        (0, 0, 0),
        across=(1, 0, 0),
        down=(0, 0, -1),
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    save(scout, tmp_path / "scout.dcm")
    assert np.array_equal(scan.read(tmp_path).hu, HU)
    keys = [candidate.key for candidate in survey(tmp_path).candidates]
    assert keys == ["1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.1#2"]
    assert any("left out: 1" in note for note in scan.open(tmp_path).source.notes)


def test_slices_of_another_size_in_the_same_series_are_a_stack_of_their_own(tmp_path: Path) -> None:
    write_series(tmp_path / "a", HU)
    write_series(tmp_path / "b", body(3, 40, 40), spacing=(0.4, 0.4))
    assert np.array_equal(scan.read(tmp_path).hu, HU)
    second = scan.open(tmp_path, series="1.2.826.0.1.3680043.8.498.1#2")
    assert second.geometry.shape == (3, 40, 40)


def test_an_orientation_rounded_differently_is_the_same(tmp_path: Path) -> None:
    for k, values in enumerate(HU):
        tiny = 1e-6 * k
        save(slice_dataset(stored_values(values), (0, 0, 2.0 * k), down=(0, 1, tiny)), tmp_path / f"{k}.dcm")
    assert np.array_equal(scan.read(tmp_path).hu, HU)


def test_a_series_can_be_asked_for(tmp_path: Path) -> None:
    add(tmp_path, 1, thickness=1.0)
    add(tmp_path, 2, hu=HU[:4], thickness=5.0)
    assert scan.open(tmp_path).source.header["series_number"] == 1
    asked = scan.open(tmp_path, series="1.2.3.2")
    assert np.array_equal(asked.read().hu, HU[:4])
    assert asked.source.choice.startswith("asked for by its UID: axial, chest")
    with pytest.raises(SeriesUnknown):
        scan.open(tmp_path, series="1.2.3.9")


def test_a_localizer_is_no_volume_even_when_asked_for(tmp_path: Path) -> None:
    add(tmp_path, 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(NoCtSeries, match="localizer"):
        scan.open(tmp_path, series="1.2.3.1")


def test_equal_series_are_chosen_by_number_not_by_file_order(tmp_path: Path) -> None:
    for folder, first, second in ((tmp_path / "a", 7, 3), (tmp_path / "b", 3, 7)):
        write_series(folder / "x", HU, series=f"1.2.3.{first}", SeriesNumber=first)
        write_series(folder / "y", HU, series=f"1.2.3.{second}", SeriesNumber=second)
        assert scan.open(folder).source.header["series_number"] == 3


def test_the_best_series_with_a_gap_gives_way_to_the_next_and_says_so(tmp_path: Path) -> None:
    add(tmp_path, 1, thickness=1.0)
    add(tmp_path, 2, thickness=5.0)
    (tmp_path / "s1" / "IM0003.dcm").unlink()
    found = scan.open(tmp_path)
    assert found.source.header["series_number"] == 2
    assert "; series 1 scored" in found.source.choice
    assert "SERIES_GAP" in found.source.choice
    with pytest.raises(SeriesGap):
        scan.open(tmp_path, series="1.2.3.1")
    assert scan.open(tmp_path, allow_gaps=True).source.header["series_number"] == 1


def test_the_choice_and_its_reasons_are_on_the_scan(tmp_path: Path) -> None:
    add(tmp_path, 1)
    add(tmp_path, 2, thickness=8.0)
    source = scan.read(tmp_path).source
    assert source.choice.startswith("chosen of 2 series: axial, chest, original, 2 mm slices, soft kernel B40f")
    assert source.header["reasons"][:2] == ["+20 axial", "+20 chest"]
    assert source.header["score"] == sum(int(reason.split()[0]) for reason in source.header["reasons"])


def test_the_only_series_says_so(tmp_path: Path) -> None:
    add(tmp_path, 1)
    assert scan.open(tmp_path).source.choice.startswith("the only series: axial, chest")


def test_a_file_of_one_volume_has_nothing_to_choose(tmp_path: Path) -> None:
    add(tmp_path / "dicom", 1)
    found = scan.read(tmp_path / "dicom")
    scan.write_nifti(tmp_path / "folder" / "a.nii", found.hu, found.geometry)
    assert scan.open(tmp_path / "folder" / "a.nii").source.choice == ""
    assert "only volume file" in scan.open(tmp_path / "folder").source.choice
    for path in (tmp_path / "folder" / "a.nii", tmp_path / "folder"):
        with pytest.raises(SeriesUnknown):
            scan.open(path, series="1.2.3.1")


def test_values_are_judged_after_the_choice(tmp_path: Path) -> None:
    add(tmp_path, 1, hu=HU + 1024)
    with pytest.raises(NotHu):
        scan.read(tmp_path)


def test_a_best_series_without_hu_gives_way_to_the_next_and_says_so(tmp_path: Path) -> None:
    add(tmp_path, 1, hu=HU + 1024, thickness=1.0)
    add(tmp_path, 2, thickness=5.0)
    found = scan.open(tmp_path)
    assert found.source.header["series_number"] == 2
    assert found.source.choice.startswith("chosen of 2 series: ")
    assert "; series 1 scored" in found.source.choice
    assert "NOT_HU" in found.source.choice
    report = inspect(tmp_path)
    assert report.usable
    assert [(entry["number"], entry["used"]) for entry in report.series] == [(1, False), (2, True)]
    assert report.series[0]["problem"]["code"] == "NOT_HU"
    with pytest.raises(NotHu):
        scan.open(tmp_path, series="1.2.3.1").read()


def test_damage_that_shows_only_when_all_is_decoded_gives_way_too(tmp_path: Path) -> None:
    add(tmp_path, 1, hu=LARGE, thickness=1.0)
    add(tmp_path, 2, hu=LARGE, thickness=5.0)
    spoil(tmp_path / "s1" / "IM0006.dcm")  # the first slice, which a quick look leaves out
    assert scan.open(tmp_path).source.header["series_number"] == 1
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, LARGE)
    assert found.source.header["series_number"] == 2
    assert "UNREADABLE_FILE" in found.source.choice
    report = inspect(tmp_path, decode_all=True)
    assert [(entry["number"], entry["used"]) for entry in report.series] == [(1, False), (2, True)]
    with pytest.raises(UnreadableFile):
        scan.read(tmp_path, series="1.2.3.1")


def test_when_no_series_is_left_the_first_ones_error_is_told(tmp_path: Path) -> None:
    add(tmp_path, 1, hu=LARGE, thickness=1.0)
    add(tmp_path, 2, hu=HU + 1024, thickness=5.0)
    for number in range(1, 7):
        spoil(tmp_path / "s1" / f"IM000{number}.dcm")
    for look in (scan.open, scan.read):
        with pytest.raises(UnreadableFile):
            look(tmp_path)
    assert not inspect(tmp_path).usable


@pytest.mark.parametrize(
    "other",
    [
        {"BodyPartExamined": "ABDOMEN", "SeriesDescription": "Abdomen"},
        {"hu": HU[:2]},  # such as the pictures that wait for the contrast medium
    ],
)
def test_neither_another_body_part_nor_a_few_slices_stand_in_for_the_chest(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    add(tmp_path, 1, hu=HU + 1024)
    add(tmp_path, 2, **other)
    with pytest.raises(NotHu):
        scan.read(tmp_path)


@pytest.mark.parametrize("uids", [("1.2.3.1", "1.2.3.2"), ("1.2.3.1", "1.2.3.1")])
def test_scans_of_two_patients_in_one_folder_are_never_taken_for_one(tmp_path: Path, uids: tuple[str, str]) -> None:
    other = body(6, 24, 20, seed=5)
    write_series(tmp_path / "a", HU, series=uids[0], PatientID="first")
    write_series(tmp_path / "b", other, series=uids[1], PatientID="second", origin=(-14.0, -12.5, 112.0))
    with pytest.raises(SeveralPatients, match="scans of 2 patients") as caught:
        scan.open(tmp_path)
    assert "first" not in str(caught.value)
    report = inspect(tmp_path)
    assert not report.usable
    assert [problem["code"] for problem in report.problems] == ["SEVERAL_PATIENTS"]
    assert len(report.series) == 2
    assert np.array_equal(scan.read(tmp_path, series=uids[0]).hu, HU)
    second = uids[1] if uids[0] != uids[1] else f"{uids[1]}#2"
    assert np.array_equal(scan.read(tmp_path, series=second).hu, other)


def test_what_another_patient_left_that_is_no_volume_does_not_matter(tmp_path: Path) -> None:
    add(tmp_path, 1, PatientID="first")
    add(tmp_path, 2, PatientID="second", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    add(tmp_path, 3, PatientID=None, thickness=8.0)  # made anonymous
    assert scan.open(tmp_path).source.header["series_number"] == 1


def test_series_of_several_studies_are_told(tmp_path: Path) -> None:
    add(tmp_path, 1, StudyInstanceUID="1.2.3.100")
    add(tmp_path, 2, StudyInstanceUID="1.2.3.200", thickness=5.0)
    assert scan.open(tmp_path).source.choice.startswith("chosen of 2 series of 2 studies: axial")


def spoil(path: Path) -> None:
    """Compress a slice and damage what a decoder needs, not what the header says."""
    dataset = dcmread(path)
    dataset.compress("1.2.840.10008.1.2.4.90", generate_instance_uid=False)
    dataset.save_as(path)
    values = bytearray(path.read_bytes())
    start = values.find(b"\xff\x93")
    values[start + 2 : start + 60] = bytes(58)
    values[start - 12 : start - 2] = b"\xff" * 10
    path.write_bytes(values)
