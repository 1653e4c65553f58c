"""A model and a scan in, a result out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING, Unpack

from triplenet import scan
from triplenet.errors import BadInput, OutOfMemory, TripleNetError, system_error
from triplenet.inference import record_parts as facts
from triplenet.inference.options import Options, OptionValues
from triplenet.inference.prediction import result_of
from triplenet.inference.result import Identifiers, Refusal, Result
from triplenet.inference.runtime import Runtime, RuntimeName, runtime_of
from triplenet.inference.scan_request import ScanRequest, ScanSource
from triplenet.inference.seen import NOTHING, Clock, Keep, Wanted
from triplenet.model.card import ModelCard
from triplenet.prepare.masks import MaskFault, MaskInput, read_masks
from triplenet.processes import Worker, unforeseen
from triplenet.scan import HuArray, Scan, Series
from triplenet.scan.elsewhere import with_fallback_elsewhere
from triplenet.scan.series import MemorySeries

if TYPE_CHECKING:
    from triplenet.model import Model


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


@dataclass(frozen=True)
class Classifier:
    """A model that is ready to be given scans.

        classify = triplenet.Classifier.load("model.safetensors")
        result = classify("scan/")
        result.record.positive_probability

    :param runtime: the model, loaded
    :param finder: the model that searches a scan for its slice, for one that does not segment itself
    :param options: how scans are looked at and decided on
    :param keep: what results hold for the outputs that are to be written; see ``outputs.needed_by``
    :raises BadInput: the finder does not segment, or would not be asked
    """

    runtime: Runtime
    finder: Runtime | None = None
    options: Options = field(default_factory=Options)
    keep: Keep = NOTHING

    def __post_init__(self) -> None:
        self._searching()  # a finder that cannot be asked is refused now, and not with every scan

    @classmethod
    def load(
        cls,
        model: Runtime | Model | Path | str,
        *,
        finder: Runtime | Model | Path | str | None = None,
        device: str = "cpu",
        runtime: RuntimeName = "auto",
        keep: Keep = NOTHING,
        **options: Unpack[OptionValues],
    ) -> Classifier:
        """A classifier from a model's file.

        :param model: a model file, or its export as ONNX, which needs no torch; or what was loaded from either
        :param finder: likewise
        :param device: where torch computes: ``cpu``, ``cuda`` or ``auto``
        :param runtime: what computes; by default ONNX Runtime for an ONNX file, else torch
        :param keep: what results hold for the outputs that are to be written; see ``outputs.needed_by``
        :param options: those of ``Options``
        :raises BadModel, PathMissing, MissingExtra, UnknownName: the model cannot be used; see ``load_runtime``
        :raises BadInput: an option has an impossible value
        """
        chosen = Options(**options)
        found = None if finder is None else runtime_of(finder, device)
        return cls(runtime_of(model, device, runtime), found, chosen, keep)

    @property
    def card(self) -> ModelCard:
        """What the model is, what it takes and where it came from."""
        return self.runtime.card

    def _searching(self) -> Runtime | None:
        """The model that searches a scan for its slice: the one given for it, else the one that classifies, if it can.

        :raises BadInput: the one given does not segment, or would not be asked
        """
        by_lung = self.options.search == "lung"
        if self.finder is None:
            return self.runtime if not by_lung and self.runtime.segments else None
        if not self.finder.segments:
            raise BadInput(
                f"a {self.finder.card.method} does not segment slices and cannot search",
                where="finder",
                do="give a model of triple, triple-wsdl or mtdl",
            )
        if by_lung or self.card.dimensions == 3:
            why = "the search goes by the lung" if by_lung else f"{self.card.method} reads the whole scan"
            raise BadInput(f"a finder is given, but {why}", where="finder", do="leave it out")
        return self.finder

    def __call__(
        self,
        source: ScanSource,
        *,
        infection: MaskInput | None = None,
        lung: MaskInput | None = None,
        mask: MaskInput | None = None,
        slice_from_feet: int | None = None,
        series: str | None = None,
        reader: Worker | None = None,
    ) -> Result:
        """Classify a scan and say where the model looked.

        A 2D method classifies the slice that shows most of the disease, or several of those: by the masks, else a model
        that segments searches the scan for it (see ``inference.search``), else the lung tells, for which the whole scan
        is read. Otherwise only the slices that are needed are decoded. A 3D method classifies evenly spaced frames, and
        shows the slice asked for, or that of the masks, or the frame with the most evidence.

        :param source: a scan, or the path of one as ``scan.open`` takes it
        :param infection: binary mask as in a cohort table, or an array in the scan's own order; likewise ``lung``
        :param mask: labelled mask instead of both: 0 background, 1 lung, 2 infection, 255 unlabelled
        :param slice_from_feet: this slice, counted from the feet from 0, instead of a chosen one
        :param series: UID of the DICOM series to use
        :param reader: a process to read the scan in, which a damaged file may end without ending this one
        :raises ScanError: the scan or a mask cannot be used; NotAChest, NoLung where it was searched in vain
        :raises BadInput: there is no such slice
        """
        clock, options = Clock(), self.options
        finder = self._searching()

        def use(own: Series) -> Result:
            clock.opened()
            wanted = Wanted(options, slice_from_feet, finder, own.geometry, self.keep)
            masks_on = partial(read_masks, infection=infection, lung=lung, mask=mask, names=options.segments)
            return result_of(own, self.runtime, masks_on, wanted, clock)

        try:
            if isinstance(source, Scan):
                return use(_Held(source))
            if isinstance(source, Series):
                return use(source)
            if reader is not None:
                return with_fallback_elsewhere(reader, source, use, series, allow_gaps=options.allow_gaps)
            return scan.with_fallback(source, use, series, allow_gaps=options.allow_gaps)
        except MaskFault as fault:
            raise fault.error from fault

    def each(self, scans: Iterable[ScanRequest | ScanSource]) -> Iterator[BatchItem]:
        """One outcome a scan, in order, as they are ready; a refused scan does not stop the others.

        The scans are read in another process, so that this holds for one that ends its reader or hangs too.
        """
        with Worker() as reader:
            for number, request in enumerate(scans, start=1):
                yield self.attempt(request, number, reader=reader)

    def attempt(self, request: ScanRequest | ScanSource, number: int = 1, *, reader: Worker | None = None) -> BatchItem:
        """A scan's result, or what it is refused with; nothing about a scan is raised.

        :param number: the item's
        :param reader: as for a call
        """
        asked = ScanRequest.of(request)
        try:
            result = self(
                asked.source,
                infection=asked.infection,
                lung=asked.lung,
                mask=asked.mask,
                slice_from_feet=asked.slice_from_feet,
                series=asked.series,
                reader=reader,
            )
        except Exception as raised:
            error, log = refused_with(raised)
            named = asked.source if self.options.identifiers else None
            return BatchItem(number, None, error, refusal(error, named), log)
        return BatchItem(number, result)


def predict(
    source: ScanSource,
    model: Runtime | Model | Path | str,
    *,
    infection: MaskInput | None = None,
    lung: MaskInput | None = None,
    mask: MaskInput | None = None,
    slice_from_feet: int | None = None,
    series: str | None = None,
    finder: Runtime | Model | Path | str | None = None,
    device: str = "cpu",
    runtime: RuntimeName = "auto",
    keep: Keep = NOTHING,
    **options: Unpack[OptionValues],
) -> Result:
    """Classify a scan and say where the model looked: ``Classifier.load`` and its call in one; see there."""
    classify = Classifier.load(model, finder=finder, device=device, runtime=runtime, keep=keep, **options)
    return classify(source, infection=infection, lung=lung, mask=mask, slice_from_feet=slice_from_feet, series=series)


def refused_with(raised: Exception) -> tuple[TripleNetError, str]:
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


class _Held(MemorySeries):
    """A scan that is in memory already."""

    def __init__(self, held: Scan) -> None:
        super().__init__(held.geometry, held.source)
        self._hu = held.hu

    def _load(self) -> tuple[HuArray, int]:
        return self._hu, 0
