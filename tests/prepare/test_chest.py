"""Whether a scan is a chest: what is refused, what is told, and the ways out."""

import os
from pathlib import Path

import numpy as np
import pytest

from prepare import shelf
from scan.dicom_builder import write_series
from triplenet import scan
from triplenet.cohort.table import Patient
from triplenet.errors import NoLung, NotAChest
from triplenet.prepare.chest import chest_of, examine, require_chest
from triplenet.prepare.found_lungs import LabelledLungs
from triplenet.prepare.patient import Options, prepare_patient
from triplenet.scan import Source


def lungs(*areas, spacing_mm=(5.0, 10.0, 10.0), rim=False):
    """Lungs with so many pixels of 1 cm2 on the right and on the left of each slice."""
    labels = np.zeros((len(areas), 40, 60), np.uint8)
    for z, (right, left) in enumerate(areas):
        for side, count, start in ((1, right, 0 if rim else 1), (2, left, 31)):
            block = np.zeros(28 * 38, np.uint8)
            block[:count] = side
            labels[z, 1:39, start : start + 28] = block.reshape(38, 28)
    return LabelledLungs(labels, spacing_mm, "thresholds")


WHOLE = [(0, 0), (40, 40), *[(120, 110)] * 40, (30, 30), (0, 0)]


def told(found, **header):
    return " | ".join(examine(found, 5.0, Source("dicom", "x", header=header)).remarks)


def test_a_whole_chest_has_nothing_to_be_told():
    chest = examine(lungs(*WHOLE), 5.0, Source("dicom", "x", header={"body_part": "CHEST"}))
    assert chest.remarks == ()
    assert chest.right_ml == pytest.approx((40 + 40 * 120 + 30) * 0.5)  # 1 cm2 in 5 mm is 0.5 ml
    assert chest.left_ml == pytest.approx((40 + 40 * 110 + 30) * 0.5)
    assert (chest.largest_mm2, chest.height_mm) == (23_000.0, 210.0)


@pytest.mark.parametrize("part", ["HEAD", "BRAIN", "ABDOMEN", "Kopf", "PELVIS", "LSPINE"])
def test_a_header_that_names_another_part_is_told_even_when_the_lungs_look_fine(part):
    assert f"another part of the body than the chest ({part})" in told(lungs(*WHOLE), body_part=part)


@pytest.mark.parametrize("part", ["CHEST", "", "CHESTABDPELVIS", "THORAX", "Thorax/Abdomen"])
def test_a_header_that_names_the_chest_is_not(part):
    assert told(lungs(*WHOLE), body_part=part) == ""


def test_a_series_description_counts_as_well():
    assert "in its description" in told(lungs(*WHOLE), reasons=["+20 axial", "-20 another body part"])


def test_one_lung_is_told():
    assert told(lungs(*[(120, 0)] * 40)).startswith("lung was found on the right side only")
    assert "left side only" in told(lungs(*[(4, 120)] * 40))
    assert "side only" not in told(lungs(*[(20, 120)] * 40))


def test_a_slab_is_told_by_its_height_and_a_child_is_not():
    assert told(lungs(*[(100, 90)] * 6)) == "only 30 mm of the lungs are in the scan"
    assert told(lungs((0, 0), *[(60, 60)] * 20, (0, 0))) == ""  # 100 mm, but all there is


def test_small_lungs_are_told_with_their_size():
    assert "largest slice 42 cm2" in told(lungs((0, 0), *[(22, 20)] * 30, (0, 0)))


def test_lungs_that_the_field_cuts_are_told():
    assert told(lungs(*WHOLE, rim=True)) == "the field of view cuts the right lung"


def refused(found, **header):
    chest = examine(found, 5.0, Source("dicom", "x", header=header))
    try:
        require_chest(chest)
    except NotAChest as error:
        assert "--any-body-part" in error.do
        require_chest(chest, any_body_part=True)
        return True
    return False


