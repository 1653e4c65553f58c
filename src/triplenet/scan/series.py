"""One volume that is known from its headers and decoded only where it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from triplenet.errors import NotHu
from triplenet.scan.hounsfield import check_hu
from triplenet.scan.orientation import Reorientation, reorientation
from triplenet.scan.volume import Geometry, HuArray, Scan, Source

if TYPE_CHECKING:
    from triplenet.scan.source_frames import SourceFrame

_PROBES = 7  # slices looked at to decide whether the values of a whole volume are HU


class Series(ABC):
    """A CT volume with its geometry; slices are decoded when asked for.

    :ivar geometry: shape and place of the whole volume
    :ivar source: format, notes and technical header
    :ivar key: the series UID, as ``inspect`` shows it; None for a file that holds one volume
    """

    key: str | None = None

    def __init__(self, geometry: Geometry, source: Source) -> None:
        self.geometry = geometry
        self.source = source

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (Z, Y, X)."""
        return self.geometry.spacing_mm

    def remarks(self) -> tuple[str, ...]:
        """What was noticed while slices were decoded, in words, beside the notes of the source."""
        return ()

    def source_frames(self) -> tuple[SourceFrame, ...]:
        """Where each slice stands in the DICOM files, in the order of the slices; empty for a scan of another kind."""
        return ()

    def __repr__(self) -> str:
        """Format, voxels and spacing; no path and no UID, which may name a patient."""
        shape = " x ".join(str(n) for n in self.geometry.shape)
        spacing = " x ".join(f"{side:.4g}" for side in self.spacing_mm)
        return f"<Series {self.source.format}: {shape} voxels (Z, Y, X) of {spacing} mm>"

    def __len__(self) -> int:
        """Number of slices."""
        return self.geometry.shape[0]

    def slice(self, k: int) -> HuArray:
        """Slice ``k``: (Y, X) int16, HU. Decodes little else; raises NotHu if the values cannot be HU."""
        return np.asarray(self.slices([k])[0])

    def slices(self, indices: Sequence[int]) -> HuArray:
        """The slices of these numbers, in the order asked for: (N, Y, X) int16, HU.

        :raises NotHu: the values cannot be HU. A slice beyond the body is no reason: others are looked at too.
        """
        wanted = [range(len(self))[k] for k in indices]
        hu, padded = self._decode(wanted)
        self._check(hu, padded, wanted)
        return hu

    def read(self) -> Scan:
        """The whole volume."""
        return Scan(self.slices(range(len(self))), self.geometry, self.source)

    def canonical(self) -> tuple[Series, Reorientation]:
        """The same series in canonical orientation, as lazy as before, and the way back."""
        how = reorientation(self.geometry)
        return (self, how) if how.is_identity else (_Reoriented(self, how), how)

    @abstractmethod
    def _decode(self, indices: Sequence[int]) -> tuple[HuArray, list[int]]:
        """Slices (N, Y, X) and how many voxels of each are padding."""

    def _check(self, hu: HuArray, padded: Sequence[int], indices: Sequence[int]) -> None:
        probes = sorted({round(k) for k in np.linspace(0, len(indices) - 1, _PROBES)} if indices else [])
        sample, outside = hu[probes], sum(padded[k] for k in probes)
        try:
            check_hu(sample, self.source.reference, outside)
        except NotHu:
            others = {len(self) // 4, len(self) // 2, 3 * len(self) // 4}.difference(indices)
            if not others:
                raise
            more, more_padded = self._decode(sorted(others))
            check_hu(np.concatenate([sample, more]), self.source.reference, outside + sum(more_padded))


class _Reoriented(Series):
    """A series seen in another orientation."""

    def __init__(self, series: Series, how: Reorientation) -> None:
        super().__init__(how.apply_geometry(series.geometry), series.source)
        self._series = series
        self._how = how
        self._whole: tuple[HuArray, list[int]] | None = None

    def remarks(self) -> tuple[str, ...]:
        return self._series.remarks()

    def _decode(self, indices: Sequence[int]) -> tuple[HuArray, list[int]]:
        if self._how.keeps_slices:
            old = [self._how.undo_index(k, len(self)) for k in indices]
            hu, padded = self._series._decode(old)
            if self._how.flips[0]:  # apply() reverses the order of slices, which is already as asked for
                hu = hu[::-1]
            return np.ascontiguousarray(self._how.apply(hu)), padded
        if self._whole is None:
            hu, padded = self._series._decode(range(len(self._series)))
            share = sum(padded) // max(len(self), 1)
            self._whole = np.ascontiguousarray(self._how.apply(hu)), [share] * len(self)
        return self._whole[0][list(indices)], [self._whole[1][k] for k in indices]


class RememberedSeries(Series):
    """A series whose slices that were decoded last are not decoded again.

    :param most: slices that are kept
    """

    def __init__(self, series: Series, most: int = 64) -> None:
        super().__init__(series.geometry, series.source)
        self.key = series.key
        self._series = series
        self._most = most
        self._known: dict[int, tuple[HuArray, int]] = {}

    def remarks(self) -> tuple[str, ...]:
        return self._series.remarks()

    def _decode(self, indices: Sequence[int]) -> tuple[HuArray, list[int]]:
        new = [index for index in dict.fromkeys(indices) if index not in self._known]
        if len(indices) > self._most:  # a whole volume is not copied slice by slice
            return self._series._decode(indices)
        if new:
            hu, padded = self._series._decode(new)
            self._known |= {index: (hu[at], padded[at]) for at, index in enumerate(new)}
        found = [self._known[index] for index in indices]
        for index in [one for one in self._known if one not in indices][: max(0, len(self._known) - self._most)]:
            del self._known[index]
        return np.stack([hu for hu, _ in found]), [padded for _, padded in found]


class MemorySeries(Series):
    """A series whose file cannot be read in parts: read once, at the first question."""

    def __init__(self, geometry: Geometry, source: Source) -> None:
        super().__init__(geometry, source)
        self._whole: tuple[HuArray, int] | None = None

    @abstractmethod
    def _load(self) -> tuple[HuArray, int]:
        """The volume (Z, Y, X) and how many of its voxels are padding."""

    def _decode(self, indices: Sequence[int]) -> tuple[HuArray, list[int]]:
        if self._whole is None:
            self._whole = self._load()
        hu, padded = self._whole
        indices = list(indices)
        chosen = hu if indices == list(range(len(self))) else hu[indices]
        return chosen, [padded // len(self)] * len(indices)
