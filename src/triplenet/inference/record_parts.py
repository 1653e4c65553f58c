"""The parts of a record, each from what it describes; nothing here tells whose scan it is unless it says so."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from triplenet import __version__, catalog
from triplenet.explanation.caption import caption, class_evidence
from triplenet.explanation.map_scores import THRESHOLD, dice, energy_share, pointing_game
from triplenet.inference.aggregation import Decision
from triplenet.inference.measures import Bounded, LungMeasures, Measures
from triplenet.inference.result import (
    BoundedInfo,
    ChestInfo,
    ClassEvidenceInfo,
    ClassProbability,
    DecisionInfo,
    ExplanationInfo,
    Identifiers,
    LungMeasuresInfo,
    MeasuresInfo,
    ModelInfo,
    OverlapFacts,
    ScanInfo,
    SearchInfo,
    SliceInfo,
    SliceProbabilities,
)
from triplenet.inference.runtime import Runtime
from triplenet.inference.search import least_area_mm2
from triplenet.inference.seen import Seen
from triplenet.inference.slice_choice import SliceChoice
from triplenet.model import ModelCard
from triplenet.prepare.chest import Chest
from triplenet.prepare.masks import Masks
from triplenet.scan import APPROXIMATE, Geometry, Reorientation, Series, Source

_UID = re.compile(r"\b\d+(?:\.\d+){3,}(?:#\d+)?")

Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


def class_probabilities(card: ModelCard, probabilities: npt.NDArray[np.float64]) -> tuple[ClassProbability, ...]:
    """One entry a class, in the model's order."""
    return tuple(
        ClassProbability(name=name, probability=float(probability), positive=name in card.task.positive)
        for name, probability in zip(card.classes, probabilities, strict=True)
    )


def positive_probability(card: ModelCard, probabilities: npt.NDArray[np.float64]) -> float | None:
    """The sum over the classes that count as disease; None when none does."""
    chosen = list(card.positive)
    return min(float(probabilities[chosen].sum()), 1.0) if chosen else None


def model_info(runtime: Runtime) -> ModelInfo:
    """What was used."""
    card = runtime.card
    return ModelInfo(
        method=card.method,
        task=card.task.name,
        title=card.task.title,
        fold=card.fold,
        data_sha256=card.data_sha256,
        tensors_sha256=card.tensors_sha256,
        file_sha256=runtime.file_sha256,
        runtime=runtime.name,
        temperature=card.temperature,
    )


def decision_info(decision: Decision, chosen: SliceChoice, card: ModelCard) -> DecisionInfo:
    """How the probabilities of the scan follow from those of its slices."""
    positive, areas = list(card.positive), dict(chosen.shown)
    disease = np.minimum(decision.of_slices[:, positive].sum(axis=1), 1.0)
    several = len(disease) > 1 and bool(positive)
    return DecisionInfo(
        aggregate=decision.aggregate,
        slices=tuple(
            SliceProbabilities(
                from_feet=index,
                area_mm2=None if index not in areas else round(areas[index], 1),
                probabilities=tuple(row.tolist()),
            )
            for index, row in zip(decision.slices, decision.of_slices, strict=True)
        ),
        positive_range=(float(disease.min()), float(disease.max())) if several else None,
        positive_sd=float(disease.std(ddof=1)) if several else None,
    )


def measures_info(measures: Measures | None, by: str, high_hu: float) -> MeasuresInfo | None:
    """How much of the lung is infected, if something told."""
    if measures is None:
        return None
    parts = {name: _lung_measures(getattr(measures, name)) for name in ("both", "right", "left")}
    return MeasuresInfo(by=by, high_opacity_hu=high_hu, slices=measures.slices, of=measures.of, **parts)


def _lung_measures(lung: LungMeasures) -> LungMeasuresInfo:
    return LungMeasuresInfo(
        infection_ml=_bounded(lung.infection_ml, 2),
        lung_ml=None if lung.lung_ml is None else _bounded(lung.lung_ml, 1),
        high_opacity_ml=None if lung.high_opacity_ml is None else _bounded(lung.high_opacity_ml, 2),
        infected_share=None if lung.infected is None else _bounded(lung.infected, 5),
        high_opacity_share=None if lung.high_opacity is None else _bounded(lung.high_opacity, 5),
    )


