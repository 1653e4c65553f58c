"""What inference says of one scan: a record that can be written as JSON, and the pictures it speaks about.

The record holds no patient identity: no path, no UID, no name. ``identifiers`` is filled in only when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from triplenet.catalog import INTENDED_USE
from triplenet.explanation.overlay import Heat, Mask
from triplenet.inference.aggregation import Aggregate
from triplenet.prepare.sample import SliceTransform
from triplenet.scan import Geometry, HuArray, Reorientation

if TYPE_CHECKING:
    from triplenet.inference.segments import Segments
    from triplenet.inference.shown_slices import ShownSlices
    from triplenet.inference.source_instances import SourceInstances

Rule = Literal[
    "given",
    "only slice",
    "infection mask",
    "lung mask",
    "largest predicted infection",
    "largest predicted lung",
    "largest opacity (thresholds)",
    "largest lung slice (derived lung)",
    "frame with the most evidence",
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class ClassProbability(_Part):
    """One class of the task."""

    name: str
    probability: float = Field(ge=0, le=1)
    positive: bool
    """Whether it counts as disease"""


class ModelInfo(_Part):
    """The model that was used."""

    method: str
    task: str
    title: str
    """The task in words"""
    fold: int
    data_sha256: str
    """Of the prepared set it was trained on"""
    tensors_sha256: str | None
    """Of its weights"""
    file_sha256: str | None = None
    """Of the model file, when it was read from one"""
    runtime: str = "torch"
    """What computed"""
    temperature: float | None = None
    """The model's own, which its probabilities are calibrated by; None where it has none"""


class SliceInfo(_Part):
    """The slice that was classified and is shown; a 3D method classifies all of its frames and shows one."""

    from_feet: int
    """Counted from the feet, from 0"""
    of: int
    """Slices in the scan"""
    in_file: int | None
    """Counted from 0 in the scan's own order; None where the scan's slices are not axial"""
    z_mm: float
    """Height of the slice's centre on the patient's axis to the head (LPS)"""
    rule: Rule
    lung_mm2: float | None
    """Lung area of this slice, the infection in it included, from the mask given or derived by thresholds; not the
    network's (``search.lung_mm2``), and not the scan's largest (``chest.largest_lung_mm2``)"""
    lung_derived: bool
    """Made by thresholds, not by a reader"""
    infection_mm2: float | None
    """Infection area of the mask given; None without one"""


class SliceProbabilities(_Part):
    """One of the slices that the scan is decided by."""

    from_feet: int
    area_mm2: float | None
    """By which it is one of the best: of infection, or of lung where there is none; None where nothing was measured"""
    probabilities: tuple[float, ...]
    """in the order of the classes"""


class DecisionInfo(_Part):
    """How the probabilities of the scan follow from those of its slices; see ``inference.aggregation``."""

    aggregate: Aggregate
    slices: tuple[SliceProbabilities, ...]
    """The best one first"""
    positive_range: tuple[float, float] | None
    """Least and largest probability of disease among the slices; None for a single slice, or a task without disease"""
    positive_sd: float | None
    """Standard deviation of that probability over the slices"""


class BoundedInfo(_Part):
    """An estimate, and the least and the most it is if areas rise or fall steadily between slices looked at."""

    estimate: float
    low: float
    high: float


class LungMeasuresInfo(_Part):
    """Of both lungs or of one."""

    infection_ml: BoundedInfo
    lung_ml: BoundedInfo | None
    """with the infection; None where nobody told what is lung"""
    high_opacity_ml: BoundedInfo | None
    """infection denser than the limit; None where only areas are known"""
    infected_share: BoundedInfo | None
    """of the lung: the percentage of opacity / 100; None without lung"""
    high_opacity_share: BoundedInfo | None
    """of the lung: the percentage of high opacity / 100"""


class MeasuresInfo(_Part):
    """How much of the lung is infected."""

    by: str
    """``mask``, ``thresholds``, or the method of the model that segmented"""
    high_opacity_hu: float
    slices: int
    """looked at"""
    of: int
    both: LungMeasuresInfo
    right: LungMeasuresInfo
    left: LungMeasuresInfo


class OverlapFacts(_Part):
    """The heat map against the infection mask given; see ``explanation.map_scores``."""

    mass_inside: float | None
    peak_inside: bool | None
    dice: float | None


class ExplanationInfo(_Part):
    """The heat map in numbers, at the scan's own resolution, on its absolute scale."""

    kind: str
    title: str
    quantity: str
    """What a value between 0 and 1 is"""
    note: str
    target: str | None
    """Class explained; None for a map that does not depend on one"""
    max: float
    mean_in_lung: float | None
    area_above_half_mm2: float
    overlap: OverlapFacts | None


class ClassEvidenceInfo(_Part):
    """The second heat map in numbers: what speaks for the class, of a method whose first map is the same for all."""

    title: str
    quantity: str
    note: str
    target: str
    """Class explained: the likeliest of the slice"""
    max: float
    mean_in_lung: float | None


class ScanInfo(_Part):
    """The scan, without anything that tells whose it is."""

    format: str
    shape: tuple[int, int, int]
    """(Z, Y, X), axial"""
    spacing_mm: tuple[float, float, float]
    """(Z, Y, X)"""
    notes: tuple[str, ...] = ()
    choice: str = ""
    """Which series was used and why, in words; empty for a file that holds one volume"""
    series: tuple[str, ...] = ()
    """The reasons with the points that each gave"""
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    slice_sha256: str
    """Of the slice's Hounsfield units: int16, little endian, rows to the back, columns to the left"""
    image_sha256: str
    """Of the uint8 image the network read, (size, size), or its frames (T, size, size)"""


