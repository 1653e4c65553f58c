"""Who is scanned: body, habits of the lungs, and what is not pneumonia but looks a little like it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Person:
    """One simulated person, without the finding. Lengths in millimetres, densities in HU."""

    sex: str
    age: int
    scale: tuple[float, float, float]
    """Size against the reference chest along (Z, Y, X)."""
    asymmetry: float
    fat_mm: float
    muscle_mm: float
    breast_mm: float
    mediastinal_fat_mm: float
    heart_scale: float
    dome_mm: float
    """Height of the right dome of the diaphragm above the deepest recess: low after a deep breath."""
    dome_step_mm: float
    arms_down: bool
    lung_hu: float
    gravity_hu: float
    """How much denser the lowest part of the lung is than the uppermost."""
    mosaic_hu: float
    """Patches of unlike density, as after breathing out."""
    emphysema: float
    """Share of the upper lung lost to centrilobular holes, 0 for most."""
    bullae: int
    atelectasis_mm: float
    """Depth of the dependent band of collapsed lung behind, 0 for most."""
    granulomas: int
    """Small calcified nodules."""
    scars: int
    nodes: int
    """Mediastinal lymph nodes large enough to see."""
    motion_mm: float
    """How far the heart and the diaphragm moved during the scan."""
    bone_loss: float

    @property
    def half_width_mm(self) -> float:
        """Half the width of the trunk with its skin."""
        return 165.0 * self.scale[2] + self.fat_mm + max(self.muscle_mm, 0.0)


def draw(rng: np.random.Generator) -> Person:
    """A person at random."""
    female = rng.random() < 0.47
    age = int(np.clip(rng.normal(56, 16), 19, 92))
    old = np.clip((age - 40) / 40, 0.0, 1.0)
    size = rng.normal(0.955 if female else 1.01, 0.035)
    scale = np.clip(size * rng.normal(1.0, [0.05, 0.045, 0.03]), 0.84, 1.12)
    deep = rng.beta(5, 2)  # most people hold a good breath
    fat = float(np.clip(rng.lognormal(np.log(15.0 if female else 12.0), 0.4), 4.0, 34.0))
    smoker = rng.random() < 0.16 + 0.1 * old
    return Person(
        sex="F" if female else "M",
        age=age,
        scale=(float(scale[0]), float(scale[1]), float(scale[2])),
        asymmetry=float(rng.uniform(0.6, 1.3)),
        fat_mm=fat,
        muscle_mm=float(np.clip(rng.normal(0.0 if female else 4.0, 3.0), -5.0, 10.0)),
        breast_mm=float(np.clip(rng.normal(18.0 + 0.7 * fat, 7.0), 8.0, 46.0)) if female else 0.0,
        mediastinal_fat_mm=float(np.clip(rng.normal(0.8 + 0.15 * fat, 1.0), 0.8, 6.0)),
        heart_scale=float(np.clip(rng.normal(0.97 + 0.06 * old, 0.06), 0.82, 1.2)),
        dome_mm=float(100.0 - 26.0 * deep + rng.normal(0.0, 4.0)),
        dome_step_mm=float(rng.normal(12.0, 5.0)),
        arms_down=bool(rng.random() < 0.1),
        lung_hu=float(-790.0 - 85.0 * deep + rng.normal(0.0, 12.0)),
        gravity_hu=float(rng.uniform(35.0, 75.0) * (1.6 - deep)),
        mosaic_hu=float(rng.uniform(3.0, 9.0) + (rng.uniform(10.0, 32.0) if rng.random() < 0.18 else 0.0)),
        emphysema=float(rng.beta(2, 4) * 0.6) if smoker else 0.0,
        bullae=int(rng.integers(1, 6)) if smoker and rng.random() < 0.4 else 0,
        atelectasis_mm=float(rng.uniform(4.0, 17.0)) if rng.random() < 0.25 + 0.2 * (1 - deep) else 0.0,
        granulomas=int(rng.integers(1, 5)) if rng.random() < 0.22 else 0,
        scars=int(rng.integers(1, 4)) if rng.random() < 0.18 + 0.2 * old else 0,
        nodes=int(rng.poisson(3.0)),
        motion_mm=float(rng.uniform(1.5, 4.5)) if rng.random() < 0.14 else 0.0,
        bone_loss=float(np.clip(old * 0.8 + rng.normal(0.0, 0.15), 0.0, 1.0)),
    )