def test_only_what_has_no_lung_of_a_chests_size_is_refused():
    assert refused(lungs(*[(0, 0)] * 10))
    assert refused(lungs(*[(4, 4)] * 10))
    assert not refused(lungs(*[(10, 8)] * 10))  # a newborn
    assert not refused(lungs(*[(30, 25)] * 10))
    assert refused(lungs(*[(30, 25)] * 10), body_part="ABDOMEN")
    assert not refused(lungs(*[(120, 0)] * 40), body_part="CHEST")  # one lung
    assert not refused(lungs(*WHOLE), body_part="HEAD")


def in_file(folder, subject, name="scan.nii"):
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = subject.spacing_mm
    affine[3, 3] = 1
    scan.write_nifti(folder / name, subject.hu, scan.Geometry(subject.hu.shape, affine))
    return folder / name


@pytest.mark.parametrize("name", ["head", "a skull filled with air", "abdomen"])
def test_what_is_no_chest_is_called_that(tmp_path, name):
    subject = {"head": shelf.head(), "a skull filled with air": shelf.head(-1000), "abdomen": shelf.abdomen()}[name]
    told = scan.with_fallback(in_file(tmp_path, subject), chest_of)
    assert told["warnings"][0].startswith("this does not look like a chest")
    patient = Patient("1", "negative", in_file(tmp_path, subject), row=2)
    with pytest.raises((NoLung, NotAChest)):
        prepare_patient(patient, Options(derive_lung=True))


def test_a_chest_is_looked_at_by_some_of_its_slices(tmp_path):
    chest = shelf.chest()
    told = scan.with_fallback(in_file(tmp_path, chest), chest_of)
    litres = chest.lung.sum() * np.prod(chest.spacing_mm) / 1e6
    assert told["slices_read"] == 40 < len(chest.hu)
    assert (told["right_lung_ml"] + told["left_lung_ml"]) / 1000 == pytest.approx(litres, rel=0.06)
    assert told["warnings"] == []


def test_preparing_notes_what_a_person_has_to_know(tmp_path):
    slab = shelf.chest().cropped(slice(28, 38))
    patient = Patient("1", "negative", in_file(tmp_path, slab), row=2)
    assert "only 40 mm of the lungs are in the scan" in prepare_patient(patient, Options(derive_lung=True)).notes


def test_preparing_with_masks_still_asks_the_header(tmp_path):
    slab = shelf.chest(0, 8.0).cropped(slice(12, 20))
    spacing = slab.spacing_mm
    write_series(
        tmp_path / "dicom",
        np.maximum(slab.hu, -1024),
        spacing=spacing[1:],
        gap_mm=spacing[0],
        thickness=spacing[0],
        BodyPartExamined="HEAD",
        SeriesDescription="",
        ProtocolName="",
    )
    assert scan.open(tmp_path / "dicom").source.header["body_part"] == "HEAD"
    patient = Patient("1", "negative", tmp_path / "dicom", row=2)
    assert "(HEAD)" in prepare_patient(patient, Options(derive_lung=True)).notes


@pytest.mark.real_data
def test_real_chests_pass_and_what_is_none_does_not():
    folder = os.environ.get("TRIPLENET_REAL_DATA")
    if not folder:
        pytest.skip("TRIPLENET_REAL_DATA does not name the folder with real scans")
    dicom = Path(folder) / "dicom"
    whole = scan.with_fallback(dicom / "covid-ct-md_P001", chest_of)
    assert whole["warnings"] == []
    assert 19_000 < whole["largest_lung_mm2"] < 40_000
    shoulder = scan.with_fallback(dicom / "odd/transfer-syntaxes/examples/nodejs/ctimage.dcm", chest_of)
    assert shoulder["warnings"][0].startswith("this does not look like a chest")
    slabs = sorted((Path(folder) / "ricord" / "dicom").glob("*/*440808*"))
    assert len(slabs) == 4
    for slab in slabs:
        (warning,) = scan.with_fallback(slab, chest_of)["warnings"]
        assert warning == "only 30 mm of the lungs are in the scan", slab.name
