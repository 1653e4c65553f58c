"""A model and a scan give the right slice, the right place and the right words, and nothing about whose scan it is."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from prepare import shelf
from prepare.synthetic import chest
from scan.dicom_builder import write_series
from toy_model import MARKED_HU, WINDOW, Marker, marker
from triplenet import catalog, networks, scan
from triplenet.catalog import INTENDED_USE
from triplenet.cohort.table import Patient
from triplenet.errors import BadInput, MaskMismatch, NoLung, NotAChest, NotHu, PathMissing
from triplenet.inference import Classifier, Record, predict, refusal
from triplenet.inference.runtime import TorchRuntime
from triplenet.model import load_model, save_model
from triplenet.prepare.patient import Options, prepare_patient
from triplenet.scan import Geometry, Scan, Source

LESION = (4, 40, 28, 5)
HEAD_BACK_LEFT = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])


def patient(lesion=LESION):
    """The small chest with a lesion that the marker marks, away from any symmetry: HU, lung, infection, geometry."""
    hu, lung, infection, geometry = chest(slices=7, lesion=lesion)
    hu = hu.copy()
    hu[infection > 0] = MARKED_HU
    affine = geometry.affine.copy()
    affine[:3, 3] = (-130.0, -210.0, 1000.0)
    return hu, lung, infection, Geometry(geometry.shape, affine)


@pytest.fixture
def written(tmp_path):
    """The patient as NIfTI with masks; paths by name."""
    hu, lung, infection, geometry = patient()
    paths = {}
    for name, array in (("scan", hu), ("lung", lung), ("infection", infection)):
        paths[name] = tmp_path / f"{name}.nii"
        scan.write_nifti(paths[name], array, geometry)
    return paths


def held(hu, geometry, **source):
    return Scan(hu, geometry, Source("nifti", "Doe-Jane/scan.nii", **source))


def hottest_mm(result):
    """LPS millimetres of the middle of what is hot."""
    rows, columns = np.nonzero(result.heat > 0.5)
    return result.geometry.world((0, rows.mean(), columns.mean()))


# --- which series ---------------------------------------------------------------------------------------------------


def study(folder, thin):
    """A thin and a thick series, with UIDs that stand for a patient's; values of the thin one as given."""
    hu, *_ = patient()
    more = {"origin": (-130.0, -210.0, 1000.0), "spacing": (4.0, 4.0), "gap_mm": 4.0}
    write_series(folder / "a", thin(hu), series="1.2.826.77", SeriesNumber=1, thickness=1.0, **more)
    write_series(folder / "b", hu, series="1.2.826.88", SeriesNumber=2, thickness=5.0, **more)
    return folder


def test_the_choice_of_the_series_and_its_reasons_are_in_the_record_without_uids(tmp_path):
    record = predict(study(tmp_path, lambda hu: hu), marker(), slice_from_feet=4).record
    assert record.scan.choice.startswith("chosen of 2 series: axial, chest, original, 1 mm slices, soft kernel B40f")
    asked = predict(tmp_path, marker(), slice_from_feet=4, series="1.2.826.88").record
    assert asked.scan.choice.startswith("asked for by its UID: axial, chest")
    assert "1.2.826" not in record.model_dump_json() + asked.model_dump_json()
    assert '"series":"1.2.826.77"' in predict(tmp_path, marker(), identifiers=True).record.model_dump_json()


def test_a_series_that_turns_out_to_hold_no_hu_gives_way_to_the_next(tmp_path):
    folder = study(tmp_path, lambda hu: hu + 1024)
    record = predict(folder, marker(), slice_from_feet=4).record
    assert "5 mm slices" in record.scan.choice
    assert "; series 1 scored" in record.scan.choice
    assert "NOT_HU" in record.scan.choice
    assert set(record.timings_ms) >= {"open", "masks", "slice", "classify"}
    with pytest.raises(NotHu):
        predict(folder, marker(), series="1.2.826.77")


