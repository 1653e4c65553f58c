"""How a 3D method sees a scan: all of its frames at once, of which one is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from triplenet.errors import BadInput, NoLung
from triplenet.inference.measures import measure_masks
from triplenet.inference.runtime import Runtime
from triplenet.inference.seen import Bytes, Clock, Seen, Wanted
from triplenet.inference.segments import segments_of
from triplenet.inference.shown_slices import ClassHeat, shown_slices
from triplenet.inference.slice_choice import SliceChoice, known
from triplenet.prepare.chest import examine, probe, require_chest
from triplenet.prepare.found_lungs import FoundLungs
from triplenet.prepare.frames import between_frames, frame_lungs, frame_positions, read_frames
from triplenet.prepare.lung import find_lungs
from triplenet.prepare.masks import Masks
from triplenet.prepare.sample import network_slice
from triplenet.scan import Series


def see_frames(axial: Series, masks: Masks, runtime: Runtime, wanted: Wanted, clock: Clock) -> Seen:
    """What a 3D method makes of a scan.

    :param axial: in canonical orientation
    :raises NoLung, NotAChest: it was searched in vain
    :raises ScanError: a slice cannot be read
    """
    card, options = runtime.card, wanted.options
    _refuse_what_is_of_slices(runtime, wanted)
    with clock.stage("frames"):
        positions = frame_positions(len(axial), card.frames, card.frame_sampling)
        frames = read_frames(axial, positions.tolist(), card.window_hu, card.size)  # (T, size, size)
    lungs: Bytes | None = None
    found: FoundLungs | None = None
    if runtime.channels == 2:
        with clock.stage("frame lungs"):
            if masks.lung is None:
                found = find_lungs(axial.read().hu, axial.spacing_mm, options.lung_by)
            lungs = frame_lungs(axial, masks, positions.tolist(), card.size, found)
        if not lungs.any():
            raise NoLung("the model reads the lung and none was found", do="give a lung mask")
    told = known(axial, masks, wanted.slice_from_feet)
    with clock.stage("chest"):
        chest = None
        if found is not None:
            chest = examine(found, axial.spacing_mm[0], axial.source)
        elif told is None:
            chest = probe(axial)
        if told is None and chest is not None:
            require_chest(chest, any_body_part=options.any_body_part)
    with clock.stage("classify"):
        answers = runtime.answer(frames[None], None if lungs is None else lungs[None])
    heats = answers.heat[0]  # (T, size, size)
    with clock.stage("slice"):
        hottest = int(heats.sum(axis=(1, 2), dtype=np.float64).argmax())
        chosen = told or SliceChoice(int(positions[hottest] + 0.5), "frame with the most evidence")
        if found is not None:
            chosen = replace(chosen, lungs=found)
        hu = axial.slice(chosen.index)
        _, transform = network_slice(hu, card.window_hu, card.size)
    probabilities = answers.probabilities[0]
    explained = int(np.argmax(probabilities))

    def class_heat_of(z: int) -> ClassHeat | None:
        if answers.class_heat is None:
            return None
        return ClassHeat(transform.back(between_frames(answers.class_heat[0], positions, z)), explained)

    with clock.stage("explain"):
        heat = transform.back(between_frames(heats, positions, chosen.index))
        shown = None
        if wanted.keep.shown:
            shown = shown_slices(
                axial,
                card.window_hu,
                chosen.index,
                lambda z: transform.back(between_frames(heats, positions, z)),
                class_heat_of,
            )
        second = class_heat_of(chosen.index)
    with clock.stage("measure"):
        measures = measure_masks(axial, masks, options.high_opacity_hu)
    return Seen(
        chosen=chosen,
        hu=hu,
        read=frames,
        probabilities=probabilities,
        heat=heat,
        explained=explained,
        distance=None if answers.distance is None else float(answers.distance[0]),
        measures=measures,
        measured_by="" if measures is None else "mask",
        segments=segments_of(masks, chosen, None) if wanted.keep.segments else None,
        shown=shown,
        read_derived_lung=found is not None,
        chest=chest,
        class_heat=None if second is None else second.heat,
    )


def _refuse_what_is_of_slices(runtime: Runtime, wanted: Wanted) -> None:
    """A 3D method decides on the whole scan at once.

    :raises BadInput: slices are to be aggregated, or each to be classified
    """
    options, why = wanted.options, f"{runtime.card.method} reads the whole scan"
    if options.aggregate != "best":
        raise BadInput(f"slices are to be aggregated, but {why}", where="aggregate", do="leave it out")
    if options.every_slice:
        raise BadInput(f"every slice is to be classified, but {why}", where="every_slice", do="leave it out")