class ChestInfo(_Part):
    """The lungs that were found in the slices that were read: whether this is a chest, and how much of it.

    No measure of the patient: thresholds leave out dense infection, and slices may have been read by steps.
    """

    right_lung_ml: float
    left_lung_ml: float
    largest_lung_mm2: float
    """Of both lungs' areas in one slice the largest, whichever slice that is"""
    lung_height_mm: float
    by: str
    """thresholds, or lungmask"""


class SearchInfo(_Part):
    """The search for the slice by a network that segments, where no mask told where to look."""

    by: str
    """method of the model that searched: the one that classified, or the one given for it"""
    smallest_lesion_mm: float
    """every lesion so long along the axis was looked at"""
    exhaustive: bool
    """whether every slice was"""
    evaluations: int
    """slices that were looked at"""
    from_feet: tuple[int, ...]
    """which"""
    infection_mm2: tuple[float, ...]
    """predicted, of each, in and around the lungs"""
    outside_mm2: tuple[float, ...] = ()
    """predicted infection far from any lung that thresholds find, of each; it does not count"""
    lung_mm2: tuple[float, ...]
    """the network's own lung class, of each, without the infection: the slice is chosen by it where none shows any"""


class Identifiers(_Part):
    """Whose scan it is, written only when asked for."""

    input: str | None = None
    series: str | None = None


class Record(_Part):
    """``result.json``."""

    format: Literal["triplenet result"] = "triplenet result"
    version: Literal[1] = 1
    intended_use: str = INTENDED_USE
    predicted: str
    positive_probability: float | None = Field(ge=0, le=1)
    """Sum over the classes that count as disease; None for a task without any"""
    classes: tuple[ClassProbability, ...]
    model: ModelInfo
    slice: SliceInfo
    explanation: ExplanationInfo
    class_evidence: ClassEvidenceInfo | None = None
    """None where ``explanation`` is of a class already, and of a model exported before there was such a map"""
    scan: ScanInfo
    decision: DecisionInfo | None = None
    """None for a 3D method, which reads the whole scan at once"""
    measures: MeasuresInfo | None = None
    """None where nothing told infection from lung"""
    unlike_training: tuple[str, ...] = ()
    """In what the scan is unlike those that the model was trained on"""
    search: SearchInfo | None = None
    """None where the slice was chosen in another way"""
    chest: ChestInfo | None = None
    """None where a mask says where the lungs are, or a slice or an infection mask where to look"""
    warnings: tuple[str, ...] = ()
    """What makes the result less trustworthy"""
    versions: dict[str, str]
    timings_ms: dict[str, float]
    identifiers: Identifiers | None = None


class Refusal(_Part):
    """``refused.json``, or an item of a batch: why there is no result."""

    format: Literal["triplenet refusal"] = "triplenet refusal"
    version: Literal[1] = 1
    code: str
    what: str
    do: str | None = None
    identifiers: Identifiers | None = None


@dataclass(frozen=True)
class EverySlice:
    """A scan slice by slice, from the feet; Z slices."""

    z_mm: npt.NDArray[np.float64]
    """(Z,) height on the patient's axis to the head (LPS)"""
    probabilities: npt.NDArray[np.float64]
    """(Z, C)"""
    infection_mm2: npt.NDArray[np.float64] | None
    """(Z,) predicted; None for a method that does not segment, likewise ``lung_mm2``"""
    lung_mm2: npt.NDArray[np.float64] | None
    """(Z,) likewise predicted, without the infection"""
    heat: npt.NDArray[np.uint8]
    """(Z, size, size) in network pixels, 255 for 1"""
    transform: SliceTransform
    """The way back to the slices' own pixels"""
    geometry: Geometry
    """Of the scan in its own orientation, which ``Result.reorientation`` leads back to"""
    class_heat: npt.NDArray[np.uint8] | None = None
    """(Z, size, size) likewise what speaks for each slice's likeliest class, where ``heat`` is of none"""

    def on_slice(self, heat: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Of ``heat`` or ``class_heat`` one slice's, (Y, X) float32 in 0..1 on its own pixels, in steps of 1/255."""
        return self.transform.back_bytes(heat).astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Result:
    """The record and the slice it is about, in canonical orientation: rows to the back, columns to the left."""

    record: Record
    hu: HuArray
    """(Y, X) int16"""
    image: npt.NDArray[np.uint8]
    """(Y, X), windowed as the model has it"""
    heat: Heat
    """(Y, X) float32 in 0..1"""
    lung: Mask | None
    """(Y, X)"""
    infection: Mask | None
    """(Y, X), of the mask given"""
    geometry: Geometry
    """Of the slice as a volume (1, Y, X)"""
    reorientation: Reorientation
    """Undoes the canonical orientation of the whole scan"""
    every_slice: EverySlice | None = None
    """Where it was asked for"""
    own_geometry: Geometry | None = None
    """Of the whole scan in its own orientation"""
    segments: Segments | None = None
    """Of the whole scan, where they were to be kept and something told infection from lung"""
    instances: SourceInstances | None = None
    """The scan's DICOM headers, where they were to be kept; they tell whose scan it is"""
    class_heat: Heat | None = None
    """(Y, X) float32 in 0..1: what speaks for the class, where ``heat`` is the same whatever class; None elsewhere"""
    shown: ShownSlices | None = None
    """The slice and its neighbours, or the whole scan where every slice was explained; where they were to be kept"""
