"""Everything tube-shaped, painted over the whole scan before its slices are drawn."""

from __future__ import annotations

import numpy as np

from triplenet.phantom import reference as ref
from triplenet.phantom import skeleton
from triplenet.phantom.anatomy import Anatomy
from triplenet.phantom.slab import Subject
from triplenet.phantom.tubes import Coverage, Raster, Tubes, paint

#: Where the larger lymph nodes of the mediastinum lie: reference (z, y, x).
_STATIONS = np.array(
    [[176, -10, -8], [182, 14, -14], [160, 36, 4], [188, 6, 24], [150, -30, -30], [206, -20, 6]], np.float64
)


def paint_all(subject: Subject, raster: Raster, parts: int, rng: np.random.Generator) -> dict[str, Coverage]:
    """How much of each voxel is ``blood``, airway ``wall``, air in the ``lumen``, ``calcified``, ...

    ``bronchogram`` are the small airways, which show in consolidation only; ``nodules`` stand once more by
    themselves for the infection mask. What the subject lacks is left out.
    """
    airways = subject.lungs.airways
    bone, marrow = skeleton.tubes(subject.anatomy)
    tubes = {
        "bone": bone,
        "marrow": marrow,
        "blood": _blood(subject, rng),
        "wall": airways.scaled(1.08, 0.35),
        "lumen": Tubes.join([airways, *_oesophageal_air(subject.anatomy, rng)]),
        "bullae": subject.lungs.bullae,
        "bronchogram": subject.lungs.bronchioles if subject.lesions.consolidated else Tubes.none(),
        "calcified": Tubes.join([subject.lungs.calcified, _plaques(subject, rng)]),
        "nodules": subject.lesions.nodules,
    }
    painted = {name: np.zeros(raster.shape, np.uint8) for name, each in tubes.items() if len(each)}
    for name, coverage in painted.items():
        paint(tubes[name], raster, coverage, parts)
    return painted


def _blood(subject: Subject, rng: np.random.Generator) -> Tubes:
    """Vessels, and what looks like them: the oesophagus, lymph nodes, nodules, scars."""
    a, count = subject.anatomy, subject.person.nodes
    parts = [subject.lungs.vessels, subject.lesions.nodules, subject.lungs.scars]
    for nodes in (
        ref.AORTA, ref.PULMONARY_TRUNK, ref.RIGHT_ARTERY, ref.LEFT_ARTERY, ref.SUPERIOR_CAVA, ref.INFERIOR_CAVA,
        ref.AZYGOS, ref.OESOPHAGUS, *ref.BRACHIOCEPHALIC_VEINS, *ref.ARCH_BRANCHES, *ref.PULMONARY_VEINS,
    ):  # fmt: skip
        course, radius = ref.tube(nodes, a.frame)
        parts.append(Tubes.along(course, radius * (1.0 + 0.06 * rng.normal())))
    if count:
        centre = _STATIONS[rng.integers(0, len(_STATIONS), count)] + rng.normal(0.0, 4.0, (count, 3))
        parts.append(Tubes.balls(a.frame.to_patient(centre), rng.uniform(2.0, 4.2, count)))
    return Tubes.join(parts)


def _oesophageal_air(a: Anatomy, rng: np.random.Generator) -> list[Tubes]:
    course, _ = ref.tube(ref.OESOPHAGUS, a.frame)
    if rng.random() < 0.4:
        return []
    first = int(rng.integers(0, len(course) - 6))
    return [Tubes.along(course[first : first + 5], np.append(rng.uniform(0.8, 2.8, 4), 0.3))]


def _plaques(subject: Subject, rng: np.random.Generator) -> Tubes:
    """Calcification in the wall of the aorta: the more the older."""
    count = int(rng.poisson(max(0.0, (subject.person.age - 50) * 0.22)))
    course, radius = ref.tube(ref.AORTA, subject.anatomy.frame)
    part = rng.integers(2, len(course) - 1, count)
    share = rng.uniform(0.0, 1.0, (count, 1))
    axis = course[part + 1] - course[part]
    out = np.cross(axis, rng.normal(0.0, 1.0, (count, 3)))
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    centre = course[part] + share * axis + out * radius[part][:, None]
    along = rng.normal(0.0, 1.0, (count, 3)) * 1.8
    size = rng.uniform(0.6, 1.7, count)
    return Tubes(centre, centre + along, np.stack([size, size], axis=1))
