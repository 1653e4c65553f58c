"""How a 2D method sees a scan: find a slice, classify the best ones, explain the one that is shown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from triplenet.inference.aggregation import decide
from triplenet.inference.looked_at import LookedAt
from triplenet.inference.measures import Columns, Measures, measure, measure_areas, measure_masks
from triplenet.inference.result import EverySlice
from triplenet.inference.runtime import Runtime
from triplenet.inference.seen import Clock, Seen, Wanted
from triplenet.inference.segments import segments_of
from triplenet.inference.shown_slices import ClassHeat, ShownSlices, all_slices, neighbours, shown_slices
from triplenet.inference.slice_choice import (
    SliceChoice,
    choose_by_lung,
    choose_by_opacity,
    keep_to_lungs,
    known,
    search_scan,
)
from triplenet.prepare.chest import Chest
from triplenet.prepare.masks import Masks
from triplenet.prepare.sample import network_slice
from triplenet.scan import Geometry, Series
from triplenet.scan.series import RememberedSeries


def see_slices(axial: Series, masks: Masks, runtime: Runtime, wanted: Wanted, clock: Clock) -> Seen:
    """What a 2D method makes of a scan.

    :param axial: in canonical orientation
    :raises NoLung, NotAChest: it was searched in vain
    :raises ScanError: a slice cannot be read
    """
    options, card = wanted.options, runtime.card
    axial = RememberedSeries(axial)  # the chest is looked at, searched, classified and shown by the same slices
    other = wanted.finder if wanted.finder is not runtime else None
    keep = wanted.keep.segments and wanted.finder is not None and masks.infection is None
    high_hu = options.high_opacity_hu
    looked = LookedAt(axial, runtime, high_hu, volume=options.every_slice, labels=keep and other is None)
    finding = looked if other is None else LookedAt(axial, other, high_hu, labels=keep)
    chosen, chest = _choose(axial, masks, finding, wanted, clock)
    best = chosen.best(axial.geometry.heights_mm, options.best_slices, options.smallest_lesion_mm / 2)
    with clock.stage("classify"):
        if options.every_slice and runtime.segments and not looked.slices:
            keep_to_lungs(looked, options.smallest_lesion_mm)
        looked.look(range(len(axial)) if options.every_slice else best)
        shown = dict(chosen.shown)
        decision = decide(
            best,
            [shown.get(index, 0.0) for index in best],
            looked.probabilities(best),
            options.aggregate,
            card.positive,
        )
    with clock.stage("slice"):
        hu = axial.slice(chosen.index)
        image, _ = network_slice(hu, card.window_hu, card.size)
    with clock.stage("explain"):
        heat = looked.heat(chosen.index)
        class_heat = looked.class_heat(chosen.index)
    if keep:
        with clock.stage("segment"):
            if not finding.slices:
                keep_to_lungs(finding, options.smallest_lesion_mm)
            finding.look(range(len(axial)))
    with clock.stage("measure"):
        whole = finding if keep else looked if options.every_slice else None
        measures, by = _measures(axial, masks, chosen, finding, whole, options.high_opacity_hu)
    every = _every_slice(looked, wanted.own_geometry) if options.every_slice else None
    around = _shown(looked, chosen.index, every) if wanted.keep.shown else None  # asks more: nothing is measured by it
    for each in {id(one): one for one in (looked, finding)}.values():
        for part, seconds in each.seconds.items():
            clock.note(part if each is looked else f"{part} of the search", seconds)
    return Seen(
        chosen=chosen,
        hu=hu,
        read=image,
        probabilities=decision.probabilities,
        heat=heat,
        explained=int(np.argmax(decision.of_slices[0])),
        distance=looked.distance(chosen.index),
        decision=decision,
        measures=measures,
        measured_by=by,
        every_slice=every,
        segments=segments_of(masks, chosen, finding if keep else None) if wanted.keep.segments else None,
        shown=around,
        chest=chest,
        class_heat=class_heat,
    )


def _choose(
    axial: Series, masks: Masks, finding: LookedAt, wanted: Wanted, clock: Clock
) -> tuple[SliceChoice, Chest | None]:
    """The slice that is classified, and what was seen of the chest on the way."""
    options = wanted.options
    told = known(axial, masks, wanted.slice_from_feet)
    no_infection = masks.infection is not None  # a reader's word, where the mask does not tell the slice
    if told is None and wanted.finder is not None and not no_infection:
        with clock.stage("search"):
            return search_scan(
                finding,
                smallest_lesion_mm=options.smallest_lesion_mm,
                exhaustive=options.search == "exhaustive" or options.every_slice or wanted.keep.segments,
                any_body_part=options.any_body_part,
            )
    with clock.stage("choice"):
        if told is not None:
            return told, None
        choose = choose_by_lung if options.search == "lung" or no_infection else choose_by_opacity
        return choose(axial, options.lung_by, any_body_part=options.any_body_part)


def _measures(
    axial: Series, masks: Masks, chosen: SliceChoice, finding: LookedAt, whole: LookedAt | None, high_hu: float
) -> tuple[Measures | None, str]:
    """How much of the lung is infected, and by what: the network that searched, the masks given, or thresholds.

    :param whole: where every slice was looked at: that, if it segments
    """
    found: Mapping[int, Columns] = {}
    by = ""
    if chosen.search is not None:
        found, by = finding.columns(), finding.runtime.card.method
    elif masks.infection is not None:
        return measure_masks(axial, masks, high_hu), "mask"
    elif whole is not None and whole.runtime.segments:
        found, by = whole.columns(), whole.runtime.card.method
    elif chosen.opacities is not None and chosen.lungs is not None:
        areas = chosen.opacities.side_areas_mm2, chosen.lungs.side_areas_mm2
        return measure_areas(*areas, axial.geometry.heights_mm, axial.spacing_mm[0]), "thresholds"
    return (measure(found, axial.geometry.heights_mm, axial.spacing_mm), by) if found else (None, "")


def _shown(looked: LookedAt, chosen: int, every: EverySlice | None) -> ShownSlices:
    """What is shown around the chosen slice, or of the whole scan."""
    if every is not None:
        return all_slices(looked.series, looked.runtime.card.window_hu, chosen, every)
    looked.look(neighbours(chosen, len(looked.series)))

    def class_heat_of(z: int) -> ClassHeat | None:
        heat = looked.class_heat(z)
        return None if heat is None else ClassHeat(heat, int(np.argmax(looked.probabilities([z])[0])))

    return shown_slices(looked.series, looked.runtime.card.window_hu, chosen, looked.heat, class_heat_of)


def _every_slice(looked: LookedAt, own: Geometry) -> EverySlice:
    """The curve along the scan, and its heat."""
    series = looked.series
    depth, rows, columns = series.geometry.shape
    slices = range(depth)
    areas = looked.areas_mm2(slices) if looked.runtime.segments else None
    assert looked.heat_volume is not None
    return EverySlice(
        z_mm=np.array([series.geometry.world((z, (rows - 1) / 2, (columns - 1) / 2))[2] for z in slices]),
        probabilities=looked.probabilities(slices),
        infection_mm2=None if areas is None else areas[:, 0],
        lung_mm2=None if areas is None else areas[:, 1],
        heat=looked.heat_volume,
        class_heat=looked.class_heat_volume,
        transform=looked.transform,
        geometry=own,
    )
