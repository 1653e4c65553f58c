"""What fills the lungs: parenchyma with its gravity gradient, vessels, airways, and harmless findings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triplenet.phantom import reference as ref
from triplenet.phantom.anatomy import Anatomy
from triplenet.phantom.lattice import Field, Points
from triplenet.phantom.person import Person
from triplenet.phantom.tree import grow
from triplenet.phantom.tubes import Tubes

LOBES = ("right upper", "right middle", "right lower", "left upper", "left lower")
_ARTERY_ROOT = ((158, 18, -47), (126, 2, -47), (120, 32, -46), (157, 10, 53), (124, 40, 52))
_VEIN_ROOT = ((140, -6, -44), (130, -10, -40), (112, 28, -42), (148, -6, 48), (112, 34, 46))
_TIP_MM = 0.37
_BRONCHUS_ROOT = ((154, 25, -49), (122, 8, -42), (114, 37, -43), (146, 18, 51), (118, 45, 47))


@dataclass(frozen=True)
class Lungs:
    """Fields on the lattice and the tubes in them.

    ``density`` is the parenchyma in HU; ``haze`` (HU above it) is dependent atelectasis, which is no lesion;
    ``holes`` (0..1) says how much of the emphysema's pattern shows.
    """

    density: Field
    haze: Field
    holes: Field
    vessels: Tubes
    airways: Tubes
    """The airways' lumen; the wall is drawn around it."""
    bronchioles: Tubes
    """Airways too small to be seen in aerated lung."""
    calcified: Tubes
    scars: Tubes
    bullae: Tubes


def lobe_of(a: Anatomy, points: Points) -> np.ndarray:
    """The number in LOBES of each point (N, 3), patient millimetres."""
    lattice = a.lattice
    upper = lattice.at(a.fissure, points) > 0
    above_minor = lattice.at(a.minor_fissure, points) > 0
    right = points[:, 2] < 0
    lobe = np.where(upper, np.where(above_minor, 0, 1), 2)
    return np.where(right, lobe, np.where(upper, 3, 4))


def inside(a: Anatomy, depth_mm: float, count: int, rng: np.random.Generator) -> Points:
    """Points (N, 3) spread over both lungs, at least ``depth_mm`` below their surface."""
    lattice = a.lattice
    cells = np.flatnonzero(a.lung.ravel() < -depth_mm)
    if not cells.size:
        return np.zeros((0, 3))
    chosen = rng.choice(cells, min(count, cells.size), replace=False)
    index = np.stack(np.unravel_index(chosen, lattice.shape), axis=1)
    jitter = rng.uniform(-0.5, 0.5, index.shape)
    points: Points = np.asarray(lattice.origin_mm) + lattice.spacing_mm * (index + jitter)
    return points


def spread(a: Anatomy, depth_mm: float, step_mm: float, rng: np.random.Generator) -> Points:
    """Points (N, 3) all over both lungs, about ``step_mm`` apart: one at random in each cell of a grid."""
    lattice = a.lattice
    cells = [np.arange(0.0, lattice.spacing_mm * n, step_mm) for n in lattice.shape]
    corner = np.stack(np.meshgrid(*cells, indexing="ij"), axis=-1).reshape(-1, 3)
    points: Points = np.asarray(lattice.origin_mm) + corner + rng.uniform(0.0, step_mm, corner.shape)
    return points[lattice.at(a.lung, points) < -depth_mm]


def build(a: Anatomy, person: Person, rng: np.random.Generator) -> Lungs:
    """The lungs' contents before any lesion of the finding."""
    lattice = a.lattice
    z_ref, y_ref, _ = a.frame.reference()
    gravity = (person.gravity_hu / 170.0) * (y_ref - 5.0)
    density = person.lung_hu + gravity
    density = density + person.mosaic_hu * lattice.smooth_noise(rng, 26.0)
    depth = -a.cavity
    behind = np.clip((0.36 - a.around) / 0.12, 0.0, 1.0)
    haze = np.zeros(lattice.shape, np.float32)
    if person.atelectasis_mm > 0:
        reach = person.atelectasis_mm * (1.0 + 0.35 * lattice.smooth_noise(rng, 30.0))
        low = np.clip((175.0 - z_ref) / 60.0, 0.15, 1.0)
        band = np.clip(1.0 - depth / np.maximum(reach * low, 1.0), 0.0, 1.0)
        haze = (band * behind * (rng.uniform(160.0, 480.0))).astype(np.float32)
    upper = np.clip((z_ref - 60.0) / 130.0, 0.1, 1.0)
    holes = (upper * person.emphysema).astype(np.float32)
    vessels, airways, bronchioles = _trees(a, rng)
    return Lungs(
        density=density.astype(np.float32),
        haze=haze,
        holes=holes,
        vessels=vessels,
        airways=airways,
        bronchioles=bronchioles,
        calcified=_balls(a, person.granulomas, (1.2, 3.0), 4.0, rng),
        scars=_scars(a, person.scars, rng),
        bullae=_bullae(a, person.bullae, rng),
    )