def _bounded(value: Bounded, digits: int) -> BoundedInfo:
    estimate, low, high = (round(one, digits) for one in (value.estimate, value.low, value.high))
    return BoundedInfo(estimate=estimate, low=low, high=high)


def slice_info(
    axial: Series, how: Reorientation, chosen: SliceChoice, lung: Bool | None, derived: bool, infected: Bool | None
) -> SliceInfo:
    """Which slice, where it lies and what is on it."""
    depth, rows, columns = axial.geometry.shape
    centre = axial.geometry.world((chosen.index, (rows - 1) / 2, (columns - 1) / 2))
    return SliceInfo(
        from_feet=chosen.index,
        of=depth,
        in_file=how.undo_index(chosen.index, depth) if how.keeps_slices else None,
        z_mm=round(float(centre[2]), 3),
        rule=chosen.rule,
        lung_mm2=_area(lung, axial),
        lung_derived=derived,
        infection_mm2=_area(infected, axial),
    )


def explanation_info(
    card: ModelCard,
    target: str,
    heat: npt.NDArray[np.float32],
    axial: Series,
    lung: Bool | None,
    infected: Bool | None,
) -> ExplanationInfo:
    """The heat map of a slice in numbers.

    :param target: the class that a map of one class explains: that slice's own
    """
    kind = catalog.method(card.method).explanation
    words = caption(kind, target)
    against = None
    if infected is not None:
        share = energy_share(heat, infected)
        against = OverlapFacts(
            mass_inside=share,
            peak_inside=None if share is None else pointing_game(heat, infected) > 0,
            dice=dice(heat >= THRESHOLD, infected),
        )
    return ExplanationInfo(
        kind=kind,
        title=words.title,
        quantity=words.quantity,
        note=words.note,
        target=target if words.depends_on_class else None,
        max=float(heat.max()),
        mean_in_lung=_mean_in(heat, lung),
        area_above_half_mm2=_area(heat >= THRESHOLD, axial) or 0.0,
        overlap=against,
    )


def class_evidence_info(
    target: str, heat: npt.NDArray[np.float32] | None, lung: Bool | None
) -> ClassEvidenceInfo | None:
    """The evidence for a class in a slice in numbers, where it is a map of its own."""
    if heat is None:
        return None
    words = class_evidence(target)
    return ClassEvidenceInfo(
        title=words.title,
        quantity=words.quantity,
        note=words.note,
        target=target,
        max=float(heat.max()),
        mean_in_lung=_mean_in(heat, lung),
    )


def _mean_in(heat: npt.NDArray[np.float32], lung: Bool | None) -> float | None:
    return float(heat[lung].mean(dtype=np.float64)) if lung is not None and lung.any() else None


def scan_info(axial: Series, masks: Masks, hu: npt.NDArray[np.int16], image: Bytes) -> ScanInfo:
    """The scan and what was noticed on the way."""
    header = axial.source.header
    kernel, thickness = header.get("kernel"), header.get("slice_thickness_mm")
    return ScanInfo(
        format=axial.source.format,
        shape=axial.geometry.shape,
        spacing_mm=axial.spacing_mm,
        notes=tuple(anonymous(note) for note in (*axial.source.notes, *axial.remarks(), *masks.notes)),
        choice=anonymous(axial.source.choice),
        series=tuple(anonymous(str(reason)) for reason in header.get("reasons", ())),
        kernel=None if kernel is None else str(kernel),
        slice_thickness_mm=None if thickness is None else float(thickness),
        slice_sha256=hashlib.sha256(np.ascontiguousarray(hu, dtype="<i2").tobytes()).hexdigest(),
        image_sha256=hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(),
    )


