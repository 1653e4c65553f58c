"""A model and a scan in, a result out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.errors import BadModel, NoLung, TripleNetError
from triplenet.inference import facts
from triplenet.inference.choice import Choice, choose
from triplenet.inference.result import Identifiers, Record, Refusal, Result
from triplenet.model import Model
from triplenet.prepare.lung import lung_mask
from triplenet.prepare.masks import MaskFault, MaskInput, Masks, read_masks
from triplenet.prepare.sample import network_slice
from triplenet.scan import Geometry, HuArray, Reorientation, Scan, Series
from triplenet.scan.series import MemorySeries

ScanSource = Scan | Series | Path | str
Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Outcome:
    """One scan of a batch: a result, or the error that it was refused with."""

    number: int
    """Position in the batch, from 1"""
    result: Result | None
    error: TripleNetError | None = None
    refusal: Refusal | None = None
    """The error without anything that tells whose scan it is"""


def predict(
    source: ScanSource,
    model: Model,
    *,
    infection: MaskInput | None = None,
    lung: MaskInput | None = None,
    mask: MaskInput | None = None,
    slice_from_feet: int | None = None,
    series: str | None = None,
    allow_gaps: bool = False,
    identifiers: bool = False,
    model_sha256: str | None = None,
) -> Result:
    """Classify one slice of a scan and say where the model looked.

    Only the slices that are needed are decoded, unless the slice has to be searched for.

    :param source: a scan, or the path of one as ``scan.open`` takes it
    :param infection: binary mask as in a cohort table, or an array in the scan's own order; likewise ``lung``
    :param mask: labelled mask instead of both: 0 background, 1 lung, 2 infection, 255 unlabelled
    :param slice_from_feet: this slice, counted from the feet from 0, instead of a chosen one
    :param series: UID of the DICOM series to use
    :param allow_gaps: accept missing slices, with a note
    :param identifiers: write the path and the series UID into the record
    :param model_sha256: of the file the model was read from, for the record
    :raises ScanError: the scan or a mask cannot be used
    :raises BadInput: there is no such slice
    :raises BadModel: a 3D model, which reads frames and not a slice
    """
    card = model.card
    if card.dimensions != 2:
        raise BadModel(f"the method {card.method!r} reads {card.frames} frames, not a slice", do="use a 2D model here")
    clock = _Clock()
    with clock.stage("open"):
        own = _series(source, series, allow_gaps)
        axial, how = own.canonical()
    with clock.stage("masks"):
        masks = _masks(axial.geometry, how, infection, lung, mask)
    with clock.stage("slice"):
        chosen = _choose(axial, masks, slice_from_feet)
        hu = axial.slice(chosen.index)
        image, transform = network_slice(hu, card.window_hu, card.size)
    with clock.stage("lung"):
        inside, derived = _lung(axial, hu, masks, chosen.index)
        infected = None if masks.infection is None else masks.infection[chosen.index]
    with clock.stage("network"):
        probabilities = _classify(model, image)
        best = int(np.argmax(probabilities))
    with clock.stage("explanation"):
        heat = transform.back(_explain(model, image, best))
    record = Record(
        predicted=card.classes[best],
        positive_probability=facts.positive_probability(card, probabilities),
        classes=facts.class_probabilities(card, probabilities),
        model=facts.model_facts(model, model_sha256),
        slice=facts.slice_facts(axial, how, chosen, inside, derived, infected),
        explanation=facts.explanation_facts(card, card.classes[best], heat, axial, inside, infected),
        scan=facts.scan_facts(axial, masks, hu, image),
        warnings=tuple(facts.warnings(axial.source, chosen, inside)),
        versions=facts.versions(),
        timings_ms=clock.timings,
        identifiers=facts.identifiers(axial.source) if identifiers else None,
    )
    return Result(
        record=record,
        hu=hu,
        image=scan.window(hu, *card.window_hu),
        heat=heat,
        lung=inside,
        infection=infected,
        geometry=facts.slice_geometry(axial.geometry, chosen.index),
        reorientation=how,
    )


def predict_all(
    sources: Iterable[ScanSource],
    model: Model,
    *,
    allow_gaps: bool = False,
    identifiers: bool = False,
    model_sha256: str | None = None,
) -> Iterator[Outcome]:
    """One outcome a scan, in order, as they are ready; a refused scan does not stop the others."""
    for number, source in enumerate(sources, start=1):
        try:
            result = predict(source, model, allow_gaps=allow_gaps, identifiers=identifiers, model_sha256=model_sha256)
        except TripleNetError as error:
            yield Outcome(number, None, error, refusal(error, source if identifiers else None))
        else:
            yield Outcome(number, result)


def refusal(error: TripleNetError, source: ScanSource | None = None) -> Refusal:
    """The error as a record; it names the input only when ``source`` is given."""
    named = Identifiers(input=str(source)) if isinstance(source, str | Path) else None
    return Refusal(code=error.code, what=facts.anonymous(error.what), do=error.do, identifiers=named)


class _Clock:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}

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


def _series(source: ScanSource, series: str | None, allow_gaps: bool) -> Series:
    if isinstance(source, Scan):
        return _Held(source)
    return source if isinstance(source, Series) else scan.open(source, series, allow_gaps=allow_gaps)


def _masks(
    grid: Geometry, how: Reorientation, infection: MaskInput | None, lung: MaskInput | None, mask: MaskInput | None
) -> Masks:
    try:
        return read_masks(grid, how, infection=infection, lung=lung, mask=mask)
    except MaskFault as fault:
        raise fault.error from fault


def _choose(axial: Series, masks: Masks, wanted: int | None) -> Choice:
    try:
        return choose(axial, masks, wanted)
    except NoLung as error:
        raise NoLung(error.what, where=axial.source.reference, do=error.do) from error


def _lung(axial: Series, hu: HuArray, masks: Masks, index: int) -> tuple[Bool | None, bool]:
    """The lung of the slice, and whether thresholds found it; None where there is none."""
    if masks.lung is not None:
        return masks.lung[index], False
    found: Bool = lung_mask(hu[None], axial.spacing_mm)[0] > 0
    if masks.infection is not None:
        found |= masks.infection[index]
    return (found if found.any() else None), True


def _classify(model: Model, image: Bytes) -> npt.NDArray[np.float64]:
    """(C,) class probabilities of a (size, size) image."""
    import torch

    with torch.inference_mode():
        logits = model.network(model.normalise(image[None].copy())).logits[0]
        # In double precision, so that the probabilities written add up to 1.
        probabilities: npt.NDArray[np.float64] = logits.double().softmax(0).cpu().numpy()
    return probabilities


def _explain(model: Model, image: Bytes, target: int) -> npt.NDArray[np.float32]:
    """(crop, crop) heat map of a (size, size) image."""
    import torch

    with torch.no_grad():
        images = model.normalise(image[None].copy())
        heat = model.network.explain(images, torch.tensor([target], device=images.device))
    found: npt.NDArray[np.float32] = heat[0].float().cpu().numpy()
    return found
