"""Secondary Captures: pictures that lie where the scan's slices do, and say what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from outputs.dicom_results import (
    FRAME_OF_REFERENCE,
    chest_hu,
    enhanced_source,
    errors_of,
    result_of,
    source,
)
from prepare.synthetic import chest
from toy_model import MARKED_HU, marker
from triplenet.errors import NotDicom
from triplenet.inference import Keep, predict
from triplenet.inference.runtime import TorchRuntime
from triplenet.inference.shown_slices import AROUND, neighbours
from triplenet.outputs import FORMATS, needed_by, secondary_capture, write
from triplenet.scan import Scan, Source

LESION = (4, 40, 28, 5)  # slice from the feet, row, column, radius


def captures(result, folder):
    """The objects, by the slice's number from the feet."""
    write(result, folder, ["sc"])
    return captured(result, folder, secondary_capture.FILE)


def captured(result, folder, file):
    """Those of one map that lie in a folder."""
    chosen = result.record.slice.from_feet
    return {
        chosen if path.name == file else int(path.stem[-4:]): pydicom.dcmread(path)
        for path in sorted(folder.glob(file.replace(".dcm", "*.dcm")))
    }


def picture(result, from_feet, which=0):
    """Of a slice with the method's map, or with the evidence for the class."""
    shown = result.shown[from_feet]
    return secondary_capture.capture(result, shown, list(secondary_capture.captured_maps(result, shown))[which])


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    paths = source(folder, chest_hu(LESION), Laterality="U", LossyImageCompression="01")
    return folder, paths


@pytest.fixture(scope="module")
def result(scan):
    return result_of(scan[0])


@pytest.fixture(scope="module")
def made(result, tmp_path_factory):
    return captures(result, tmp_path_factory.mktemp("made") / "out")


def reds(picture):
    """(Y, X) where a picture is coloured as high heat is."""
    red, green, blue = (picture[..., at].astype(int) for at in range(3))
    return (red > green + 60) & (red > blue + 60)


def in_patient(made, rows, columns):
    """(n, 3) mm of pixels, as PS3.3 C.7.6.2.1.1 has it."""
    cosines = np.array(made.ImageOrientationPatient, float)
    row_mm, column_mm = map(float, made.PixelSpacing)
    position = np.array(made.ImagePositionPatient, float)
    return position + np.outer(columns * column_mm, cosines[:3]) + np.outer(rows * row_mm, cosines[3:])


def middle_of_the_heat(made):
    """mm: of the largest coloured area that lies in the slice, the colour bar being beside it."""
    red = reds(made.pixel_array)
    labels, _ = ndimage.label(red[:, : -secondary_capture.SCALE])
    sizes = np.bincount(labels.ravel())[1:]
    rows, columns = np.nonzero(labels == sizes.argmax() + 1)
    return in_patient(made, rows, columns).mean(axis=0)


def test_the_chosen_slice_and_its_neighbours_are_shown(result, made):
    assert result.record.slice.from_feet == 4
    assert sorted(made) == [2, 3, 4, 5]  # of six slices there is one above the chosen one
    assert [one.InstanceNumber for _, one in sorted(made.items())] == [1, 2, 3, 4]
    assert neighbours(10, 30) == range(10 - AROUND, 11 + AROUND)
    assert neighbours(0, 30) == range(0, 1 + AROUND)


def test_every_slice_on_request(scan, tmp_path):
    every = captures(result_of(scan[0], every_slice=True), tmp_path / "out")
    assert sorted(every) == list(range(6))


def test_every_picture_is_of_the_size_of_its_neighbours(made):
    assert len({one.pixel_array.shape for one in made.values()}) == 1


def test_a_picture_lies_where_its_slice_does(scan, made):
    headers = {float(one.ImagePositionPatient[2]): one for one in map(pydicom.dcmread, scan[1])}
    for z, one in made.items():
        own = headers[-300.25 + 4.0 * z]
        assert one.SourceImageSequence[0].ReferencedSOPInstanceUID == own.SOPInstanceUID
        assert one.FrameOfReferenceUID == FRAME_OF_REFERENCE
        assert list(one.ImageOrientationPatient) == list(own.ImageOrientationPatient)
        assert list(one.PatientOrientation) == ["L", "P"]
        assert one.SliceThickness == 4.0
        # 96 pixels of 4 mm are enlarged five times: 0.8 mm each. The slice's own edge is where its picture's is.
        assert list(one.PixelSpacing) == [0.8, 0.8]
        column = (own.ImagePositionPatient[0] - 2.0 + 0.4 - one.ImagePositionPatient[0]) / 0.8
        assert column == pytest.approx(0.0)
        assert one.ImagePositionPatient[2] == own.ImagePositionPatient[2]


