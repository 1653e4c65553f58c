"""A DICOM series as a lazy volume."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from triplenet.scan.dicom_frames import Frame
from triplenet.scan.dicom_pixels import FrameReader
from triplenet.scan.hounsfield import Rescale, to_hu
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.series import Series
from triplenet.scan.source_frames import SourceFrame
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

    def source_frames(self) -> tuple[SourceFrame, ...]:
        return tuple(map(SourceFrame.of, self.frames))

    def _decode(self, indices: Sequence[int]) -> tuple[HuArray, list[int]]:
        out = np.empty((len(indices), *self.geometry.shape[1:]), np.int16)
        padded = [0] * len(indices)
        in_file = sorted(range(len(indices)), key=lambda at: self.frames[indices[at]].index)  # read from front to back
        with warnings.catch_warnings(), FrameReader(self._limits) as reader:
            warnings.simplefilter("ignore")  # the decoders' remarks on harmless faults of a stream
            for at in in_file:
                frame = self.frames[indices[at]]
                stored = reader.decode(frame)
                padded[at] = to_hu(stored, frame.rescale or Rescale(), frame.padding, out=out[at])[1]
        return out, padded
