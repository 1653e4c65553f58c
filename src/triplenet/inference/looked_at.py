"""The slices of a scan that a model is asked about: each is read, asked about and measured once.

What a slice shows is kept small: its probabilities, and how much of what stands in each of its columns. Maps are kept
of the slices that show most.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np
import numpy.typing as npt

from triplenet.catalog import BACKGROUND, INFECTION, LUNG
from triplenet.inference.lung_region import LungRegion
from triplenet.inference.measures import Columns, columns_of
from triplenet.inference.runtime import Runtime
from triplenet.prepare.sample import SliceTransform, network_slice
from triplenet.scan import Series

MAPS_KEPT = 64
Floats = npt.NDArray[np.float64]
Heat = npt.NDArray[np.float32]


class LookedAt:
    """What a model that reads slices says of those of a scan.

    :param series: in canonical orientation
    :param high_hu: see ``measures.columns_of``
    :param volume: keep the heat of every slice, as bytes
    :param labels: keep what a network that segments says of every slice
    """

    def __init__(
        self, series: Series, runtime: Runtime, high_hu: float, *, volume: bool = False, labels: bool = False
    ) -> None:
        self.series = series
        self.runtime = runtime
        _, rows, columns = series.geometry.shape
        self.transform = SliceTransform((rows, columns), runtime.card.size)
        self.within: LungRegion | None = None
        """Where infection and lung count; None: everywhere"""
        self.seconds = {"lungs": 0.0, "read slices": 0.0, "network": 0.0}
        """What it took; ``lungs`` is for whoever looks for them to say"""
        self._high_hu = high_hu
        self._probabilities: dict[int, Floats] = {}
        self._distances: dict[int, float] = {}
        self._columns: dict[int, Columns] = {}
        self._outside: dict[int, int] = {}
        self._heats: dict[int, Heat] = {}
        self._class_heats: dict[int, Heat] = {}
        size = runtime.card.size
        self.heat_volume = np.zeros((len(series), size, size), np.uint8) if volume else None
        """(Z, size, size) heat of the slices looked at, 255 for 1"""
        self.label_volume = np.zeros((len(series), size, size), np.uint8) if labels and runtime.segments else None
        """(Z, size, size) labels that count of the slices looked at: 0 background, 1 lung, 2 infection"""
        self.class_heat_volume: npt.NDArray[np.uint8] | None = None
        """Likewise what speaks for each slice's likeliest class; None where the heat says that, or nobody asked"""

    @property
    def slices(self) -> tuple[int, ...]:
        """Those that were looked at, from the feet."""
        return tuple(sorted(self._probabilities))

    def look(self, slices: Sequence[int]) -> None:
        """Ask about those that were not asked about yet.

        :raises ScanError: a slice cannot be read
        """
        new = [index for index in dict.fromkeys(slices) if index not in self._probabilities]
        batch = self.runtime.batch
        for first in range(0, len(new), batch):
            self._ask(new[first : first + batch])

    def probabilities(self, slices: Sequence[int]) -> Floats:
        """(n, C)"""
        self.look(slices)
        return np.array([self._probabilities[index] for index in slices])

    def areas_mm2(self, slices: Sequence[int]) -> Floats:
        """(n, 2): infection, and lung without it; of a model that segments."""
        self.look(slices)
        _, row_mm, column_mm = self.series.spacing_mm
        found = np.array([self._columns[index].areas for index in slices]).reshape(-1, 2) * (row_mm * column_mm)
        return np.stack([found[:, 0], found[:, 1] - found[:, 0]], axis=1)

    def outside_mm2(self, slices: Sequence[int]) -> list[float]:
        """Infection that does not count, since no lung is near."""
        _, row_mm, column_mm = self.series.spacing_mm
        pixel_mm2 = row_mm * column_mm * (self.transform.side / self.transform.size) ** 2
        return [self._outside.get(index, 0) * pixel_mm2 for index in slices]

    def columns(self) -> dict[int, Columns]:
        """Of every slice looked at what stands in its columns, for ``measures``; empty where nothing is segmented."""
        return dict(sorted(self._columns.items()))

    def heat(self, index: int) -> Heat:
        """(Y, X) in 0..1: where the model looked in a slice."""
        if index not in self._heats:
            self._ask([index])
        return self.transform.back(self._heats[index])

    def class_heat(self, index: int) -> Heat | None:
        """(Y, X) in 0..1: what speaks for the slice's likeliest class; None where ``heat`` says that already."""
        self.heat(index)
        return self.transform.back(self._class_heats[index]) if index in self._class_heats else None

    def distance(self, index: int) -> float | None:
        """Of the features from those of the training scans; None where the model does not know them."""
        self.look([index])
        return self._distances.get(index)

    def _ask(self, slices: Sequence[int]) -> None:
        card = self.runtime.card
        start = perf_counter()
        hu = self.series.slices(list(slices))
        images = np.stack([network_slice(one, card.window_hu, card.size)[0] for one in hu])
        read = perf_counter()
        answers = self.runtime.answer(images)
        self.seconds["read slices"] += read - start
        self.seconds["network"] += perf_counter() - read
        for at, index in enumerate(slices):
            self._probabilities[index] = answers.probabilities[at]
            self._heats[index] = answers.heat[at]
            if answers.class_heat is not None:
                self._class_heats[index] = answers.class_heat[at]
            if answers.distance is not None:
                self._distances[index] = float(answers.distance[at])
            if answers.segmentation is not None:
                counted = self._counted(index, answers.segmentation[at])
                if self.label_volume is not None:
                    self.label_volume[index] = counted
                labels = self.transform.labels_back(counted)
                lung = (labels == LUNG) | (labels == INFECTION)
                self._columns[index] = columns_of(hu[at], labels == INFECTION, lung, self._high_hu)
            if self.heat_volume is not None:
                self.heat_volume[index] = np.rint(answers.heat[at] * 255)
                if answers.class_heat is not None:
                    if self.class_heat_volume is None:
                        self.class_heat_volume = np.zeros_like(self.heat_volume)
                    self.class_heat_volume[index] = np.rint(answers.class_heat[at] * 255)
        self._forget(keep=slices)

    def _counted(self, index: int, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The labels of a slice (size, size) without what is far from any lung."""
        if self.within is None:
            return labels
        near = self.within.mask(index)
        self._outside[index] = int(np.count_nonzero((labels == INFECTION) & ~near))
        return np.where(near, labels, BACKGROUND).astype(np.uint8)

    def _forget(self, keep: Sequence[int]) -> None:
        """Drop the maps of the slices that show least, beyond so many; one is asked for again if it is wanted."""
        shown = {index: self._columns[index].areas if index in self._columns else (0, 0) for index in self._heats}
        for index in sorted(shown, key=lambda one: shown[one])[: max(0, len(shown) - MAPS_KEPT)]:
            if index not in keep:
                del self._heats[index]
                self._class_heats.pop(index, None)