def test_the_heat_lies_where_the_lesion_is(made):
    # The lesion's middle is pixel (40, 28) of 4 mm from (-190, -180.5).
    assert middle_of_the_heat(made[4]) == pytest.approx([-190.0 + 28 * 4, -180.5 + 40 * 4, -284.25], abs=1.0)
    assert not reds(made[2].pixel_array)[:, : -secondary_capture.SCALE].any()


def test_a_slice_that_is_large_enough_is_not_enlarged(tmp_path):
    factor = secondary_capture.READABLE // 96 + 1
    hu = np.kron(chest_hu(LESION), np.ones((1, factor, factor), np.int16))
    source(tmp_path / "scan", hu, spacing=(0.8, 0.8))
    made = captures(result_of(tmp_path / "scan"), tmp_path / "out")[4]
    assert list(made.PixelSpacing) == [0.8, 0.8]
    assert made.ImagePositionPatient[0] == -190.0
    assert made.Columns == 96 * factor + secondary_capture.SCALE


@pytest.mark.parametrize("turned", ["feet first", "wide"])
def test_heat_lies_where_the_lesion_is_however_the_scan_is_stored(tmp_path, turned):
    hu = chest_hu(LESION)
    if turned == "feet first":
        options = {"PatientPosition": "FFS", "across": (-1, 0, 0), "step": (0, 0, -4.0)}
        middle = [-190.0 - 28 * 4, -180.5 + 40 * 4, -300.25 - 16.0]
    else:  # more columns than rows, and pixels that are not square
        hu, options = hu[:, 12:90], {"spacing": (4.0, 3.0)}
        middle = [-190.0 + 28 * 3, -180.5 + 28 * 4, -284.25]
    source(tmp_path / "scan", hu, **options)
    made = captures(result_of(tmp_path / "scan"), tmp_path / "out")
    assert middle_of_the_heat(pydicom.dcmread(tmp_path / "out" / secondary_capture.FILE)) == pytest.approx(
        middle, abs=2.0
    )
    assert all(one.PatientOrientation[1] == "P" for one in made.values())


def test_a_frame_of_an_enhanced_object_is_named(tmp_path):
    enhanced_source(tmp_path, chest_hu(LESION))
    made = captures(result_of(tmp_path / "enhanced.dcm"), tmp_path / "out")
    assert [one.SourceImageSequence[0].ReferencedFrameNumber for _, one in sorted(made.items())] == [3, 4, 5, 6]
    for path in (tmp_path / "out").glob("*.dcm"):
        assert errors_of("dciodvfy", path, options=["-new"]) == []


def test_what_is_burned_in_is_told_and_the_sources_facts_stay(made):
    for one in made.values():
        assert one.BurnedInAnnotation == "YES"
        assert one.PhotometricInterpretation == "RGB"
        assert (one.Laterality, one.LossyImageCompression) == ("U", "01")
        assert one.ConversionType == "WSD"


def test_the_words_say_class_probability_model_and_purpose(result, monkeypatch):
    said = []
    draw = secondary_capture.write_line
    monkeypatch.setattr(secondary_capture, "write_line", lambda *told: (said.append(told[2]), draw(*told)))
    picture(result, 3)
    text = " ".join(said)
    for part in ("positive 1.00", "negative 0.00", "Infection probability", "model triple eeeeeeeeeeee."):
        assert part in text
    assert "Slice 3 (0 at the feet, 5 at the head), 1 below the one chosen." in said
    assert "It does not depend on the class predicted." in text
    assert "Research use only" in text and "not a medical device" in text
    assert "Cyan outline: infection by triple." not in said  # this slice has none
    picture(result, 4)
    assert "Cyan outline: infection by triple." in said


def test_nothing_burned_in_hides_the_slice(result):
    made = picture(result, 2)
    (down, right), factor = made.corner, made.enlarged
    image = result.shown[2].image
    inside = made.picture[down : down + 96 * factor, right : right + 96 * factor]
    assert (inside[..., 0] == inside[..., 1]).all()  # no heat on this slice, and no word
    assert np.abs(inside[2::5, 2::5, 0].astype(int) - image).max() <= 1  # the middle of each enlarged pixel


