"""The DICOM instances that a result is of, and what decided it: what objects that refer to them are made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from pydicom import Dataset

from triplenet import __version__
from triplenet.errors import NotDicom
from triplenet.inference.runtime import Runtime
from triplenet.inference.seen import Wanted
from triplenet.prepare.masks import Masks
from triplenet.scan import Series, SourceFrame, read_source


@dataclass(frozen=True)
class SourceInstances:
    """The instances of a scan; whole headers, which tell whose scan it is."""

    frames: tuple[SourceFrame, ...]
    """One a slice, in the scan's own order"""
    headers: tuple[Dataset, ...]
    """Without pixels: one a slice, or of an enhanced CT a single one with all frames"""
    settings_sha256: str
    """Of what decides the result beside the scan: models, options, masks, slice, version"""


def source_instances(own: Series, masks: Masks, runtime: Runtime, wanted: Wanted) -> SourceInstances:
    """Of an opened scan.

    :param own: in its own orientation
    :raises NotDicom: it is none, or its slices lie in several files of several frames each
    :raises UnreadableFile: a file is gone or damaged
    """
    frames = own.source_frames()
    if not frames:
        raise NotDicom(
            f"the scan is {own.source.format}, and DICOM outputs refer to DICOM instances",
            where=own.source.reference,
            do="leave DICOM outputs out, or give the DICOM series",
        )
    headers = read_source(frames)
    if len(headers) > 1 and any(map(is_enhanced, headers)):
        raise NotDicom(
            "the slices lie in several multi-frame objects, which DICOM outputs cannot refer to",
            where=own.source.reference,
            do="leave DICOM outputs out",
        )
    return SourceInstances(frames, headers, _settings(masks, runtime, wanted))


def is_enhanced(header: Dataset) -> bool:
    """Whether the object has frames with functional groups of their own."""
    return "PerFrameFunctionalGroupsSequence" in header


def _settings(masks: Masks, runtime: Runtime, wanted: Wanted) -> str:
    """SHA-256 of what decides a result beside the scan; nothing in it tells whose scan it is."""
    options = {name: value for name, value in asdict(wanted.options).items() if name != "identifiers"}
    told = {
        "model": runtime.model_sha256,
        "runtime": runtime.name,
        "finder": None if wanted.finder is None else wanted.finder.model_sha256,
        "options": options,
        "segments": wanted.keep.segments,  # then every slice is asked about, and another one may be chosen
        "slice": wanted.slice_from_feet,
        "masks": {name: list(_digests(masks, name)) for name in ("infection", "lung")},
        "triplenet": __version__,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=repr).encode()).hexdigest()


def _digests(masks: Masks, name: str) -> Iterator[str]:
    region = getattr(masks, name)
    if region is not None:
        for z in np.flatnonzero(region.areas).tolist():
            yield f"{z} {hashlib.sha256(np.packbits(region[z]).tobytes()).hexdigest()}"
