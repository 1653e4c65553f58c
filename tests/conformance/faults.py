"""Deliberate faults of each format, one of which a judge must see: else the suite says nothing."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from pydicom import Dataset

from outputs.dicom_results import Array
from outputs.report_readers import items
from triplenet.outputs import FORMATS

Fault = Callable[[Path], None]
"""Spoils the format's file"""
OTHER = "2.25.1"


def on_dataset(change: Callable[[Dataset], None]) -> Fault:
    """A fault of a DICOM object."""

    def spoil(path: Path) -> None:
        made = pydicom.dcmread(path)
        change(made)
        made.save_as(path)

    return spoil


def drop(keyword: str) -> Fault:
    return on_dataset(lambda made: made.__delitem__(keyword))


def put(keyword: str, value: Any) -> Fault:
    return on_dataset(lambda made: setattr(made, keyword, value))


def _frames(made: Dataset) -> list[Dataset]:
    return list(made.PerFrameFunctionalGroupsSequence)


def _shift(made: Dataset) -> None:
    """A frame lies one slice higher than it is."""
    position = _frames(made)[0].PlanePositionSequence[0]
    x, y, z = map(float, position.ImagePositionPatient)
    position.ImagePositionPatient = [x, y, z + 4.0]


def _shift_all(made: Dataset) -> None:
    """All frames lie one pixel farther left."""
    for frame in _frames(made):
        position = frame.PlanePositionSequence[0]
        x, y, z = map(float, position.ImagePositionPatient)
        position.ImagePositionPatient = [x + 4.0, y, z]


def _mirrored(made: Dataset) -> None:
    """Right is left."""
    (orientation,) = made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    orientation.ImageOrientationPatient = [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def _spacing(made: Dataset) -> None:
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [4.0, 4.1]


def _thickness(made: Dataset) -> None:
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness = 5.0


def _another_source(made: Dataset) -> None:
    """A frame says that it lies on the slice of another one."""
    images = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in _frames(made)]
    told = {image.ReferencedSOPInstanceUID for image in images}
    series = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    other = next(one.ReferencedSOPInstanceUID for one in series if {one.ReferencedSOPInstanceUID} != told)
    was = images[0].ReferencedSOPInstanceUID
    images[0].ReferencedSOPInstanceUID = other if other != was else series[-1].ReferencedSOPInstanceUID


def _device(made: Dataset) -> None:
    for item in made.ContributingEquipmentSequence:
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102":
            item.DeviceUID = OTHER


COMMON: Mapping[str, Fault] = {
    "no patient's birth date": drop("PatientBirthDate"),
    "another patient's name": put("PatientName", "Other^Person"),
    "another study": put("StudyInstanceUID", OTHER),
    "another model's device": on_dataset(_device),
    "not said to be for research": put("SeriesDescription", "Result"),
}


def _bits(made: Dataset) -> Array:
    """(F, Y, X)"""
    bits = np.unpackbits(np.frombuffer(made.PixelData, "u1"), bitorder="little")
    return bits[: made.NumberOfFrames * made.Rows * made.Columns].reshape(-1, made.Rows, made.Columns)


def on_bits(change: Callable[[Array], Array]) -> Fault:
    def spoil(made: Dataset) -> None:
        made.PixelData = np.packbits(change(_bits(made)).ravel(), bitorder="little").tobytes()

    return on_dataset(spoil)


def _swap_frames(values: Array) -> Array:
    return values[[1, 0, *range(2, len(values))]]


def _swap_segments(made: Dataset) -> None:
    for frame in _frames(made):
        (told,) = frame.SegmentIdentificationSequence
        told.ReferencedSegmentNumber = 3 - told.ReferencedSegmentNumber


def _swap_labels(made: Dataset) -> None:
    one, two = made.SegmentSequence
    one.SegmentLabel, two.SegmentLabel = two.SegmentLabel, one.SegmentLabel


def _one_lung(made: Dataset) -> None:
    """An infection of the left lung alone."""
    left = Dataset()
    left.CodeValue, left.CodingSchemeDesignator, left.CodeMeaning = "7771000", "SCT", "Left"
    made.SegmentSequence[0].AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [left]


def _code(sequence: str, value: str) -> Fault:
    """Another code in the first segment."""
    return on_dataset(lambda made: setattr(made.SegmentSequence[0][sequence].value[0], "CodeValue", value))