def test_a_3d_method_shows_the_slices_between_its_frames(scan, tmp_path):
    made = captures(result_of(scan[0], model=marker(frames=6, method="resnet3d")), tmp_path / "out")
    assert sorted(made) == [2, 3, 4, 5]
    assert reds(made[4].pixel_array)[:, : -secondary_capture.SCALE].any()


def test_slices_are_held_only_where_an_output_needs_them(scan):
    assert needed_by(["sc"]) == Keep(segments=True, instances=True, shown=True)
    held = predict(scan[0], marker(), keep=Keep(segments=True, instances=True))
    assert held.shown is None
    with pytest.raises(NotDicom, match="slices to be shown"):
        list(secondary_capture.secondary_captures(held))


def test_heat_of_neighbours_changes_no_measure(scan):
    without = predict(scan[0], marker(), keep=Keep(instances=True))
    shown = predict(scan[0], marker(), keep=Keep(instances=True, shown=True))
    plain = [one.record.model_dump(exclude={"timings_ms"}) for one in (without, shown)]
    assert plain[0] == plain[1]


def test_a_scan_that_is_no_dicom_has_its_slices_too():
    hu, _, infection, geometry = chest(lesion=LESION)
    hu = np.where(infection > 0, MARKED_HU, hu).astype(np.int16)
    held = predict(Scan(hu, geometry, Source("nifti", "x")), marker(), keep=Keep(shown=True))
    chosen = held.record.slice.from_feet
    assert held.shown.slices == neighbours(chosen, 6)
    np.testing.assert_array_equal(held.shown[chosen].image, held.image)
    np.testing.assert_array_equal(held.shown[chosen].heat, held.heat)
    with pytest.raises(NotDicom):
        list(secondary_capture.secondary_captures(replace(held, instances=None)))
    assert FORMATS["sc"].is_dicom


# --- the evidence for the class, where the map is the same whatever class ---------------------------


@pytest.fixture(scope="module")
def two_maps(scan):
    return result_of(scan[0], model=marker(evidence=True))


@pytest.fixture(scope="module")
def both(two_maps, tmp_path_factory):
    """The captures of the map and of the evidence, by the slice, and their folder."""
    folder = tmp_path_factory.mktemp("both") / "out"
    write(two_maps, folder, ["sc", "sr", "kos"])
    files = secondary_capture.FILE, secondary_capture.EVIDENCE_FILE
    return *(captured(two_maps, folder, file) for file in files), folder


def test_beside_each_picture_of_a_map_without_a_class_stands_one_of_the_evidence(both, made):
    maps, evidence, folder = both
    assert sorted(maps) == sorted(evidence) == [2, 3, 4, 5]
    assert (folder / "class_evidence_capture.dcm").is_file()
    for of_map, of_class in ((maps[z], evidence[z]) for z in maps):
        assert of_map.ImagePositionPatient == of_class.ImagePositionPatient
        assert of_map.PixelSpacing == of_class.PixelSpacing
        assert of_map.InstanceNumber == of_class.InstanceNumber
        (one,), (other,) = of_map.SourceImageSequence, of_class.SourceImageSequence
        assert one.ReferencedSOPInstanceUID == other.ReferencedSOPInstanceUID
    assert len({one.SeriesInstanceUID for one in maps.values()} | {evidence[4].SeriesInstanceUID}) == 2
    assert len({one.SeriesInstanceUID for one in evidence.values()}) == 1
    assert len({one.SOPInstanceUID for one in (*maps.values(), *evidence.values())}) == 8
    assert (maps[4].SeriesNumber, evidence[4].SeriesNumber) == (403, 407)
    assert evidence[4].SeriesDescription == "Evidence for the class (triple). Research use only"
    assert len(made) == 4  # of a model without such a map there are those of its own alone


def test_the_evidence_is_that_of_each_slices_own_class(two_maps, both):
    # The toy model has evidence of 0.25 in the lung for its first class, and of 0.5 for its second.
    shown = [two_maps.shown[z].class_heat for z in (3, 4)]
    assert [(one.target, one.heat.max()) for one in shown] == [(0, 0.25), (1, 0.5)]
    np.testing.assert_array_equal(shown[1].heat, two_maps.class_heat)
    told = {z: one.DerivationDescription for z, one in both[1].items()}
    assert told[4] == "Class evidence for class positive. Research use only"
    assert told[3] == "Class evidence for class negative, the likeliest of this slice. Research use only"


