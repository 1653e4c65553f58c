"""From an opened scan to its result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.errors import NoLung, NotAChest
from triplenet.inference import record_parts as facts
from triplenet.inference.frame_reading import see_frames
from triplenet.inference.likeness import unlike
from triplenet.inference.result import Record, Result
from triplenet.inference.runtime import Runtime
from triplenet.inference.seen import Clock, Seen, Wanted
from triplenet.inference.slice_reading import see_slices
from triplenet.inference.source_instances import source_instances
from triplenet.prepare.chest import Chest, examine_slice, header_remarks
from triplenet.prepare.found_lungs import LungBy
from triplenet.prepare.lung import find_lungs
from triplenet.prepare.mask_check import refuse_lung_as_infection
from triplenet.prepare.masks import Masks
from triplenet.scan import Geometry, Reorientation, Series

Bool = npt.NDArray[np.bool_]


def result_of(
    own: Series,
    runtime: Runtime,
    masks_on: Callable[[Geometry, Reorientation], Masks],
    wanted: Wanted,
    clock: Clock,
) -> Result:
    """What a model says of an opened scan.

    :param own: the series, in its own orientation
    :param masks_on: the masks that go with it, on the grid and orientation given
    :raises ScanError: the scan or a mask cannot be used; NotAChest, NoLung where it was searched in vain
    """
    card, options = runtime.card, wanted.options
    axial, how = own.canonical()
    with clock.stage("masks"):
        masks = masks_on(axial.geometry, how)
    instances = source_instances(own, masks, runtime, wanted) if wanted.keep.instances else None
    see = see_frames if card.dimensions == 3 else see_slices
    try:
        seen = see(axial, masks, runtime, wanted, clock)
    except (NoLung, NotAChest) as error:
        raise type(error)(error.what, where=axial.source.reference, do=error.do) from error
    with clock.stage("lung"):
        refuse_lung_as_infection(masks, seen.chosen.index, seen.hu, axial.spacing_mm)
        inside, derived, chest = _lung(axial, seen, masks, options.lung_by)
        infected = None if masks.infection is None else masks.infection[seen.chosen.index]
    remarks = header_remarks(axial.source) if chest is None else chest.remarks
    differs = unlike(card, spacing_mm=axial.spacing_mm, header=axial.source.header, distance=seen.distance)
    explained = card.classes[seen.explained]
    record = Record(
        predicted=card.classes[int(np.argmax(seen.probabilities))],
        positive_probability=facts.positive_probability(card, seen.probabilities),
        classes=facts.class_probabilities(card, seen.probabilities),
        model=facts.model_info(runtime),
        slice=facts.slice_info(axial, how, seen.chosen, inside, derived, infected),
        explanation=facts.explanation_info(card, explained, seen.heat, axial, inside, infected),
        class_evidence=facts.class_evidence_info(explained, seen.class_heat, inside),
        scan=facts.scan_info(axial, masks, seen.hu, seen.read),
        decision=None if seen.decision is None else facts.decision_info(seen.decision, seen.chosen, card),
        measures=facts.measures_info(seen.measures, seen.measured_by, options.high_opacity_hu),
        unlike_training=differs,
        search=facts.search_info(seen.chosen, wanted.finder),
        chest=None if seen.chest is None else facts.chest_info(seen.chest, options.lung_by),
        warnings=tuple(facts.warnings(axial.source, seen, card, inside, remarks, differs)),
        versions=facts.versions(runtime),
        timings_ms=clock.timings,
        identifiers=facts.identifiers(own) if options.identifiers else None,
    )
    return Result(
        record=record,
        hu=seen.hu,
        image=scan.window(seen.hu, *card.window_hu),
        heat=seen.heat,
        class_heat=seen.class_heat,
        lung=inside,
        infection=infected,
        geometry=facts.slice_geometry(axial.geometry, seen.chosen.index),
        reorientation=how,
        every_slice=seen.every_slice,
        own_geometry=own.geometry,
        segments=seen.segments,
        shown=seen.shown,
        instances=instances,
    )


def _lung(axial: Series, seen: Seen, masks: Masks, by: LungBy) -> tuple[Bool | None, bool, Chest | None]:
    """The lung of the slice, None where there is none; whether no reader drew it; what is known of the chest."""
    index = seen.chosen.index
    if masks.lung is not None:
        return masks.lung[index], False, seen.chest
    chest = seen.chest
    if seen.chosen.lungs is not None:
        inside = seen.chosen.lungs.slice(index)
    else:
        lungs = find_lungs(seen.hu[None], axial.spacing_mm, by)
        inside = lungs.slice(0)
        if chest is None:
            chest = examine_slice(lungs, axial.source, alone=len(axial) == 1)
    if masks.infection is not None:
        inside = inside | masks.infection[index]
    return (inside if inside.any() else None), True, chest
