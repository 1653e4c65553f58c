"""From a slice in Hounsfield units to the square uint8 image that a 2D network reads, and back.

Window, then pad to a square, then resize: area averaging when shrinking, bilinear when enlarging, nearest for masks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from triplenet import scan
from triplenet.catalog import UNLABELLED
from triplenet.scan.volume import HuArray

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SliceTransform:
    """How a slice of (Y, X) pixels became a (size, size) image."""

    shape: tuple[int, int]
    """(Y, X) of the slice"""
    size: int

    @property
    def side(self) -> int:
        """Of the square the slice was padded to."""
        return max(self.shape)

    @property
    def offset(self) -> tuple[int, int]:
        """(Y, X) of the slice's first pixel in that square."""
        return (self.side - self.shape[0]) // 2, (self.side - self.shape[1]) // 2

    def image(self, windowed: Bytes) -> Bytes:
        """(size, size) uint8 from a windowed slice (Y, X) uint8."""
        kernel = Image.Resampling.BOX if self.size < self.side else Image.Resampling.BILINEAR
        return self._resize(windowed, kernel, fill=0)

    def mask(self, mask: Bytes) -> Bytes:
        """(size, size) uint8 from a labelled mask (Y, X) uint8; padding is background, or unlabelled if all else is."""
        fill = UNLABELLED if (mask == UNLABELLED).any() else 0
        return self._resize(mask, Image.Resampling.NEAREST, fill=fill)

    def back(self, heat: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A map in network pixels put back on the slice, bilinear; outside the crop it is 0.

        :param heat: (h, w) float32 of the centred crop, h and w at most ``size``
        :returns: (Y, X) float32
        """
        whole = np.zeros((self.size, self.size), dtype=np.float32)
        top, left = ((self.size - n) // 2 for n in heat.shape)
        whole[top : top + heat.shape[0], left : left + heat.shape[1]] = heat
        kernel = Image.Resampling.BILINEAR if self.size != self.side else Image.Resampling.NEAREST
        square = np.asarray(Image.fromarray(whole).resize((self.side, self.side), kernel), dtype=np.float32)
        y, x = self.offset
        return square[y : y + self.shape[0], x : x + self.shape[1]]

    def labels_back(self, labels: Bytes) -> Bytes:
        """Labels in network pixels (size, size) put back on the slice (Y, X), the nearest one."""
        return self._bytes_back(labels, Image.Resampling.NEAREST)

    def back_bytes(self, heat: Bytes) -> Bytes:
        """As ``back``, of a whole map as bytes (size, size)."""
        return self._bytes_back(heat, Image.Resampling.BILINEAR)

    def _bytes_back(self, array: Bytes, kernel: Image.Resampling) -> Bytes:
        square = np.asarray(Image.fromarray(array).resize((self.side, self.side), kernel))
        y, x = self.offset
        return square[y : y + self.shape[0], x : x + self.shape[1]]

    def _resize(self, array: Bytes, kernel: Image.Resampling, fill: int) -> Bytes:
        square = np.full((self.side, self.side), fill, dtype=np.uint8)
        y, x = self.offset
        square[y : y + self.shape[0], x : x + self.shape[1]] = array
        if self.size == self.side:
            return square
        return np.asarray(Image.fromarray(square).resize((self.size, self.size), kernel), dtype=np.uint8)


def network_slice(hu: HuArray, window_hu: tuple[float, float], size: int) -> tuple[Bytes, SliceTransform]:
    """The image a 2D network reads.

    :param hu: (Y, X) int16, Hounsfield units, canonical orientation (rows to the back, columns to the left)
    :param window_hu: lower and upper, mapped to 0 and 255
    :returns: (size, size) uint8, and the way back
    """
    transform = SliceTransform((hu.shape[0], hu.shape[1]), size)
    return transform.image(scan.window(hu, *window_hu)), transform
