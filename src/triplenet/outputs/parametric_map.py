"""Where the model looked, as DICOM Parametric Maps: the values themselves, on the scan's grid.

One slice, or the whole scan where every slice was explained and the slices are evenly spaced. Readers that look at no
frame's position take the frames to lie one after the other along rows x columns, which is therefore their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.sr.coding import Code

from triplenet.inference.result import EverySlice, Result
from triplenet.outputs.dicom_objects import (
    RESEARCH,
    ObjectKind,
    Plane,
    arguments,
    coded,
    finish,
    import_highdicom,
    nearest,
    place_frames,
    plane_of,
    references,
    source_position,
    write_object,
)
from triplenet.outputs.dicom_segmentation import LUNG
from triplenet.outputs.long_string import long_string
from triplenet.outputs.output_formats import FORMATS
from triplenet.outputs.own_grid import own_geometry, own_slices
from triplenet.outputs.report_codes import NO_UNITS

PM = ObjectKind("pm", 2, "Visual explanation")
FILE, SECOND_FILE = FORMATS["pm"].files
CLASS_ACTIVATION = Code("130402", "DCM", "Class activation")
GRADIENT_WEIGHTED = Code("130403", "DCM", "Gradient-weighted class activation")
SALIENCY = Code("130404", "DCM", "Saliency")
QUANTITIES: Mapping[str, Code] = {
    **dict.fromkeys(("attention", "abn-map", "cam", "eigen-cam", "score-cam"), CLASS_ACTIVATION),
    **dict.fromkeys(("grad-cam", "grad-cam++", "hirescam", "layer-cam", "class"), GRADIENT_WEIGHTED),
    **dict.fromkeys(("occlusion", "integrated-gradients"), SALIENCY),
}
"""What a map's values are (CID 7180), by the method's explanation or the kind of map"""
_CLASS = "class"

Heat = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Map:
    """One map of a result."""

    number: int
    file: str
    title: str
    quantity: str
    code: Code
    values: Heat
    """(N, Y, X) in 0..1, rising along rows x columns"""
    planes: tuple[tuple[float, float, float], ...]
    """First pixel of each frame, mm"""
    plane: Plane
    on_source: bool
    """Whether the frames lie on slices of the source"""


def write_parametric_maps(result: Result, folder: Path) -> None:
    """Write the map, and for a method whose map is the same whatever class that of the class's evidence beside it."""
    for file, made in parametric_maps(result).items():
        write_object(made, folder / file)


def parametric_maps(result: Result) -> dict[str, Any]:
    """The objects by the name of their file.

    :raises NotDicom: the result is of no DICOM scan
    :raises MissingExtra: highdicom is not installed
    """
    hd = import_highdicom()
    return {one.file: _object(hd, one, result) for one in _maps(result)}


def _maps(result: Result) -> Iterator[_Map]:
    record, every = result.record, result.every_slice
    run = every if every is not None and own_geometry(result).is_even else None
    told = record.explanation
    values = result.heat if run is None else _volume(result, run, run.heat)
    yield _map(result, 1, FILE, told.title, told.quantity, QUANTITIES[told.kind], values)
    second = record.class_evidence
    if second is not None and result.class_heat is not None:
        values = result.class_heat
        if run is not None and run.class_heat is not None:
            values = _volume(result, run, run.class_heat)
        yield _map(result, 2, SECOND_FILE, second.title, second.quantity, QUANTITIES[_CLASS], values)


def _map(result: Result, number: int, file: str, title: str, quantity: str, code: Code, values: Heat) -> _Map:
    """:param values: (Y, X) of the slice that is shown, or (Z, Y, X) of the scan in its own orientation"""
    how, geometry = result.reorientation, own_geometry(result)
    if values.ndim == 3:
        slices, frames = range(len(values)), values
    elif how.keeps_slices:
        slices = range(at := how.undo_index(result.record.slice.from_feet, geometry.shape[0]), at + 1)
        frames = how.undo(values[None])
    else:  # an axial slice of a scan in other slices: a plane of its own
        plane = plane_of(result.geometry, 0)
        return _Map(number, file, title, quantity, code, values[None], (plane.position,), plane, on_source=False)
    positions = tuple(source_position(result, z) for z in slices)
    frames = np.ascontiguousarray(frames, dtype=np.float32)
    return _Map(number, file, title, quantity, code, frames, positions, plane_of(geometry, 0), on_source=True)


def _volume(result: Result, every: EverySlice, heats: npt.NDArray[np.uint8]) -> Heat:
    """(Z, Y, X) of the scan in its own orientation."""
    return own_slices(result, [every.on_slice(heat) for heat in heats], np.float32)


def _object(hd: Any, one: _Map, result: Result) -> Any:
    patient = hd.CoordinateSystemNames.PATIENT
    elsewhere = {}
    if not one.on_source:
        thickness = result.geometry.spacing_mm[0]
        elsewhere = {
            "pixel_measures": hd.PixelMeasuresSequence(one.plane.spacing_mm, thickness, thickness),
            "plane_orientation": hd.PlaneOrientationSequence(patient, one.plane.orientation),
        }
    made = hd.pm.ParametricMap(
        references(result),
        one.values,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            hd.pm.RealWorldValueMapping(
                lut_label="EXPLANATION",
                lut_explanation=long_string(one.quantity),
                unit=NO_UNITS,
                value_range=(0.0, 1.0),
                quantity_definition=one.code,
            )
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1.0)],
        plane_positions=[hd.PlanePositionSequence(patient, position) for position in one.planes],
        content_label="EXPLANATION",
        content_description=long_string(one.title, after=f". {RESEARCH}"),
        **elsewhere,
        **arguments(result, PM, one.number),
    )
    _put_in_order(made, one)
    if one.on_source:
        place_frames(made, result)
    anatomy = Dataset()
    anatomy.FrameLaterality, anatomy.AnatomicRegionSequence = "B", [coded(LUNG[:3])]
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    finish(made, result, PM)
    return made


def _put_in_order(made: Dataset, one: _Map) -> None:
    """Let the frames rise along rows x columns, as they were given; highdicom writes them falling."""
    positions = np.array(one.planes)
    groups = made.PerFrameFunctionalGroupsSequence
    frames = sorted(groups, key=lambda frame: nearest(positions, frame.PlanePositionSequence[0]))
    for number, frame in enumerate(frames, start=1):
        (content,) = frame.FrameContentSequence
        content.DimensionIndexValues = [number]
    made.PerFrameFunctionalGroupsSequence = frames
    made.FloatPixelData = one.values.astype("<f4").tobytes()
