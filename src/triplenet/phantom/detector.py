"""What a scanner makes of a perfect slice: resolution, correlated noise, streaks."""

from __future__ import annotations

import numpy as np
from scipy import fft

from triplenet.phantom.lattice import Field, Points
from triplenet.phantom.scanner import Protocol


class Detector:
    """Turns perfect slices into scanned ones: resolution, correlated noise, quantisation."""

    def __init__(self, protocol: Protocol, rng: np.random.Generator) -> None:
        self.rng = rng
        n, px = protocol.matrix, protocol.pixel_mm
        fy = fft.fftfreq(n, px).astype(np.float32)[:, None]
        fx = fft.rfftfreq(n, px).astype(np.float32)[None, :]
        f = np.sqrt(fx * fx + fy * fy)
        # Large pixels cannot hold what a sharp kernel resolves.
        cut = min(protocol.kernel.cutoff, 0.45 / px)
        fall = np.exp(-0.51 * (f / cut) ** 2)
        self.transfer: Field = (
            fall * (1.0 + protocol.kernel.boost * (f / cut) ** 2 * np.exp(-0.5 * (f / cut) ** 2))
        ).astype(np.float32)
        grain = np.sqrt(f + 0.02) * self.transfer * np.exp(-((f / (1.9 * cut)) ** 4))
        self.grain: Field = (grain / _rms(grain, n)).astype(np.float32)
        # Few quanta pass the shoulders from side to side: noise there runs in horizontal streaks.
        streak = np.exp(-((fx / 0.02) ** 2)) * np.abs(fy) * self.transfer
        self.streak: Field = (streak / _rms(streak, n)).astype(np.float32)

    def scan(self, slices: Field, amplitude: Field, streak: Points) -> Field:
        """Slices (K, Y, X) in HU as the scanner shows them.

        :param amplitude: (K, Y, X) standard deviation of the noise
        :param streak: (K,) share of it that runs in streaks
        """
        noise = self.rng.standard_normal(slices.shape, dtype=np.float32)
        noise *= amplitude
        spectrum = fft.rfft2(noise)
        plain, lines = np.sqrt(1.0 - streak**2), streak
        shaped = spectrum * (
            plain.astype(np.float32)[:, None, None] * self.grain + lines.astype(np.float32)[:, None, None] * self.streak
        )
        shaped += fft.rfft2(slices) * self.transfer
        out: Field = fft.irfft2(shaped, s=slices.shape[1:])
        return out


def _rms(transfer: Field, n: int) -> float:
    """Standard deviation that white noise of deviation one has after the filter."""
    power = np.asarray(transfer, np.float64) ** 2
    weight = np.full(power.shape[1], 2.0)
    weight[0] = 1.0
    if n % 2 == 0:
        weight[-1] = 1.0
    return float(np.sqrt((power * weight).sum() / (n * n)))