def chest_info(chest: Chest, by: str) -> ChestInfo:
    """The lungs of the slices that were read."""
    return ChestInfo(
        right_lung_ml=round(chest.right_ml, 1),
        left_lung_ml=round(chest.left_ml, 1),
        largest_lung_mm2=round(chest.largest_mm2, 1),
        lung_height_mm=round(chest.height_mm, 1),
        by=by,
    )


def search_info(chosen: SliceChoice, finder: Runtime | None) -> SearchInfo | None:
    """The search for the slice, if a network did it."""
    if chosen.search is None or finder is None:
        return None
    return SearchInfo(
        by=finder.card.method,
        smallest_lesion_mm=chosen.search.smallest_lesion_mm,
        exhaustive=chosen.search.exhaustive,
        evaluations=chosen.search.evaluations,
        from_feet=chosen.search.looked_at,
        infection_mm2=tuple(chosen.search.areas_mm2[:, 0].round(1).tolist()),
        lung_mm2=tuple(chosen.search.areas_mm2[:, 1].round(1).tolist()),
        outside_mm2=tuple(round(area, 1) for area in chosen.outside_mm2),
    )


def warnings(
    source: Source,
    seen: Seen,
    card: ModelCard,
    lung: Bool | None,
    remarks: Iterable[str] = (),
    unlike: Iterable[str] = (),
) -> Iterator[str]:
    """What makes the result less trustworthy, one sentence each.

    :param lung: of the slice that is shown
    :param remarks: on whether this is a chest
    :param unlike: in what the scan is unlike the training scans
    """
    chosen, decision = seen.chosen, seen.decision
    for remark in remarks:
        yield f"{remark[0].upper()}{remark[1:]}."
    for reason in unlike:
        yield f"Unlike the training scans: {reason}."
    if any(APPROXIMATE in note for note in source.notes):
        yield "The Hounsfield units are approximate, so the window and the probabilities are too."
    if chosen.rule == "largest lung slice (derived lung)":
        yield "No mask showed where to look: the slice that was chosen need not show the disease."
    if chosen.rule == "largest opacity (thresholds)":
        yield (
            "No mask showed where to look: the slice is that with the largest opacity by thresholds, which neither a"
            " reader nor a network has seen and which need not be the disease."
        )
    if chosen.rule == "largest predicted lung" and chosen.search is not None:
        yield (
            f"No infection of {least_area_mm2(chosen.search.smallest_lesion_mm):.0f} mm2 or more was found in the "
            f"{chosen.search.evaluations} slices that were looked at: the slice is that with the largest lung."
        )
    if decision is not None:
        said = np.argmax(decision.of_slices, axis=1)
        others = int((said != np.argmax(decision.probabilities)).sum())
        if others:
            yield f"The slices disagree: {others} of the best {len(said)} would be classified otherwise."
        if said[0] != np.argmax(decision.probabilities):
            yield f"The slice that is shown, by itself, would be classified {card.classes[int(said[0])]}."
    if seen.every_slice is not None and not seen.every_slice.geometry.is_even:
        yield "The slices are not evenly spaced, which NIfTI cannot hold: there is no volume of heat."
    if lung is None or not lung.any():
        yield "No lung was found in the slice that is shown."
    if seen.read_derived_lung:
        yield "The model reads the lung beside the image; no mask was given, so thresholds found it."


def identifiers(own: Series) -> Identifiers:
    """Whose scan it is: only for a record that was asked to say so."""
    return Identifiers(input=own.source.reference, series=own.key)


def anonymous(text: str) -> str:
    """The text without UIDs."""
    return _UID.sub("(UID)", text)


def slice_geometry(geometry: Geometry, index: int) -> Geometry:
    """Of one slice as a volume (1, Y, X)."""
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.world((index, 0, 0))
    return Geometry((1, geometry.shape[1], geometry.shape[2]), affine)


def versions(runtime: Runtime) -> dict[str, str]:
    """What computed it."""
    return {
        "triplenet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        **runtime.versions(),
    }


def _area(mask: Bool | None, axial: Series) -> float | None:
    _, row_mm, column_mm = axial.spacing_mm
    return None if mask is None else round(float(mask.sum()) * row_mm * column_mm, 1)