SEG = {
    "one frame lies on the next slice": on_dataset(_shift),
    "all frames lie a pixel aside": on_dataset(_shift_all),
    "left is right in the pixels": on_bits(lambda one: one[:, :, ::-1]),
    "front is back in the pixels": on_bits(lambda one: one[:, ::-1]),
    "left is right in the orientation": on_dataset(_mirrored),
    "two frames swapped": on_bits(_swap_frames),
    "one voxel more": on_bits(lambda one: np.where(np.arange(one.size).reshape(one.shape) == 0, 1, one)),
    "the segments of the frames swapped": on_dataset(_swap_segments),
    "the labels of the segments swapped": on_dataset(_swap_labels),
    "the infection called another thing": _code("SegmentedPropertyTypeCodeSequence", "52988006"),
    "the infection in the left lung": on_dataset(_one_lung),
    "wider pixels": on_dataset(_spacing),
    "thicker slices": on_dataset(_thickness),
    "a frame of another slice": on_dataset(_another_source),
    "another tracking identifier": on_dataset(lambda made: setattr(made.SegmentSequence[0], "TrackingUID", OTHER)),
    "no kind of segmentation": drop("SegmentationType"),
    "another frame of reference": put("FrameOfReferenceUID", OTHER),
}


def _floats(change: Callable[[Array], Array]) -> Fault:
    def spoil(made: Dataset) -> None:
        values = np.frombuffer(made.FloatPixelData, "<f4").reshape(-1, made.Rows, made.Columns)
        made.FloatPixelData = np.ascontiguousarray(change(values), "<f4").tobytes()

    return on_dataset(spoil)


def _mapping(keyword: str, value: float) -> Fault:
    def spoil(made: Dataset) -> None:
        setattr(made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0], keyword, value)

    return on_dataset(spoil)


def _quantity(made: Dataset) -> None:
    (mapping,) = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue = "130404"


def _from_above(made: Dataset) -> None:
    """The frames from the head to the feet, as highdicom alone writes them."""
    values = np.frombuffer(made.FloatPixelData, "<f4").reshape(-1, made.Rows, made.Columns)
    made.FloatPixelData = np.ascontiguousarray(values[::-1]).tobytes()
    made.PerFrameFunctionalGroupsSequence = _frames(made)[::-1]


def _laterality(made: Dataset) -> None:
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].FrameLaterality = "L"


PM = {
    "one frame lies on the next slice": on_dataset(_shift),
    "all frames lie a pixel aside": on_dataset(_shift_all),
    "left is right in the values": _floats(lambda one: one[:, :, ::-1]),
    "front is back in the values": _floats(lambda one: one[:, ::-1]),
    "left is right in the orientation": on_dataset(_mirrored),
    "two frames swapped": _floats(lambda one: one[[*range(len(one) - 2), -1, -2]]),
    "a tenth less": _floats(lambda one: one * np.float32(0.9)),
    "scaled by its mapping": _mapping("RealWorldValueSlope", 0.5),
    "another quantity": on_dataset(_quantity),
    "from the head to the feet": on_dataset(_from_above),
    "another laterality": on_dataset(_laterality),
    "wider pixels": on_dataset(_spacing),
    "a frame of another slice": on_dataset(_another_source),
    "no body part": drop("BodyPartExamined"),
    "another frame of reference": put("FrameOfReferenceUID", OTHER),
}


def _pixels(change: Callable[[Array], Array]) -> Fault:
    def spoil(made: Dataset) -> None:
        picture = made.pixel_array
        made.PixelData = np.ascontiguousarray(change(picture), np.uint8).tobytes()

    return on_dataset(spoil)


def _place(at: int, by: float) -> Fault:
    def spoil(made: Dataset) -> None:
        position = [float(one) for one in made.ImagePositionPatient]
        position[at] += by
        made.ImagePositionPatient = position

    return on_dataset(spoil)


def _source_image(made: Dataset) -> None:
    """A slice without a lesion."""
    (image,) = made.SourceImageSequence
    image.ReferencedSOPInstanceUID = OTHER


