"""What pneumonia leaves in the lungs, by finding, as radiologists describe it.

The patterns follow the RSNA expert consensus (Simpson et al., Radiology: Cardiothoracic Imaging 2020, 2(2):e200152):

* typical: bilateral, peripheral, rounded or multifocal ground glass, mostly behind and below, with or
  without consolidation or crazy paving;
* indeterminate: ground glass that is perihilar, diffuse, on one side only, or sparse and not rounded;
* atypical: lobar consolidation, tree-in-bud nodules, cavitation, or smooth septal thickening with effusion;
* negative: none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from triplenet.phantom import shapes
from triplenet.phantom.anatomy import Anatomy
from triplenet.phantom.lattice import Points
from triplenet.phantom.lesions import FAR, Lesions, triple
from triplenet.phantom.lungs import inside, lobe_of
from triplenet.phantom.tubes import Tubes


def build(a: Anatomy, finding: str, pattern: str | None, rng: np.random.Generator) -> Lesions:
    """The lesions of a finding.

    :param pattern: one of the finding's in PATTERNS; drawn at random when None
    """
    patterns = PATTERNS[finding]
    names = list(patterns)
    weights = np.array([patterns[name][0] for name in names])
    drawn = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    lesions = Lesions(a, rng, pattern or drawn)
    patterns[lesions.pattern][1](lesions)
    return lesions


def _sites(lesions: Lesions, count: int, weight: Callable[[Points], Points], depth_mm: float = 3.0) -> Points:
    """Points (count, 3) in the lungs, drawn with a weight and kept apart."""
    a, rng = lesions.anatomy, lesions.rng
    candidates = inside(a, depth_mm, 6000, rng)
    w = np.maximum(weight(candidates), 0.0)
    chosen: list[Points] = []
    for _ in range(count):
        if w.sum() <= 0:
            break
        point = candidates[int(rng.choice(len(candidates), p=w / w.sum()))]
        chosen.append(point)
        w = w * (np.linalg.norm(candidates - point, axis=1) > 16.0)
    return np.array(chosen).reshape(-1, 3)


def _peripheral(lesions: Lesions) -> None:
    a, rng = lesions.anatomy, lesions.rng
    lattice = a.lattice
    severity = rng.beta(1.3, 1.6)
    base = 125.0 + 300.0 * rng.beta(1.9, 2.0)
    size = 9.0 + 13.0 * severity
    cores = rng.random() < 0.2 + 0.4 * severity
    paved = rng.uniform(0.4, 1.0) if rng.random() < 0.15 + 0.3 * severity else 0.0
    band = -27.0 - a.cavity  # negative in the outer part of the lung
    heights = inside(a, 3.0, 3000, rng)[:, 0]
    z_low, z_high = heights.min(), heights.max()

    for sign in (-1.0, 1.0):

        def weight(p: Points, sign: float = sign) -> Points:
            shell = -lattice.at(a.cavity, p)
            behind = 1.0 - lattice.at(a.around, p)
            height = (p[:, 0] - z_low) / (z_high - z_low)
            near = (shell > 3.0) & (shell < 15.0) & (p[:, 2] * sign > 0)
            w: Points = near * behind**3.0 * np.exp(-2.4 * height)
            return w

        for centre in _sites(lesions, 1 + int(rng.poisson(0.9 + 4.0 * severity)), weight):
            lesions.blob(
                centre,
                max(5.5, size * rng.lognormal(0.0, 0.33)),
                base * rng.uniform(0.7, 1.25),
                ragged=0.16,
                core=rng.uniform(0.3, 0.75) if cores and rng.random() < 0.5 else 0.0,
                paved=paved,
                within=band,
            )


def _hilar_distance(a: Anatomy, p: Points) -> Points:
    hila = a.frame.to_patient(np.array([[140.0, 14.0, -44.0], [142.0, 20.0, 48.0]]))
    each: Points = np.linalg.norm(p[:, None] - hila[None], axis=2).min(axis=1)
    return each


def _perihilar(lesions: Lesions) -> None:
    a, rng = lesions.anatomy, lesions.rng
    haze = 120.0 + 280.0 * rng.beta(1.8, 2.2)
    deep = a.cavity + rng.uniform(17.0, 25.0)
    spread = rng.uniform(24.0, 46.0)

    def weight(p: Points) -> Points:
        w: Points = np.exp(-((_hilar_distance(a, p) / spread) ** 2)) * (a.lattice.at(a.cavity, p) < -26.0)
        return w

    for centre in _sites(lesions, 2 + int(rng.poisson(3.5)), weight, 5.0):
        lesions.blob(centre, rng.uniform(10.0, 22.0), haze * rng.uniform(0.7, 1.2), ragged=0.5, within=deep)


def _diffuse(lesions: Lesions) -> None:
    a, rng = lesions.anatomy, lesions.rng
    haze = 100.0 + 270.0 * rng.beta(1.8, 2.4)
    spared = rng.uniform(3.0, 16.0) + a.cavity
    level = rng.uniform(0.05, 0.9)
    patches = (level - lesions.wave - 0.45 * lesions.ripple) * 9.0
    region = shapes.intersection(shapes.intersection(patches, spared, 5.0), a.lung, 3.0)
    paved = rng.uniform(0.3, 0.8) if rng.random() < 0.3 else 0.0
    lesions.add(lesions.everywhere(), region, haze, soft_mm=9.0, paved=paved)
    lesions.count += 1


def _one_sided(lesions: Lesions) -> None:
    a, rng = lesions.anatomy, lesions.rng
    sign = 1.0 if rng.random() < 0.5 else -1.0
    haze = 110.0 + 300.0 * rng.beta(1.8, 2.2)
    peripheral = rng.random() < 0.5
    cores = rng.random() < 0.3

    def weight(p: Points) -> Points:
        shell = -a.lattice.at(a.cavity, p)
        placed = (shell < 18.0) if peripheral else (shell > 14.0)
        return np.asarray((p[:, 2] * sign > 0) & placed, np.float64)

    for centre in _sites(lesions, 1 + int(rng.poisson(1.6)), weight, 4.0):
        lesions.blob(
            centre,
            rng.uniform(7.0, 20.0),
            haze * rng.uniform(0.75, 1.2),
            ragged=rng.uniform(0.2, 0.5),
            core=rng.uniform(0.25, 0.6) if cores else 0.0,
            within=a.lung,
        )


def _sparse(lesions: Lesions) -> None:
    a, rng = lesions.anatomy, lesions.rng
    haze = 120.0 + 240.0 * rng.beta(2.0, 2.0)
    deep = a.cavity + 14.0

    def weight(p: Points) -> Points:
        w: Points = (a.lattice.at(a.cavity, p) < -20.0).astype(np.float64)
        return w

    for centre in _sites(lesions, 2 + int(rng.poisson(2.0)), weight, 5.0):
        lesions.blob(centre, rng.uniform(6.0, 10.0), haze * rng.uniform(0.8, 1.2), ragged=0.55, within=deep)


def _lobar(lesions: Lesions) -> None:
    a, rng = lesions.anatomy, lesions.rng
    candidates = inside(a, 6.0, 4000, rng)
    lobe = lobe_of(a, candidates)
    number = int(rng.choice(5, p=[0.2, 0.12, 0.3, 0.14, 0.24]))
    own = candidates[lobe == number] if (lobe == number).any() else candidates
    seed = own[int(rng.integers(len(own)))]
    z, y, x = a.lattice.axes()
    reach = rng.uniform(24.0, 70.0)
    ball = shapes.ellipsoid(z, y, x, triple(seed), triple(reach * rng.uniform(0.8, 1.3, 3)))
    ball = ball + 6.0 * lesions.wave + 3.0 * lesions.ripple
    walls = [a.lung, x if number < 3 else -x]
    upper, above = -a.fissure, -a.minor_fissure
    walls += {0: [upper, above], 1: [upper, -above], 2: [-upper], 3: [upper], 4: [-upper]}[number]
    region = ball
    for wall in walls:
        region = shapes.intersection(region, np.broadcast_to(wall, region.shape), 2.0)
    solid = region + rng.uniform(3.0, 9.0) + 3.0 * lesions.ripple
    lesions.solid = np.minimum(lesions.solid, solid)
    lesions.add(lesions.everywhere(), region, rng.uniform(180.0, 420.0), soft_mm=6.0)
    lesions.count += 1
    if rng.random() < 0.3:
        _some_haze(lesions)


def _some_haze(lesions: Lesions) -> None:
    """A few patches of ground glass elsewhere, which make the picture less clear."""
    rng = lesions.rng
    for centre in _sites(lesions, int(rng.integers(1, 4)), lambda p: np.ones(len(p)), 5.0):
        lesions.blob(
            centre,
            rng.uniform(6.0, 13.0),
            rng.uniform(110.0, 300.0),
            ragged=0.3,
            within=lesions.anatomy.lung,
        )


def _tree_in_bud(lesions: Lesions) -> None:
    a, rng = lesions.anatomy, lesions.rng
    parts: list[Tubes] = []
    clusters = _sites(lesions, 2 + int(rng.poisson(3.0)), lambda p: (a.lattice.at(a.cavity, p) < -7.0) * 1.0, 7.0)
    for centre in clusters:
        reach = rng.uniform(9.0, 20.0)
        for _ in range(int(rng.integers(4, 11))):
            stem = centre + rng.normal(0.0, 0.5 * reach, 3)
            twigs = int(rng.integers(2, 6))
            buds = stem + rng.normal(0.0, 3.6, (twigs, 3))
            radius = rng.uniform(1.1, 2.4, twigs)
            parts.append(Tubes.balls(buds, radius))
            parts.append(Tubes(np.repeat(stem[None], twigs, 0), buds, np.full((twigs, 2), rng.uniform(0.6, 0.9))))
        lesions.blob(
            centre, float(reach), rng.uniform(35.0, 130.0), ragged=0.3,
            core=rng.uniform(0.15, 0.3) if rng.random() < 0.2 else 0.0, within=a.lung,
        )  # fmt: skip
    lesions.nodules = Tubes.join(parts) if parts else Tubes.none()


def _cavitation(lesions: Lesions) -> None:
    a, rng = lesions.anatomy, lesions.rng
    for centre in _sites(lesions, 1 + int(rng.poisson(0.8)), lambda p: (a.lattice.at(a.lung, p) < -9.0) * 1.0, 9.0):
        radius = rng.uniform(10.0, 24.0)
        radii = radius * rng.uniform(0.8, 1.2, 3)
        z, y, x = a.lattice.axes()
        outer = shapes.ellipsoid(z, y, x, triple(centre), triple(radii))
        outer = outer + (0.12 * radius) * (lesions.wave + lesions.ripple)
        outer = shapes.intersection(outer, a.lung, 3.0)
        hollow = outer + rng.uniform(3.0, 1.5 + 0.32 * radius) + 1.2 * lesions.wave
        lesions.solid = np.minimum(lesions.solid, outer)
        lesions.hollow = np.minimum(lesions.hollow, hollow)
        rim = shapes.intersection(outer - rng.uniform(3.0, 10.0) - 2.0 * lesions.ripple, a.lung, 3.0)
        lesions.add(lesions.everywhere(), rim, rng.uniform(120.0, 350.0), soft_mm=5.0)
        lesions.count += 1
    if rng.random() < 0.5:
        centre = inside(a, 6.0, int(rng.integers(4, 25)), rng)
        lesions.nodules = Tubes.balls(centre, rng.uniform(1.5, 3.5, len(centre)))
    if rng.random() < 0.3:
        _some_haze(lesions)


def _septal(lesions: Lesions) -> None:
    """Pulmonary oedema: smooth septa, some ground glass, pleural fluid on both sides."""
    a, rng = lesions.anatomy, lesions.rng
    z_ref, y_ref, x_ref = a.frame.reference()
    height = z_ref + 0.55 * y_ref
    region = height - rng.uniform(95.0, 175.0) + 14.0 * lesions.wave
    region = shapes.intersection(region * 0.8, a.lung, 4.0)
    lesions.add(lesions.everywhere(), region, rng.uniform(20.0, 120.0), soft_mm=16.0, paved=rng.uniform(0.65, 1.0))
    # Fluid lies behind and below, its surface hollow because it creeps up the wall.
    level = rng.uniform(34.0, 78.0)
    step = rng.uniform(-12.0, 12.0)
    for sign, y_level in ((-1.0, level), (1.0, level + step)):
        surface = y_level - y_ref - 0.16 * (70.0 - z_ref)
        surface = surface - 10.0 * np.clip(np.abs(np.abs(x_ref) - 66.0) / 50.0, 0.0, 1.2) ** 2
        own = np.where(x_ref * sign > 0, surface, FAR)
        lesions.fluid = np.minimum(lesions.fluid, shapes.intersection(own, a.lung, 2.0))
    lesions.count += 1


def _none(_lesions: Lesions) -> None:
    """Negative for pneumonia."""


Draw = Callable[[Lesions], None]

#: finding -> pattern -> how often, and what draws it
PATTERNS: Mapping[str, Mapping[str, tuple[float, Draw]]] = {
    "typical": {"peripheral": (1.0, _peripheral)},
    "indeterminate": {
        "perihilar": (0.3, _perihilar),
        "diffuse": (0.25, _diffuse),
        "one-sided": (0.3, _one_sided),
        "sparse": (0.15, _sparse),
    },
    "atypical": {
        "lobar": (0.38, _lobar),
        "tree-in-bud": (0.24, _tree_in_bud),
        "cavitation": (0.18, _cavitation),
        "septal": (0.2, _septal),
    },
    "negative": {"none": (1.0, _none)},
}
