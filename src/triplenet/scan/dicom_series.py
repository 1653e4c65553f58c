"""A DICOM series as a lazy volume."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from triplenet.scan.dicom_frames import Frame
from triplenet.scan.dicom_pixels import decode
from triplenet.scan.hounsfield import Rescale, to_hu
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.series import Series
from triplenet.scan.stack import Stack
from triplenet.scan.volume import HuArray, Source


class DicomSeries(Series):
    """A stack of DICOM frames; each is decoded when asked for.

    :ivar frames: in the order of the slices, for writing objects that refer to them
    :ivar key: the series UID, as ``inspect`` shows it
    """

    def __init__(self, stacked: Stack, source: Source, key: str, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(stacked.geometry, source)
        self.frames: tuple[Frame, ...] = stacked.frames
        self.key: str = key
        self._limits = limits

    def _decode(self, indices: Sequence[int]) -> tuple[HuArray, list[int]]:
        out = np.empty((len(indices), *self.geometry.shape[1:]), np.int16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the decoders' remarks on harmless faults of a stream
            padded = [self._decode_one(k, values) for k, values in zip(indices, out, strict=True)]
        return out, padded

    def _decode_one(self, k: int, out: HuArray) -> int:
        frame = self.frames[k]
        stored = decode(frame, self._limits)
        return to_hu(stored, frame.rescale or Rescale(), frame.padding, out=out)[1]