SC = {
    "half a slice's width aside": _place(0, 8.0),
    "lower in the patient": _place(1, 8.0),
    "left is right in the picture": _pixels(lambda one: one[:, ::-1]),
    "front is back in the picture": _pixels(lambda one: one[::-1]),
    "red is blue": _pixels(lambda one: one[..., ::-1]),
    "grey alone": _pixels(lambda one: np.repeat(one[..., 1:2], 3, axis=2)),
    "left is right in the orientation": put("ImageOrientationPatient", [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
    "wider pixels": put("PixelSpacing", [0.8, 0.9]),
    "another laterality": put("Laterality", "L"),
    "nothing said to be burned in": put("BurnedInAnnotation", "NO"),
    "of a slice that is not there": on_dataset(_source_image),
    "planes of colours": put("PlanarConfiguration", 1),
    "no way of its making": drop("ConversionType"),
    "another frame of reference": put("FrameOfReferenceUID", OTHER),
}


def _graphics(made: Dataset) -> list[Dataset]:
    return [one for item in made.GraphicAnnotationSequence for one in item.GraphicObjectSequence]


def _lines(change: Callable[[Array], Array]) -> Fault:
    """Another outline, of (n, 2) columns and rows."""

    def spoil(made: Dataset) -> None:
        for one in _graphics(made):
            points = change(np.array(one.GraphicData, float).reshape(-1, 2))
            one.GraphicData, one.NumberOfGraphicPoints = points.ravel().tolist(), len(points)

    return on_dataset(spoil)


def _drawn_elsewhere(made: Dataset) -> None:
    images = [item.ReferencedImageSequence[0] for item in made.GraphicAnnotationSequence]
    one, *others = (image.ReferencedSOPInstanceUID for image in images)
    for image, uid in zip(images, [*others, one], strict=True):
        image.ReferencedSOPInstanceUID = uid


def _windowed(made: Dataset) -> None:
    window = Dataset()
    window.WindowCenter, window.WindowWidth = "40", "400"
    made.SoftcopyVOILUTSequence = [window]


def _one_more(made: Dataset) -> None:
    for one in _graphics(made):
        one.NumberOfGraphicPoints += 1


def _area(made: Dataset) -> None:
    made.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner = [48, 96]


GSPS = {
    "a pixel to the side": _lines(lambda one: np.add(one, [1, 0])),
    "a pixel lower": _lines(lambda one: np.add(one, [0, 1])),
    "left is right": _lines(lambda one: np.add([96, 0], np.multiply([-1, 1], one))),
    "front is back": _lines(lambda one: np.add([0, 96], np.multiply([1, -1], one))),
    "columns and rows swapped": _lines(lambda one: one[:, ::-1]),
    "outlines left open": _lines(lambda one: one[:-1]),
    "outlines of pixels' middles": _lines(lambda one: one - 0.5),
    "drawn on each other's slices": on_dataset(_drawn_elsewhere),
    "a window of its own": on_dataset(_windowed),
    "one point too many is told": on_dataset(_one_more),
    "half of the slice displayed": on_dataset(_area),
    "no layer": drop("GraphicLayerSequence"),
    "no number": drop("InstanceNumber"),
    "another class of object": put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.11.2"),
}


def on_item(code: str, change: Callable[[Dataset], None], at: int = 0) -> Fault:
    """A fault of a content item of a name."""
    return on_dataset(lambda made: change(list(items(made, code))[at]))


def _value(value: str) -> Callable[[Dataset], None]:
    return lambda item: setattr(item.MeasuredValueSequence[0], "NumericValue", value)


def _unit(item: Dataset) -> None:
    (unit,) = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence
    unit.CodeValue, unit.CodeMeaning = "mm3", "cubic millimeter"


def _said(meaning: str, value: str) -> Callable[[Dataset], None]:
    def spoil(item: Dataset) -> None:
        (code,) = item.ConceptCodeSequence
        code.CodeMeaning, code.CodeValue = meaning, value

    return spoil


def _pointed(item: Dataset) -> None:
    item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = OTHER


def _segment(item: Dataset) -> None:
    told = item.ReferencedSOPSequence[0]
    told.ReferencedSegmentNumber = 3 - told.ReferencedSegmentNumber


def _without(code: str) -> Fault:
    """The first content item of a name is gone."""

    def spoil(made: Dataset) -> None:
        for dataset in (made, *items(made, "126010"), *items(made, "125007")):
            for item in dataset.ContentSequence:
                names = item.get("ConceptNameCodeSequence")
                if names and names[0].CodeValue == code:
                    dataset.ContentSequence = [one for one in dataset.ContentSequence if one is not item]
                    return

    return on_dataset(spoil)


def _classes_swapped(made: Dataset) -> None:
    one, two = (next(items(item, "121071")).ConceptCodeSequence for item in items(made, "122157"))
    one[0].CodeMeaning, two[0].CodeMeaning = two[0].CodeMeaning, one[0].CodeMeaning


SR = {
    "another probability": on_item("122157", _value("0.25")),
    "the probabilities of the classes swapped": on_dataset(_classes_swapped),
    "another class": on_item("121071", _said("negative", "5B22EE55D82D1F44"), at=2),
    "no infection": on_item("233604007", _said("Absent", "2667000")),
    "another volume": on_item("118565006", _value("33.3")),
    "a volume in mm3": on_item("118565006", _unit),
    "another share": on_item("INFECTED_SHARE", _value("0.0524")),
    "the segments swapped": on_item("121191", _segment),
    "another tracking identifier": on_item("112040", lambda item: setattr(item, "UID", OTHER), at=1),
    "an explanation that is not there": on_item("130401", _pointed),
    "the explanation left out": _without("130401"),
    "another side": on_item("363698007", _said("Left lung", "44029006")),
    "a slice that is not the chosen one": on_item("121112", _pointed),
    "another procedure": on_item("121058", _said("MR", "24627-2")),
    "another device": on_item("121012", lambda item: setattr(item, "UID", OTHER)),
    "another version": on_item("111003", lambda item: setattr(item, "TextValue", "9")),
    "no image library": _without("111028"),
    "no template": drop("ContentTemplateSequence"),
    "verified by somebody": put("VerificationFlag", "VERIFIED"),
}


def _fewer(made: Dataset) -> None:
    last = next(item for item in reversed(made.ContentSequence) if "ReferencedSOPSequence" in item)
    made.ContentSequence = [item for item in made.ContentSequence if item is not last]


def _named(made: Dataset) -> Dataset:
    return next(item for item in made.ContentSequence if "ReferencedSOPSequence" in item)


def _twice(made: Dataset) -> None:
    made.ContentSequence = [*made.ContentSequence, _named(made)]


def _other_class(made: Dataset) -> None:
    _named(made).ReferencedSOPSequence[0].ReferencedSOPClassUID = pydicom.uid.MRImageStorage


def _title(made: Dataset) -> None:
    (title,) = made.ConceptNameCodeSequence
    title.CodeValue, title.CodeMeaning = "113000", "Of Interest"


KOS = {
    "one object not named": on_dataset(_fewer),
    "an object that is not there": on_dataset(lambda made: _pointed(_named(made))),
    "an object named twice": on_dataset(_twice),
    "another class of object": on_dataset(_other_class),
    "another title": on_dataset(_title),
    "no evidence": drop("CurrentRequestedProcedureEvidenceSequence"),
    "another class said": on_item("113012", lambda item: setattr(item, "TextValue", "negative 1.00")),
    "no template": drop("ContentTemplateSequence"),
    "continuity of content": drop("ContinuityOfContent"),
    "another modality": put("Modality", "SR"),
    "no number": drop("InstanceNumber"),
}


def _image(change: Callable[[Array, Array], tuple[Array, Array]], file: str = "infection.nii.gz") -> Fault:
    """Other values (X, Y, Z) or another affine (4, 4) of a NIfTI volume."""

    def spoil(path: Path) -> None:
        path = path.with_name(file)
        image = nibabel.load(path)  # type: ignore[attr-defined]
        values, affine = change(np.asarray(image.dataobj), image.affine.copy())
        made = nibabel.Nifti1Image(values, affine, image.header)
        made.set_sform(affine, 1)
        made.set_qform(affine, 1)
        nibabel.save(made, path)  # type: ignore[attr-defined]

    return spoil


def _moved(axis: int) -> Callable[[Array, Array], tuple[Array, Array]]:
    def change(values: Array, affine: Array) -> tuple[Array, Array]:
        affine[axis, 3] += 4.0
        return values, affine

    return change


def _swap_files(path: Path) -> None:
    one, two = (path.with_name(name) for name in ("infection.nii.gz", "lung.nii.gz"))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def _no_place(path: Path) -> None:
    path = path.with_name("infection.nii.gz")
    image = nibabel.load(path)  # type: ignore[attr-defined]
    image.header["sform_code"] = image.header["qform_code"] = 0
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)  # type: ignore[attr-defined]


def _cut(path: Path) -> None:
    path = path.with_name("lung.nii.gz")
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[: len(content) // 2]))


NIFTI = {
    "left is right in the values": _image(lambda values, affine: (values[::-1], affine)),
    "front is back in the values": _image(lambda values, affine: (values[:, ::-1], affine)),
    "feet are head in the values": _image(lambda values, affine: (values[:, :, ::-1], affine)),
    "left is right in the affine": _image(lambda values, affine: (values, affine @ np.diag([-1.0, 1, 1, 1]))),
    "a pixel to the side": _image(_moved(0)),
    "a slice higher": _image(_moved(2)),
    "infection and lung swapped": _swap_files,
    "one voxel more": _image(
        lambda values, affine: (np.where(np.arange(values.size).reshape(values.shape) == 0, 1, values), affine)
    ),
    "the map a tenth less": _image(lambda values, affine: (values * 0.9, affine), "map.nii.gz"),
    "the map on its mirror image": _image(lambda values, affine: (values[::-1], affine), "map.nii.gz"),
    "values of 255": _image(lambda values, affine: ((values * 255).astype(np.uint8), affine)),
    "no place in the patient": _no_place,
    "half of the file": _cut,
    "no map": lambda path: path.with_name("map.nii.gz").unlink(),
}


def _in_json(change: Callable[[dict[str, Any]], Any]) -> Fault:
    def spoil(path: Path) -> None:
        told = json.loads(path.read_text())
        change(told)
        path.write_text(json.dumps(told))

    return spoil


JSON = {
    "no version": _in_json(lambda told: told.pop("version")),
    "a word too many": _in_json(lambda told: told.update(patient="Doe")),
    "another class": _in_json(lambda told: told.update(predicted="negative")),
    "a probability of 2": _in_json(lambda told: told["classes"][0].update(probability=2)),
    "another probability": _in_json(lambda told: told["classes"][0].update(probability=0.5)),
    "a number in words": _in_json(lambda told: told["slice"].update(from_feet="5")),
    "another slice": _in_json(lambda told: told["slice"].update(from_feet=4)),
    "another volume": _in_json(lambda told: told["measures"]["both"]["infection_ml"].update(estimate=1.0)),
    "no measures": _in_json(lambda told: told.update(measures=None)),
    "another model": _in_json(lambda told: told["model"].update(tensors_sha256="f" * 64)),
    "warnings left out": _in_json(lambda told: told.update(warnings=[])),
    "a rule that does not exist": _in_json(lambda told: told["slice"].update(rule="luck")),
}


def _in_csv(column: str, value: str | None) -> Fault:
    def spoil(path: Path) -> None:
        with path.open(newline="") as stream:
            (row,) = csv.DictReader(stream)
        if value is None:
            del row[column]
        else:
            row[column] = value
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, row)
            writer.writeheader()
            writer.writerow(row)

    return spoil


def _two_lines(path: Path) -> None:
    text = path.read_text()
    path.write_text(text + text.splitlines()[-1] + "\n")


CSV = {
    "another class": _in_csv("predicted", "negative"),
    "another slice": _in_csv("slice", "4"),
    "another probability": _in_csv("p_positive", "0.5"),
    "the other class's probability": _in_csv("p_negative", "1"),
    "another volume": _in_csv("infected_ml", "33.3"),
    "another lower bound": _in_csv("infected_ml_low", "0"),
    "another upper bound": _in_csv("infected_ml_high", "1e9"),
    "another share": _in_csv("infected_share", "5.24"),
    "no column of the class": _in_csv("predicted", None),
    "no column of a probability": _in_csv("p_positive", None),
    "two lines": _two_lines,
}


def _in_html(was: str, is_: str) -> Fault:
    """Other words, once."""

    def spoil(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert was in text
        path.write_text(text.replace(was, is_, 1), encoding="utf-8")

    return spoil


HTML = {
    "another class": _in_html("<h1>positive", "<h1>negative"),
    "another probability": _in_html("<h1>positive 1.00", "<h1>positive 0.50"),
    "a name": _in_html("<h2", "<p>Secret^Person</p><h2"),
    "a script": _in_html("</main>", "<script>1</script></main>"),
    "a picture from elsewhere": _in_html('src="data:', 'src="picture.png?data:'),
    "a link to elsewhere": _in_html("</main>", '<a href="elsewhere.html">more</a></main>'),
    "no section of maps": _in_html('id="maps"', 'id="map"'),
    "another slice in the record": _in_html("<td>largest predicted infection</td>", "<td>given</td>"),
    "a warning left out": _in_html("Only 24 mm", "Only 42 mm"),
    "an entry left out": _in_html("slice.from_feet", "slice.number"),
    "not said to be for research": _in_html("not a medical device", "a medical device"),
}
FAULTS: Mapping[str, Mapping[str, Fault]] = {
    "seg": SEG | COMMON,
    "pm": PM | COMMON,
    "sc": SC | COMMON,
    "gsps": GSPS | COMMON,
    "sr": SR | COMMON,
    "kos": KOS | COMMON,
    "nifti": NIFTI,
    "json": JSON,
    "csv": CSV,
    "html": HTML,
}
FOR_EYES = {name: "for eyes, not for programs" for name in FORMATS if name not in FAULTS}
"""Formats without deliberate faults, and why"""
