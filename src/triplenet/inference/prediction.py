"""A model and a scan in, a result out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from traceback import format_exception

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.catalog import SMALLEST_LESION_MM
from triplenet.errors import BadInput, NoLung, NotAChest, OutOfMemory, TripleNetError, system_error
from triplenet.explanation.maps import classify_and_explain_crop
from triplenet.files import sha256_of
from triplenet.inference import record_parts as facts
from triplenet.inference.result import Identifiers, Record, Refusal, Result
from triplenet.inference.search import SearchBy
from triplenet.inference.slice_choice import SliceChoice, can_search, choose_by_lung, choose_by_network, known
from triplenet.model import Model, load_model
from triplenet.prepare.chest import Chest, examine, examine_slice, header_remarks, probe, require_chest
from triplenet.prepare.found_lungs import FoundLungs, LungBy
from triplenet.prepare.frames import frame_lungs, frame_positions, read_frames
from triplenet.prepare.lung import find_lungs
from triplenet.prepare.mask_check import refuse_lung_as_infection
from triplenet.prepare.masks import MaskFault, MaskInput, Masks, read_masks
from triplenet.prepare.sample import network_slice
from triplenet.prepare.selection import NO_LUNG, NO_LUNG_DO
from triplenet.processes import Worker, unforeseen
from triplenet.scan import NO_NAMES, Geometry, HuArray, Reorientation, Scan, SegmentNames, Series
from triplenet.scan.elsewhere import with_fallback_elsewhere
from triplenet.scan.series import MemorySeries

ScanSource = Scan | Series | Path | str
Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class BatchItem:
    """One scan of a batch: a result, or the error that it was refused with."""

    number: int
    """Position in the batch, from 1"""
    result: Result | None
    error: TripleNetError | None = None
    refusal: Refusal | None = None
    """The error without anything that tells whose scan it is"""
    log: str = ""
    """Of an error that nobody foresaw: its traceback, which may name the scan"""


def predict(
    source: ScanSource,
    model: Model | Path | str,
    *,
    infection: MaskInput | None = None,
    lung: MaskInput | None = None,
    mask: MaskInput | None = None,
    segments: SegmentNames = NO_NAMES,
    slice_from_feet: int | None = None,
    series: str | None = None,
    search: SearchBy = "coarse",
    smallest_lesion_mm: float = SMALLEST_LESION_MM,
    finder: Model | Path | str | None = None,
    lung_by: LungBy = "thresholds",
    any_body_part: bool = False,
    allow_gaps: bool = False,
    identifiers: bool = False,
    device: str = "cpu",
    model_sha256: str | None = None,
    reader: Worker | None = None,
) -> Result:
    """Classify a scan and say where the model looked.

    A 2D method classifies one slice; only the slices that are needed are decoded. Where no mask tells which, a model
    that segments searches the scan for it (see ``inference.search``); without one it is that with the largest lung, for
    which the whole scan is read. A 3D method classifies evenly spaced frames, and shows the slice asked for, or that of
    the masks, or the frame with the most evidence.

    :param source: a scan, or the path of one as ``scan.open`` takes it
    :param model: loaded, or the path of its file, which is then loaded for this scan
    :param infection: binary mask as in a cohort table, or an array in the scan's own order; likewise ``lung``
    :param mask: labelled mask instead of both: 0 background, 1 lung, 2 infection, 255 unlabelled
    :param segments: a site's own names for the segments of DICOM Segmentations
    :param slice_from_feet: this slice, counted from the feet from 0, instead of a chosen one
    :param series: UID of the DICOM series to use
    :param search: ``coarse`` steps and then around the best, ``exhaustive``, or ``lung`` for the slice of the largest
        lung
    :param smallest_lesion_mm: the coarse steps follow from it: every lesion so long along the axis is looked at
    :param finder: the model that searches, for a ``model`` that does not segment
    :param lung_by: what finds the lung where no mask is given: ``thresholds``, or the package ``lungmask``
    :param any_body_part: go on with a scan that does not look like a chest; see ``prepare.chest``
    :param allow_gaps: accept missing slices, with a note
    :param identifiers: write the path and the series UID into the record
    :param device: where to compute, if a model is not loaded yet: ``cpu``, ``cuda`` or ``auto``
    :param model_sha256: of the file the model was read from, for the record; known where its path is given
    :param reader: a process to read the scan in, which a damaged file may end without ending this one
    :raises ScanError: the scan or a mask cannot be used; NotAChest, NoLung where it was searched in vain
    :raises BadInput: there is no such slice; the finder does not segment
    """
    if not isinstance(model, Model):
        model, model_sha256 = load_for_use(model, device)
    if isinstance(finder, Path | str):
        finder, _ = load_for_use(finder, device)
    used = model
    clock = _Clock()
    wanted = _Wanted(
        slice_from_feet, lung_by, any_body_part, search, smallest_lesion_mm, chosen_finder(model, finder, search)
    )

    def use(own: Series) -> Result:
        clock.opened()
        masks_on = partial(read_masks, infection=infection, lung=lung, mask=mask, names=segments)
        return _predict(own, used, masks_on, wanted, identifiers, model_sha256, clock)

    try:
        if isinstance(source, Scan):
            return use(_Held(source))
        if isinstance(source, Series):
            return use(source)
        if reader is not None:
            return with_fallback_elsewhere(reader, source, use, series, allow_gaps=allow_gaps)
        return scan.with_fallback(source, use, series, allow_gaps=allow_gaps)
    except MaskFault as fault:
        raise fault.error from fault


def load_for_use(path: Path | str, device: str = "cpu") -> tuple[Model, str]:
    """A model and the SHA-256 of its file, for the records of what it says."""
    from triplenet.training.device import choose_device

    return load_model(path, str(choose_device(device))), sha256_of(Path(path))


def _predict(
    own: Series,
    model: Model,
    masks_on: Callable[[Geometry, Reorientation], Masks],
    wanted: _Wanted,
    identifiers: bool,
    model_sha256: str | None,
    clock: _Clock,
) -> Result:
    """What ``predict`` makes of an opened series."""
    card = model.card
    axial, how = own.canonical()
    with clock.stage("masks"):
        masks = masks_on(axial.geometry, how)
    seen = _volume if card.dimensions == 3 else _slice
    try:
        looked = seen(axial, masks, model, wanted, clock)
    except (NoLung, NotAChest) as error:
        raise type(error)(error.what, where=axial.source.reference, do=error.do) from error
    with clock.stage("lung"):
        refuse_lung_as_infection(masks, looked.chosen.index, looked.hu, axial.spacing_mm)
        inside, derived, chest = _lung(axial, looked, masks, wanted.lung_by)
        infected = None if masks.infection is None else masks.infection[looked.chosen.index]
    remarks = header_remarks(axial.source) if chest is None else chest.remarks
    predicted = card.classes[int(np.argmax(looked.probabilities))]
    record = Record(
        predicted=predicted,
        positive_probability=facts.positive_probability(card, looked.probabilities),
        classes=facts.class_probabilities(card, looked.probabilities),
        model=facts.model_info(model, model_sha256),
        slice=facts.slice_info(axial, how, looked.chosen, inside, derived, infected),
        explanation=facts.explanation_info(card, predicted, looked.heat, axial, inside, infected),
        scan=facts.scan_info(axial, masks, looked.hu, looked.read),
        search=facts.search_info(looked.chosen, wanted.finder),
        chest=None if chest is None else facts.chest_info(chest, wanted.lung_by),
        warnings=tuple(facts.warnings(axial.source, looked.chosen, inside, remarks, looked.read_derived_lung)),
        versions=facts.versions(),
        timings_ms=clock.timings,
        identifiers=facts.identifiers(own) if identifiers else None,
    )
    return Result(
        record=record,
        hu=looked.hu,
        image=scan.window(looked.hu, *card.window_hu),
        heat=looked.heat,
        lung=inside,
        infection=infected,
        geometry=facts.slice_geometry(axial.geometry, looked.chosen.index),
        reorientation=how,
    )


def chosen_finder(model: Model, finder: Model | None, search: SearchBy) -> Model | None:
    """The model that searches a scan for its slice: the one given for it, else the one that classifies, if it can.

    :raises BadInput: the one given does not segment, or would not be asked
    """
    if finder is None:
        return model if search != "lung" and can_search(model) else None
    if not can_search(finder):
        raise BadInput(
            f"a {finder.card.method} does not segment slices and cannot search",
            where="finder",
            do="give a model of triple, triple-wsdl or mtdl",
        )
    if search == "lung" or model.card.dimensions == 3:
        why = "the search goes by the lung" if search == "lung" else f"{model.card.method} reads the whole scan"
        raise BadInput(f"a finder is given, but {why}", where="finder", do="leave it out")
    return finder


def predict_all(
    sources: Iterable[ScanSource],
    model: Model,
    *,
    search: SearchBy = "coarse",
    smallest_lesion_mm: float = SMALLEST_LESION_MM,
    finder: Model | None = None,
    lung_by: LungBy = "thresholds",
    any_body_part: bool = False,
    allow_gaps: bool = False,
    identifiers: bool = False,
    model_sha256: str | None = None,
) -> Iterator[BatchItem]:
    """One outcome a scan, in order, as they are ready; a refused scan does not stop the others.

    The scans are read in another process, so that this holds for one that ends its reader or hangs too.
    """
    with Worker() as reader:
        for number, source in enumerate(sources, start=1):
            try:
                result = predict(
                    source,
                    model,
                    search=search,
                    smallest_lesion_mm=smallest_lesion_mm,
                    finder=finder,
                    lung_by=lung_by,
                    any_body_part=any_body_part,
                    allow_gaps=allow_gaps,
                    identifiers=identifiers,
                    model_sha256=model_sha256,
                    reader=reader,
                )
            except Exception as raised:
                error, log = _refused(raised)
                yield BatchItem(number, None, error, refusal(error, source if identifiers else None), log)
            else:
                yield BatchItem(number, result)


def _refused(raised: Exception) -> tuple[TripleNetError, str]:
    """What a scan of a batch is refused with, and for whoever looks into it the traceback where nobody foresaw it."""
    if isinstance(raised, TripleNetError):
        return raised, "\n".join(getattr(raised, "__notes__", ()))
    if isinstance(raised, OSError):
        return system_error(raised), ""
    if isinstance(raised, MemoryError):
        return OutOfMemory("the machine's memory is full", do="close other programs"), ""
    return unforeseen(type(raised).__name__), "".join(format_exception(raised))


def refusal(error: TripleNetError, source: ScanSource | None = None) -> Refusal:
    """The error as a record; it names the input only when ``source`` is given."""
    named = Identifiers(input=str(source)) if isinstance(source, str | Path) else None
    return Refusal(code=error.code, what=facts.anonymous(error.what), do=error.do, identifiers=named)


@dataclass(frozen=True)
class _Wanted:
    """What decides which slice is shown, and how its lung is found."""

    slice_from_feet: int | None
    lung_by: LungBy
    any_body_part: bool
    search: SearchBy
    smallest_lesion_mm: float
    finder: Model | None
    """The model that searches for the slice; None where none can"""


class _Clock:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._start = perf_counter()

    def opened(self) -> None:
        """The time to here, another series tried before included, is that of opening the scan."""
        self.timings = {"open": round((perf_counter() - self._start) * 1000, 1)}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.timings[name] = round((perf_counter() - start) * 1000, 1)


class _Held(MemorySeries):
    """A scan that is in memory already."""

    def __init__(self, held: Scan) -> None:
        super().__init__(held.geometry, held.source)
        self._hu = held.hu

    def _load(self) -> tuple[HuArray, int]:
        return self._hu, 0


@dataclass(frozen=True)
class _Looked:
    """What the network made of a scan."""

    chosen: SliceChoice
    hu: HuArray
    """(Y, X) of the chosen slice"""
    read: Bytes
    """What the network read"""
    probabilities: npt.NDArray[np.float64]
    """(C,)"""
    heat: npt.NDArray[np.float32]
    """(Y, X) of the chosen slice"""
    read_derived_lung: bool = False
    """Whether the network read a lung that thresholds found"""
    chest: Chest | None = None
    """What a look at the whole scan showed, where there was one"""


def _slice(axial: Series, masks: Masks, model: Model, wanted: _Wanted, clock: _Clock) -> _Looked:
    """A 2D method: choose a slice, classify and explain it."""
    chosen, chest = _choose(axial, masks, wanted, clock)
    with clock.stage("slice"):
        hu = axial.slice(chosen.index)
        image, transform = network_slice(hu, model.card.window_hu, model.card.size)
    with clock.stage("network"):
        probabilities, heats = classify_and_explain_crop(model, image[None])
    with clock.stage("explanation"):
        heat = transform.back(heats[0])
    return _Looked(chosen, hu, image, probabilities[0], heat, chest=chest)


def _choose(axial: Series, masks: Masks, wanted: _Wanted, clock: _Clock) -> tuple[SliceChoice, Chest | None]:
    """The slice that a 2D method classifies, and what was seen of the chest on the way."""
    told = known(axial, masks, wanted.slice_from_feet)
    no_infection = masks.infection is not None  # a reader's word, where the mask does not tell the slice
    if told is None and wanted.finder is not None and not no_infection:
        with clock.stage("chest"):
            chest = probe(axial)
            if not chest.largest_mm2 and not wanted.any_body_part:
                raise NoLung(NO_LUNG, do=NO_LUNG_DO)
            require_chest(chest, any_body_part=wanted.any_body_part)
        with clock.stage("search"):
            found = choose_by_network(
                axial,
                wanted.finder,
                smallest_lesion_mm=wanted.smallest_lesion_mm,
                exhaustive=wanted.search == "exhaustive",
            )
        return found, chest
    with clock.stage("choice"):
        if told is not None:
            return told, None
        return choose_by_lung(axial, wanted.lung_by, any_body_part=wanted.any_body_part)


def _volume(axial: Series, masks: Masks, model: Model, wanted: _Wanted, clock: _Clock) -> _Looked:
    """A 3D method: classify and explain the frames, then choose the slice to show."""
    card = model.card
    with clock.stage("frames"):
        positions = frame_positions(len(axial), card.frames, card.frame_sampling)
        frames = read_frames(axial, positions.tolist(), card.window_hu, card.size)  # (T, size, size)
    lungs: Bytes | None = None
    found: FoundLungs | None = None
    if model.network.channels == 2:
        with clock.stage("frame lungs"):
            if masks.lung is None:
                found = find_lungs(axial.read().hu, axial.spacing_mm, wanted.lung_by)
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
            require_chest(chest, any_body_part=wanted.any_body_part)
    with clock.stage("network"):
        given = None if lungs is None else lungs[None]
        probabilities, (heats,) = classify_and_explain_crop(model, frames[None], lungs=given)  # (T, crop, crop)
    with clock.stage("slice"):
        hottest = int(heats.sum(axis=(1, 2), dtype=np.float64).argmax())
        chosen = told or SliceChoice(int(positions[hottest] + 0.5), "frame with the most evidence")
        if found is not None:
            chosen = replace(chosen, lungs=found)
        hu = axial.slice(chosen.index)
        _, transform = network_slice(hu, card.window_hu, card.size)
    with clock.stage("explanation"):
        heat = transform.back(between_frames(heats, positions, chosen.index))
    return _Looked(chosen, hu, frames, probabilities[0], heat, found is not None, chest)


def between_frames(
    heats: npt.NDArray[np.float32], positions: npt.NDArray[np.floating], index: int
) -> npt.NDArray[np.float32]:
    """The heat map of a slice that may lie between two frames: linear between them.

    :param heats: (T, h, w)
    :param positions: (T,) where each frame lies, in slices, rising
    """
    above = min(int(np.searchsorted(positions, index)), len(positions) - 1)
    below = max(above - 1, 0)
    gap = float(positions[above] - positions[below])
    share = 1.0 if gap == 0 else (index - float(positions[below])) / gap
    mixed: npt.NDArray[np.float32] = ((1.0 - share) * heats[below] + share * heats[above]).astype(np.float32)
    return mixed


def _lung(axial: Series, looked: _Looked, masks: Masks, by: LungBy) -> tuple[Bool | None, bool, Chest | None]:
    """The lung of the slice, None where there is none; whether no reader drew it; what is known of the chest."""
    index = looked.chosen.index
    if masks.lung is not None:
        return masks.lung[index], False, looked.chest
    chest = looked.chest
    if looked.chosen.lungs is not None:
        inside = looked.chosen.lungs.slice(index)
    else:
        lungs = find_lungs(looked.hu[None], axial.spacing_mm, by)
        inside = lungs.slice(0)
        if chest is None:
            chest = examine_slice(lungs, axial.source, alone=len(axial) == 1)
    if masks.infection is not None:
        inside = inside | masks.infection[index]
    return (inside if inside.any() else None), True, chest
