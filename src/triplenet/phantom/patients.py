"""One phantom patient, from a seed and a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from triplenet.errors import UnknownName
from triplenet.phantom import anatomy, lungs, patterns, person, scanner
from triplenet.phantom.findings import finding_of
from triplenet.phantom.lattice import Lattice
from triplenet.phantom.reference import APEX_MM
from triplenet.phantom.rendering import render
from triplenet.phantom.slab import Patterns, Subject
from triplenet.phantom.tubes import Raster
from triplenet.scan.volume import Geometry, HuArray, MaskArray

#: Finer lattices change nothing that can be seen, coarser ones blunt the small lesions.
_LATTICE_MM = 4.0


@dataclass(frozen=True)
class PhantomPatient:
    """A synthetic patient's scan and what is true of it.

    :param hu: (Z, Y, X) int16, Hounsfield units; outside the scanner's circle ``protocol.padding_hu``
    :param infection: (Z, Y, X) uint8, 1 where there is a lesion within the lungs. Pleural fluid is none: it
        lies outside the lung, so it belongs to neither mask
    :param lung: (Z, Y, X) uint8, 1 in both lungs, lesions and vessels included
    :param geometry: z runs to the head, y to the back, x to the left
    """

    seed: int
    index: int
    finding: str
    hu: HuArray
    infection: MaskArray
    lung: MaskArray
    geometry: Geometry
    protocol: scanner.Protocol
    person: person.Person
    pattern: str
    """Which of the finding's patterns."""
    lesions: int
    """How many patches were drawn."""

    @property
    def number(self) -> str:
        """The patient's number as it is written: from 0001."""
        return f"{self.index + 1:04d}"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that was drawn at random, for machine-readable output."""
        protocol = asdict(self.protocol)
        protocol["model"] = self.protocol.model.name
        protocol["site"] = self.protocol.model.site
        protocol["kernel"] = self.protocol.kernel.name
        return {
            "finding": self.finding,
            "pattern": self.pattern,
            "lesions": self.lesions,
            "infected_share_of_lung": round(float(self.infection.sum()) / max(float(self.lung.sum()), 1.0), 4),
            "person": asdict(self.person),
            "protocol": protocol,
        }


def patient(
    seed: int,
    index: int,
    *,
    finding: str | None = None,
    pattern: str | None = None,
    matrix: int = 512,
    thickness_mm: float | None = None,
) -> PhantomPatient:
    """Make a patient: the same bits for the same arguments.

    :param index: the patient's number, from 0
    :param finding: one of the catalog's; by default as :func:`finding_of` says
    :param pattern: one of the finding's in ``patterns.PATTERNS``; drawn at random by default
    :param matrix: rows and columns of a slice; the field of view stays, so fewer are larger
    :param thickness_mm: of the slices, which touch; by default as the simulated site does it, 1 to 5 mm
    :raises UnknownName: no such finding or pattern
    """
    finding = finding_of(seed, index) if finding is None else _known("finding", finding, patterns.PATTERNS)
    if pattern is not None:
        _known(f"pattern of a patient with finding {finding}", pattern, patterns.PATTERNS[finding])
    streams = [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, index, k))) for k in range(7)]
    who = person.draw(streams[0])
    protocol = scanner.draw(streams[1], matrix, thickness_mm, 2.0 * who.half_width_mm)
    raster, origin = _place(who, protocol, streams[1])
    body = anatomy.build(_lattice(who, raster), who, streams[2])
    content = lungs.build(body, who, streams[3])
    lesions = patterns.build(body, finding, pattern, streams[4])
    textures = Patterns.draw(streams[5], septa=bool(lesions.paving.max() > 0))
    subject = Subject(who, body, content, lesions, textures)
    hu, infection, lung = render(subject, protocol, raster, streams[6])
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = raster.spacing_mm
    affine[:, 3] = [*origin, 1.0]
    return PhantomPatient(
        seed=seed,
        index=index,
        finding=finding,
        hu=hu,
        infection=infection,
        lung=lung,
        geometry=Geometry(raster.shape, affine),
        protocol=protocol,
        person=who,
        pattern=lesions.pattern,
        lesions=lesions.count,
    )


def _known(kind: str, name: str, names: Iterable[str]) -> str:
    names = list(names)
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}"
        raise UnknownName(f"unknown {kind}", where=repr(name), do=hint)
    return name


def _place(
    who: person.Person, protocol: scanner.Protocol, rng: np.random.Generator
) -> tuple[Raster, tuple[float, float, float]]:
    """The voxels in the body's millimetres, and the first voxel's (x, y, z) in the scanner's."""
    thickness, pixel = protocol.thickness_mm, protocol.pixel_mm
    low = float(rng.uniform(-34.0, -8.0)) * who.scale[0]
    high = (APEX_MM + float(rng.uniform(8.0, 24.0))) * who.scale[0]
    half = 0.5 * (protocol.matrix - 1) * pixel
    raster = Raster(
        (low, protocol.offset_mm[0] - half, protocol.offset_mm[1] - half),
        (thickness, pixel, pixel),
        (int((high - low) / thickness) + 1, protocol.matrix, protocol.matrix),
    )
    # Where the table stands is nobody's choice: to a tenth of a millimetre, so that DICOM's text holds it exactly.
    shift = (float(rng.normal(0.0, 6.0)), float(rng.uniform(-190.0, -120.0)), float(rng.uniform(-900.0, 300.0)))
    x, y, z = (round(start + s, 1) for start, s in zip(raster.origin_mm[::-1], shift, strict=True))
    return raster, (x, y, z)


def _lattice(who: person.Person, raster: Raster) -> Lattice:
    z = raster.axis(0)
    half = 0.5 * raster.shape[2] * raster.spacing_mm[2] + 14.0
    front = 118.0 * who.scale[1] + who.fat_mm + 1.3 * who.breast_mm + 16.0
    back = 118.0 * who.scale[1] + 0.6 * who.fat_mm + 22.0
    return Lattice.covering((float(z[0]) - 8.0, -front, -half), (float(z[-1]) + 8.0, back, half), _LATTICE_MM)