def test_the_evidence_lies_on_the_lung_and_the_map_on_the_lesion(both):
    def colour(made, row, column):
        """Of the middle of a pixel of the slice."""
        head = round((-180.5 - 2.0 + 0.4 - made.ImagePositionPatient[1]) / 0.8)
        return made.pixel_array[head + 5 * row + 2, 5 * column + 2].astype(int)

    of_map, of_class = both[0][4], both[1][4]
    lung, lesion = (40, 70), (40, 28)
    grey = [int(np.ptp(colour(made, *at))) for made, at in ((of_map, lung), (of_class, lesion))]
    coloured = [int(np.ptp(colour(made, *at))) for made, at in ((of_map, lesion), (of_class, lung))]
    assert grey == [0, 0] and min(coloured) > 40


def test_what_is_burned_into_the_evidence_says_what_it_is(two_maps, monkeypatch):
    said = []
    draw = secondary_capture.write_line
    monkeypatch.setattr(secondary_capture, "write_line", lambda *told: (said.append(told[2]), draw(*told)))
    picture(two_maps, 4, which=1)
    text = " ".join(said)
    for part in ("positive 1.00", "Class evidence for class positive", "Colours: share of the class's odds, from 0"):
        assert part in text
    assert "counted for nothing. It is coarse, and not a probability of infection." in text
    assert "Cyan outline: infection by triple." in said and "Research use only" in text
    assert "Infection probability" not in text


def test_report_and_key_objects_name_the_evidence_too(both):
    maps, evidence, folder = both
    report, keys = (pydicom.dcmread(folder / FORMATS[name].files[0]) for name in ("sr", "kos"))

    def named(item):
        for one in item.get("ContentSequence", ()):
            yield from named(one)
        if item.get("ValueType") == "IMAGE":
            yield (
                item.ConceptNameCodeSequence[0].CodeValue if "ConceptNameCodeSequence" in item else "",
                (item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
            )

    explained = {uid for concept, uid in named(report) if concept == "130401"}
    assert explained == {maps[4].SOPInstanceUID, evidence[4].SOPInstanceUID}
    assert {one.SOPInstanceUID for one in (*maps.values(), *evidence.values())} < {uid for _, uid in named(keys)}


def test_validators_find_no_error_in_the_evidence(tmp_path):
    paths = source(tmp_path / "scan", chest_hu(LESION))
    write(result_of(tmp_path / "scan", model=marker(evidence=True)), tmp_path / "out", ["sc", "sr", "kos"])
    made = sorted((tmp_path / "out").glob("*.dcm"))
    assert len(made) == 10
    for path in made:
        assert errors_of("dciodvfy", path, options=["-new"]) == []
    assert errors_of("dcentvfy", *paths, *made) == []


def test_of_a_whole_scan_the_evidence_is_that_of_the_chosen_slice_and_its_neighbours(scan, tmp_path):
    every = result_of(scan[0], every_slice=True, model=marker(evidence=True), slice_from_feet=4)
    assert sorted(captures(every, tmp_path / "out")) == list(range(6))
    evidence = captured(every, tmp_path / "out", secondary_capture.EVIDENCE_FILE)
    assert sorted(evidence) == [2, 3, 4, 5]
    assert evidence[4].DerivationDescription.startswith("Class evidence for class positive.")
    assert every.shown[4].class_heat.heat.max() == pytest.approx(0.5, abs=1 / 255)
    assert every.shown[1].class_heat is None


def test_a_3d_methods_evidence_is_that_of_the_scan(scan, tmp_path):
    found = result_of(scan[0], model=marker(frames=6, method="resnet3d", evidence=True))
    captures(found, tmp_path / "out")
    evidence = captured(found, tmp_path / "out", secondary_capture.EVIDENCE_FILE)
    assert sorted(evidence) == [2, 3, 4, 5]
    assert {one.DerivationDescription for one in evidence.values()} == {
        "Class evidence for class positive. Research use only"
    }


def test_the_evidence_asks_the_network_nothing_more(scan, monkeypatch):
    asked = []
    answer = TorchRuntime.answer
    monkeypatch.setattr(
        TorchRuntime, "answer", lambda self, images, *more: (asked.append(len(images)), answer(self, images, *more))[1]
    )
    counts = []
    for evidence in (False, True):
        asked.clear()
        predict(scan[0], marker(evidence=evidence), keep=needed_by(["sc"]))
        counts.append(sum(asked))
    assert counts[0] == counts[1] == 6