def _trees(a: Anatomy, rng: np.random.Generator) -> tuple[Tubes, Tubes, Tubes]:
    arteries, veins, airways, bronchioles = [], [], [], []
    points = spread(a, 3.0, 9.2, rng)
    lobe = lobe_of(a, points)
    vein_points = spread(a, 4.0, 10.6, rng)
    vein_lobe = lobe_of(a, vein_points)
    artery_root = a.frame.to_patient(np.array(_ARTERY_ROOT, np.float64))
    vein_root = a.frame.to_patient(np.array(_VEIN_ROOT, np.float64))
    bronchus_root = a.frame.to_patient(np.array(_BRONCHUS_ROOT, np.float64))
    for number in range(len(LOBES)):
        tree = grow(artery_root[number], points[lobe == number])
        arteries.append(tree.tubes(_TIP_MM, 0.41, rng))
        veins.append(grow(vein_root[number], vein_points[vein_lobe == number]).tubes(_TIP_MM, 0.40, rng))
        # A bronchus runs beside its artery, on the side on which both leave the hilum.
        beside = bronchus_root[number] - artery_root[number]
        beside /= max(float(np.linalg.norm(beside)), 1e-6)
        radius = 0.30 * tree.load**0.40
        away = (1.9 * radius + 0.9)[:, None] * beside
        course = Tubes(tree.start + away, tree.end + 0.9 * away, np.stack([radius, 0.88 * radius], axis=1))
        airways.append(course.only(tree.load >= 24))
        bronchioles.append(course.only((tree.load >= 4) & (tree.load < 24)))
    vessels, bronchi = _central(a, artery_root, bronchus_root)
    return Tubes.join(arteries + veins + vessels), Tubes.join(airways + bronchi), Tubes.join(bronchioles)


def _central(a: Anatomy, artery_root: Points, bronchus_root: Points) -> tuple[list[Tubes], list[Tubes]]:
    """From the mediastinum to the roots of the lobes."""

    def chain(points: list[Points], radius: list[float]) -> Tubes:
        return Tubes.along(np.stack(points), np.array(radius))

    right, _ = ref.tube(ref.RIGHT_ARTERY, a.frame)
    left, _ = ref.tube(ref.LEFT_ARTERY, a.frame)
    low_right = 0.5 * (right[-1] + artery_root[2])
    vessels = [
        chain([right[-1], artery_root[0]], [6.5, 5.0]),
        chain([right[-1], low_right, artery_root[2]], [7.5, 6.5, 5.6]),
        chain([low_right, artery_root[1]], [4.5, 3.6]),
        chain([left[-1], artery_root[3]], [6.0, 5.2]),
        chain([left[-1], artery_root[4]], [7.0, 5.6]),
    ]
    main_right, _ = ref.tube(ref.RIGHT_BRONCHUS, a.frame)
    main_left, _ = ref.tube(ref.LEFT_BRONCHUS, a.frame)
    trunk = 0.45 * main_right[-1] + 0.55 * bronchus_root[2]
    airways = [
        *(
            chain(list(ref.tube(nodes, a.frame)[0]), list(ref.tube(nodes, a.frame)[1]))
            for nodes in (ref.TRACHEA, ref.RIGHT_BRONCHUS, ref.LEFT_BRONCHUS)
        ),
        chain([main_right[-2], bronchus_root[0]], [5.0, 4.2]),
        chain([main_right[-1], trunk, bronchus_root[2]], [5.6, 5.0, 4.2]),
        chain([trunk, bronchus_root[1]], [3.6, 3.0]),
        chain([main_left[-1], bronchus_root[3]], [5.0, 4.2]),
        chain([main_left[-1], bronchus_root[4]], [5.0, 4.2]),
    ]
    return vessels, airways


def _balls(a: Anatomy, count: int, radius_mm: tuple[float, float], depth_mm: float, rng: np.random.Generator) -> Tubes:
    if count == 0:
        return Tubes.none()
    centre = inside(a, depth_mm, count, rng)
    return Tubes.balls(centre, rng.uniform(*radius_mm, len(centre)))


def _bullae(a: Anatomy, count: int, rng: np.random.Generator) -> Tubes:
    if count == 0:
        return Tubes.none()
    near = inside(a, 3.0, 4000, rng)
    z_low, z_high = near[:, 0].min(), near[:, 0].max()
    chosen = (a.lattice.at(a.lung, near) > -12.0) & (near[:, 0] > z_low + 0.6 * (z_high - z_low))
    centre = near[chosen][:count]
    return Tubes.balls(centre, rng.uniform(4.0, 14.0, len(centre)))


def _scars(a: Anatomy, count: int, rng: np.random.Generator) -> Tubes:
    """Thin bands that run some way along the lung near its surface."""
    if count == 0:
        return Tubes.none()
    start = inside(a, 5.0, count, rng)
    step = rng.normal(0.0, 1.0, start.shape) * [0.35, 1.0, 1.0]
    step *= rng.uniform(12.0, 35.0, (len(start), 1)) / np.linalg.norm(step, axis=1, keepdims=True)
    end = start + step
    within = a.lattice.at(a.lung, end) < -1.0
    radius = rng.uniform(0.6, 1.5, len(start))
    return Tubes(start[within], end[within], np.stack([radius, 0.6 * radius], 1)[within])