def test_damage_found_when_the_lung_is_searched_for_gives_way_too(tmp_path):
    folder = study(tmp_path, lambda hu: hu)
    path = folder / "a" / "IM0007.dcm"  # the lowest slice: nobody looks at it before
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([b"\xff\x4f" + bytes(500)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(path)
    assert "1 mm slices" in predict(folder, marker(), slice_from_feet=4).record.scan.choice
    assert "series 1 scored" in predict(folder, marker()).record.scan.choice


# --- where ----------------------------------------------------------------------------------------------------------


def test_without_resizing_the_heat_is_on_the_very_pixels_that_caused_it(written):
    result = predict(written["scan"], marker(), infection=written["infection"])
    _, _, infection, _ = patient()
    np.testing.assert_array_equal(result.heat > 0.5, infection[4] > 0)
    assert result.record.explanation.overlap.dice == 1.0
    assert result.record.explanation.overlap.peak_inside is True
    assert result.record.explanation.overlap.mass_inside == pytest.approx(1.0)


@pytest.mark.parametrize(("size", "crop"), [(48, 48), (96, 80), (144, 120)])
def test_resized_and_cropped_the_heat_is_still_there(size, crop):
    # Mixed pixels at borders are half grey as well, so the same patient without the lesion is taken away.
    hu, _, infection, geometry = patient()
    without = np.where(infection > 0, -860, hu).astype(np.int16)
    model = marker(size=size, crop=crop)
    result, plain = (predict(held(array, geometry), model, slice_from_feet=4) for array in (hu, without))
    found = np.argwhere(result.heat - plain.heat > 0.5).mean(axis=0)
    truth = np.argwhere(infection[4]).mean(axis=0)
    assert np.abs(found - truth).max() <= 0.5 * max(1, 96 / size)


def test_nothing_outside_the_crop_is_hot(written):
    heat = predict(written["scan"], marker(crop=32), slice_from_feet=4).heat
    assert (heat[:32] == 0).all()
    assert (heat[:, :32] == 0).all()


def orders(hu, geometry):
    """The same patient, stored in several orders: name, array, geometry."""
    yield "as it is", hu, geometry
    for axes in ((0,), (1,), (2,), (0, 1), (0, 1, 2)):
        affine = geometry.affine.copy()
        for axis in axes:
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
        yield f"flipped along {axes}", np.flip(hu, axes), Geometry(geometry.shape, affine)
    for order in ((1, 0, 2), (2, 1, 0), (1, 2, 0)):
        turned = hu.transpose(order)
        yield f"axes {order}", turned, Geometry(turned.shape, geometry.affine[:, [*order, 3]])


@pytest.mark.parametrize("number", range(9))
def test_however_a_file_orders_its_voxels_the_patient_is_the_same(tmp_path, written, number):
    straight = predict(written["scan"], marker(size=48, crop=40))
    hu, _, _, geometry = patient()
    name, array, stored = list(orders(hu, geometry))[number]
    scan.write_nifti(tmp_path / "other.nii", array, stored)
    result = predict(tmp_path / "other.nii", marker(size=48, crop=40))
    np.testing.assert_array_equal(result.heat, straight.heat, err_msg=name)
    for part in ("from_feet", "z_mm", "rule", "lung_mm2"):
        assert getattr(result.record.slice, part) == getattr(straight.record.slice, part), (name, part)
    assert result.record.classes == straight.record.classes
    assert result.record.scan.slice_sha256 == straight.record.scan.slice_sha256
    assert result.record.scan.image_sha256 == straight.record.scan.image_sha256
    np.testing.assert_allclose(hottest_mm(result), hottest_mm(straight))


def test_dicom_gives_what_nifti_gives(tmp_path):
    hu, _, _, geometry = patient()
    # Body 40 HU and air -1000 with noise of 10 HU: nothing is below -1024, so the rescale loses nothing.
    hu = np.maximum(hu, -1024)
    scan.write_nifti(tmp_path / "scan.nii.gz", hu, geometry)
    origin = geometry.affine[:3, 3]
    write_series(tmp_path / "dicom", hu, origin=origin, spacing=(4.0, 4.0), gap_mm=4.0, thickness=4.0)
    # From the head down, and with the table's rows running to the front.
    feet_last = origin + geometry.affine[:3, 1] * 95
    write_series(
        tmp_path / "turned", hu[:, ::-1], origin=feet_last, down=(0, -1, 0), step=(0, 0, 4.0), spacing=(4.0, 4.0),
        thickness=4.0,
    )  # fmt: skip
    results = [predict(tmp_path / name, marker(), slice_from_feet=4) for name in ("scan.nii.gz", "dicom", "turned")]
    for other in results[1:]:
        np.testing.assert_array_equal(other.heat, results[0].heat)
        assert other.record.slice.z_mm == results[0].record.slice.z_mm == pytest.approx(1016.0)
        assert other.record.scan.slice_sha256 == results[0].record.scan.slice_sha256
        np.testing.assert_allclose(hottest_mm(other), hottest_mm(results[0]))


# --- which slice ----------------------------------------------------------------------------------------------------


def test_an_infection_mask_chooses_its_largest_slice(written):
    here = predict(written["scan"], marker(), infection=written["infection"]).record.slice
    assert (here.from_feet, here.rule, here.in_file, here.of) == (4, "infection mask", 4, 7)
    _, _, infection, _ = patient()
    assert here.infection_mm2 == pytest.approx(16.0 * infection[4].sum())


def test_a_lung_mask_chooses_its_largest_slice(written):
    here = predict(written["scan"], marker(), lung=written["lung"]).record.slice
    assert (here.from_feet, here.rule, here.lung_derived) == (2, "lung mask", False)
    _, lung, _, _ = patient()
    assert here.lung_mm2 == pytest.approx(16.0 * lung[2].sum())
    assert here.infection_mm2 is None


def test_a_labelled_mask_says_both(tmp_path, written):
    _, lung, infection, geometry = patient()
    scan.write_nifti(tmp_path / "mask.nii", np.where(infection > 0, 2, lung).astype(np.uint8), geometry)
    result = predict(written["scan"], marker(), mask=tmp_path / "mask.nii")
    assert (result.record.slice.from_feet, result.record.slice.rule) == (4, "infection mask")
    np.testing.assert_array_equal(result.infection, infection[4] > 0)
    np.testing.assert_array_equal(result.lung, (lung[4] > 0) | (infection[4] > 0))


def test_masks_may_be_arrays_in_the_scans_own_order():
    hu, _, infection, geometry = patient()
    _, array, stored = list(orders(hu, geometry))[5]
    result = predict(held(array, stored), marker(), infection=np.flip(infection, (0, 1, 2)))
    assert (result.record.slice.from_feet, result.record.slice.in_file) == (4, 2)
    np.testing.assert_array_equal(result.infection, infection[4] > 0)


def test_the_slice_is_shown_in_the_models_window_and_where_it_lies(written):
    hu, _, _, geometry = patient()
    result = predict(written["scan"], marker(), infection=written["infection"])
    np.testing.assert_array_equal(result.hu, np.maximum(hu[4], -1024))  # what is below air is padding
    np.testing.assert_array_equal(result.image, scan.window(hu[4], *WINDOW))
    np.testing.assert_allclose(result.geometry.world((0, 20, 30)), geometry.world((4, 20, 30)))


def test_infection_that_is_given_is_lung_whatever_thresholds_see(written):
    _, _, infection, _ = patient()
    lung = predict(written["scan"], marker(), infection=written["infection"]).lung
    assert lung is not None and lung[infection[4] > 0].all()


def test_an_empty_infection_mask_leaves_the_largest_lung(tmp_path, written):
    _, _, infection, geometry = patient()
    scan.write_nifti(tmp_path / "empty.nii", np.zeros_like(infection), geometry)
    record = predict(written["scan"], marker(), infection=tmp_path / "empty.nii").record
    assert (record.slice.from_feet, record.slice.rule) == (2, "largest lung slice (derived lung)")
    assert record.slice.infection_mm2 == 0.0
    assert record.explanation.overlap.mass_inside is None


@pytest.mark.parametrize(("method", "more"), [("baseline", {}), ("triple", {"search": "lung"})])
def test_without_a_search_it_is_the_largest_lung_slice_as_in_a_prepared_set_and_a_warning(written, method, more):
    record = predict(written["scan"], marker(method=method), **more).record
    assert record.search is None
    _, lung, _, _ = patient()
    largest = int(lung.sum(axis=(1, 2)).argmax())
    assert (record.slice.from_feet, record.slice.rule) == (largest, "largest lung slice (derived lung)")
    assert any("need not show the disease" in text for text in record.warnings)


def test_a_slice_that_is_asked_for_is_taken(written):
    here = predict(written["scan"], marker(), infection=written["infection"], slice_from_feet=6).record.slice
    assert (here.from_feet, here.rule) == (6, "given")
    with pytest.raises(BadInput, match="from 0 \\(feet\\) to 6"):
        predict(written["scan"], marker(), slice_from_feet=7)


def test_a_single_slice_needs_no_choice():
    hu, _, _, geometry = patient()
    here = predict(held(hu[4:5], Geometry((1, 96, 96), geometry.affine)), marker()).record.slice
    assert (here.from_feet, here.of, here.rule) == (0, 1, "only slice")


def test_a_scan_without_lung_is_refused_unless_the_slice_is_given():
    hu, lung, _, geometry = patient()
    hu[lung > 0] = 40
    with pytest.raises(NoLung) as caught:
        predict(held(hu, geometry), marker())
    assert caught.value.where == "Doe-Jane/scan.nii"
    record = predict(held(hu, geometry), marker(), slice_from_feet=3).record
    assert any("No lung" in text for text in record.warnings)
    assert record.explanation.mean_in_lung is None


def test_a_prepared_set_and_a_prediction_take_the_same_slice(written):
    sample = prepare_patient(Patient("1", "negative", written["scan"]), Options(derive_lung=True))
    assert predict(written["scan"], marker()).record.slice.from_feet == sample.slice


# --- whether it is a chest ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [0, 5])
def test_a_head_is_refused_and_the_refusal_says_the_way_out(frames):
    head = shelf.head()
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = head.spacing_mm
    affine[3, 3] = 1
    model = marker(frames=frames, method="covnet") if frames else marker()
    source = held(head.hu, Geometry(head.hu.shape, affine))
    with pytest.raises((NotAChest, NoLung)) as caught:
        predict(source, model)
    assert "slice" in caught.value.do and caught.value.where == "Doe-Jane/scan.nii"
    record = predict(source, model, slice_from_feet=20).record
    assert any("No lung was found" in text for text in record.warnings)


@pytest.mark.parametrize("search", ["coarse", "lung"])
def test_little_lung_under_a_header_of_another_part_is_refused(search):
    """The bases of the lungs in a scan of a belly: what the search finds is no chest."""
    hu, lung, _, geometry = patient()
    small = Geometry(hu.shape, geometry.affine @ np.diag([1, 0.4, 0.4, 1]))
    assert 1_000 < lung[2].sum() * (4 * 0.4) ** 2 < 6_000
    source = held(hu, small, header={"body_part": "ABDOMEN"})
    with pytest.raises(NotAChest):
        predict(source, marker(), search=search)
    predict(source, marker(), search=search, any_body_part=True)


def test_a_header_that_says_head_is_a_warning_of_the_result():
    hu, _, _, geometry = patient()
    for wanted in (None, 4):
        record = predict(held(hu, geometry, header={"body_part": "HEAD"}), marker(), slice_from_feet=wanted).record
        assert any("than the chest (HEAD)." in text for text in record.warnings)


def test_the_lungs_of_the_scan_are_in_the_record(written):
    record = predict(written["scan"], marker()).record
    _, lung, _, _ = patient()
    voxel_ml = 4.0**3 / 1000
    both = record.chest.right_lung_ml + record.chest.left_lung_ml
    assert both == pytest.approx(lung.sum() * voxel_ml, rel=0.06)
    assert record.chest.right_lung_ml == pytest.approx(record.chest.left_lung_ml, rel=0.05)
    assert record.chest.largest_lung_mm2 == pytest.approx(lung.sum(axis=(1, 2)).max() * 16.0, rel=0.06)
    assert (record.chest.lung_height_mm, record.chest.by) == (28.0, "thresholds")
    assert "Only 28 mm of the lungs are in the scan." in record.warnings
    assert predict(written["scan"], marker(), lung=written["lung"]).record.chest is None
    # Of one slice no volume of the lungs can be told.
    assert predict(written["scan"], marker(), slice_from_feet=3).record.chest is None
    assert predict(written["scan"], marker(), infection=written["infection"]).record.chest is None


def test_a_3d_model_looks_at_the_chest_too(written):
    record = predict(written["scan"], marker(frames=5, method="covnet")).record
    assert record.slice.rule == "frame with the most evidence"
    assert record.chest.largest_lung_mm2 > 20_000


def test_a_mask_of_another_scan_is_refused(written):
    with pytest.raises(MaskMismatch):
        predict(written["scan"], marker(), infection=np.zeros((7, 90, 96), np.uint8))


# --- what is said ---------------------------------------------------------------------------------------------------


def test_probabilities_are_those_of_the_network_and_name_the_likeliest_class(written):
    with_lesion = predict(written["scan"], marker(), slice_from_feet=4)
    share = float((with_lesion.heat > 0.5).mean())
    logit = 1000 * share - 1
    assert with_lesion.record.positive_probability == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-5)
    assert with_lesion.record.predicted == "positive"
    without = predict(written["scan"], marker(), slice_from_feet=1).record
    assert without.predicted == "negative"
    assert without.positive_probability == pytest.approx(1 / (1 + np.e), rel=1e-6)
    assert sum(one.probability for one in without.classes) == pytest.approx(1.0, abs=1e-12)


def test_the_probability_of_disease_sums_the_classes_that_count_as_disease(written):
    record = predict(written["scan"], marker(task="appearance"), slice_from_feet=1).record
    chances = {one.name: one.probability for one in record.classes}
    assert list(chances) == ["typical", "indeterminate", "atypical", "negative"]
    assert record.positive_probability == pytest.approx(chances["typical"] + chances["indeterminate"])
    assert [one.positive for one in record.classes] == [True, True, False, False]


def test_the_numbers_of_a_heat_map_are_those_of_its_pixels(written):
    result = predict(written["scan"], marker(), infection=written["infection"], lung=written["lung"])
    _, lung, infection, _ = patient()
    facts = result.record.explanation
    assert facts.max == 1.0
    assert facts.area_above_half_mm2 == pytest.approx(16.0 * infection[4].sum())
    assert facts.mean_in_lung == pytest.approx(infection[4].sum() / (lung[4] | infection[4]).sum())


def test_an_attention_map_explains_no_class_and_a_grad_cam_the_predicted_one(written):
    attention = predict(written["scan"], marker(), slice_from_feet=4).record.explanation
    assert (attention.kind, attention.target) == ("attention", None)
    assert "does not depend on the class" in attention.note
    cam = predict(written["scan"], marker(method="baseline"), slice_from_feet=4).record.explanation
    assert (cam.kind, cam.target, cam.title) == ("grad-cam", "positive", "Grad-CAM for class positive")


@pytest.mark.parametrize("frames", [0, 6])
def test_beside_a_map_of_no_class_a_result_has_the_evidence_for_its_class(written, frames):
    """0.5 in the lung, as the toy has it for the second class; and in the record its numbers."""
    model = marker(evidence=True, frames=frames)
    result = predict(written["scan"], model, slice_from_feet=4, lung=written["lung"])
    assert result.class_heat.shape == result.heat.shape and not np.array_equal(result.class_heat, result.heat)
    facts = result.record.class_evidence
    assert (facts.target, facts.title) == ("positive", "Class evidence for class positive")
    assert facts.max == pytest.approx(result.class_heat.max()) == pytest.approx(0.5, abs=0.01)
    assert facts.mean_in_lung == pytest.approx(float(result.class_heat[result.lung].mean()), abs=1e-6)
    assert 0.2 < facts.mean_in_lung <= 0.5
    without = predict(written["scan"], marker(frames=frames), slice_from_feet=4)
    assert without.class_heat is None and without.record.class_evidence is None


def test_a_record_written_before_there_was_evidence_for_a_class_is_read(written):
    record = predict(written["scan"], marker(evidence=True), slice_from_feet=4).record
    earlier = json.loads(record.model_dump_json())
    assert earlier.pop("class_evidence")["target"] == "positive"
    assert Record.model_validate(earlier).class_evidence is None


def test_approximate_hounsfield_units_are_warned_of(tmp_path):
    hu, _, _, geometry = patient()
    scan.write_nifti(tmp_path / "scan.nii", hu, geometry, scan.APPROXIMATE)
    record = predict(tmp_path / "scan.nii", marker(), slice_from_feet=4).record
    assert any("approximate" in text for text in record.warnings)


def test_a_record_comes_back_from_json_as_it_was(written):
    record = predict(written["scan"], TorchRuntime(marker(), "f" * 64), infection=written["infection"]).record
    assert Record.model_validate_json(json.dumps(record.model_dump(mode="json"))) == record
    assert record.intended_use == INTENDED_USE
    assert record.model.file_sha256 == "f" * 64
    assert set(record.timings_ms) >= {"open", "classify", "explain"}


def test_the_same_scan_gives_the_same_record_but_for_the_time(written):
    first, second = (predict(written["scan"], marker(size=48, crop=40)).record for _ in range(2))
    still = {"timings_ms": {}}
    assert first.model_copy(update=still) == second.model_copy(update=still)


def test_a_record_does_not_tell_whose_scan_it_is_unless_asked(tmp_path):
    hu = patient()[0]
    folder = tmp_path / "Secret-Jane-1957"
    uid = "1.2.826.0.1.3680043.8.498.1"
    write_series(folder / "study", np.maximum(hu, -1024), spacing=(4.0, 4.0), gap_mm=4.0, thickness=4.0, series=uid)
    text = json.dumps(predict(folder, marker(), slice_from_feet=4).record.model_dump(mode="json"))
    for secret in ("Secret", "SECRET", "Jane", "1957", "1.2.826", str(tmp_path)):
        assert secret not in text
    named = predict(folder, marker(), slice_from_feet=4, identifiers=True).record.identifiers
    assert (named.input, named.series) == (str(folder), uid)


def test_notes_of_a_scan_lose_their_uids():
    hu, _, _, geometry = patient()
    record = predict(held(hu, geometry, notes=("series 1.2.840.113619.2.55.3 chosen",)), marker()).record
    assert record.scan.notes == ("series (UID) chosen",)


# --- batches --------------------------------------------------------------------------------------------------------


def test_a_refused_scan_does_not_stop_the_others(tmp_path, written):
    outcomes = list(Classifier.load(marker()).each([tmp_path / "Jane Doe", written["scan"]]))
    assert [outcome.number for outcome in outcomes] == [1, 2]
    assert isinstance(outcomes[0].error, PathMissing)
    assert outcomes[0].refusal.code == "PATH_MISSING"
    assert "Jane" not in outcomes[0].refusal.model_dump_json()
    assert outcomes[1].result.record.predicted in ("negative", "positive")


def test_a_refusal_names_the_input_only_when_asked(tmp_path):
    error = PathMissing("no such file", where=tmp_path / "Jane")
    assert refusal(error).identifiers is None
    assert refusal(error, tmp_path / "Jane").identifiers.input == str(tmp_path / "Jane")


def test_a_scan_in_memory_gives_what_its_file_gives(written):
    hu, _, _, geometry = patient()
    from_file, from_memory = predict(written["scan"], marker()), predict(held(hu, geometry), marker())
    np.testing.assert_array_equal(from_memory.heat, from_file.heat)
    assert from_memory.record.classes == from_file.record.classes


# --- real networks and 3D -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["baseline", "triple"])
def test_a_model_file_predicts(tmp_path, written, method):
    torch.manual_seed(0)
    network = networks.build(method, classes=2).eval()
    card = marker(size=64, crop=64, method=method).card
    save_model(tmp_path / "model.safetensors", network, torch.full((64, 64), 0.5), card)
    model = load_model(tmp_path / "model.safetensors")
    result = predict(written["scan"], model, slice_from_feet=4)
    assert result.heat.shape == (96, 96)
    assert 0.0 <= result.heat.min() <= result.heat.max() <= 1.0
    assert result.record.explanation.kind == catalog.method(method).explanation
    with torch.no_grad():
        grey = torch.as_tensor(np.array(result.image)).float()[None, None] / 255 - 0.5
        small = torch.nn.functional.interpolate(grey, size=(64, 64), mode="area")
        expected = network(small).logits.softmax(1)[0, 1].item()
    # Another way of shrinking the slice: near, not equal.
    assert result.record.positive_probability == pytest.approx(expected, abs=0.02)


def test_a_3d_model_reads_frames_and_shows_the_one_with_the_most_evidence(written):
    result = predict(written["scan"], marker(frames=7, method="resnet3d"))
    _, _, infection, _ = patient()
    assert (result.record.slice.from_feet, result.record.slice.rule) == (4, "frame with the most evidence")
    np.testing.assert_array_equal(result.heat > 0.5, infection[4] > 0)
    asked = predict(written["scan"], marker(frames=7, method="resnet3d"), slice_from_feet=1).record
    assert (asked.slice.from_feet, asked.slice.rule) == (1, "given")
    assert asked.classes == result.record.classes


class LungMarker(Marker):
    """Marks only what the lung mask, its second channel, has inside."""

    def encode(self, images):
        marked, lung = super().encode(images)
        return marked * images[:, 1:], lung


def test_a_3d_model_that_reads_the_lung_gets_that_of_the_mask_or_a_derived_one(written):
    model = marker(frames=7, method="covnet")
    network = LungMarker(2, 3).eval()
    network.channels = 2
    model = replace(model, network=network)
    lung, infection = (scan.read_mask(written[name])[0] > 0 for name in ("lung", "infection"))
    given = predict(written["scan"], model, lung=written["lung"], slice_from_feet=4)
    np.testing.assert_array_equal(given.heat > 0.5, (infection & lung)[4])
    assert not any("thresholds" in warning for warning in given.record.warnings)
    derived = predict(written["scan"], model, slice_from_feet=4)
    # The lesion is as dark as lung, so thresholds find it inside, but for its edge.
    assert ((derived.heat > 0.5) & infection[4]).sum() > 0.8 * infection[4].sum()
    assert any("thresholds found it" in warning for warning in derived.record.warnings)
    hu, _, _, geometry = patient()
    hu[:, 20:76, 12:84] = 40  # nothing but flesh inside
    with pytest.raises(NoLung, match="the model reads the lung"):
        predict(held(hu, geometry), model, slice_from_feet=4)


@pytest.mark.real_data
def test_a_real_series_in_shuffled_files_is_read_from_feet_to_head():
    """COVID-CT-MD P001: JPEG Lossless, 148 slices; the order of the file names is not that of the slices."""
    root = os.environ.get("TRIPLENET_REAL_DATA")
    if not root:
        pytest.skip("TRIPLENET_REAL_DATA does not name a folder")
    with (Path(root) / "dicom" / "covid-ct-md_P001_slice_labels.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["infected"] == "1"]
    infected = [int(row["order_by_SliceLocation_ascending"]) for row in rows]
    result = predict(Path(root) / "dicom" / "covid-ct-md_P001", marker(size=256, crop=224))
    here = result.record.slice
    assert here.of == 148
    assert min(infected) < here.from_feet < max(infected)
    # Two lungs of an adult at their middle: a few hundred square centimetres.
    assert 20_000 < here.lung_mm2 < 60_000
    # The body in the picture has its back, and the table, below: HU are on the canonical grid.
    assert (result.hu[-60:] > -300).mean() > (result.hu[:60] > -300).mean()
    text = result.record.model_dump_json()
    assert "1.3.12" not in text
    assert "P001" not in text
