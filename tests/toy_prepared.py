"""A small prepared set made of nothing: two grey lungs on black, and a bright spot in the patients of class two."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import triplenet
from triplenet.catalog import Task
from triplenet.cohort.folds import FOLDS, Member, split
from triplenet.files import sha256_of, write_json
from triplenet.prepare import store
from triplenet.prepare.opacity_share import OPACITY_HU
from triplenet.prepare.store import PreparedInfo, PreparedPatient, PreparedSet

TASK = Task("toy", "spot or none", ("none", "spot"), {"none": "none", "spot": "spot"}, ("spot",))


def toy_image(kind: str, size: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One image and its mask, (size, size) uint8 each."""
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    lung = (np.abs(np.abs(columns) - 0.22) < 0.15) & (np.abs(rows) < 0.32)
    image = np.where(lung, 70.0, 20.0)
    mask = lung.astype(np.uint8)
    if kind == "spot":
        y, x = generator.uniform(-0.2, 0.2), generator.choice([-1, 1]) * generator.uniform(0.15, 0.28)
        spot = (rows - y) ** 2 + (columns - x) ** 2 < 0.11**2
        image = np.where(spot, 220.0, image)
        mask[spot] = 2
    image += generator.normal(0, 10, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), mask


def write_toy(
    folder: Path,
    findings: Sequence[str | None] = ("none", "spot") * 12,
    *,
    size: int = 64,
    seed: int = 0,
    frames: int = 0,
    lungs: bool = False,
    change: Callable[[np.ndarray, np.ndarray], None] | None = None,
    second: Callable[[np.ndarray], np.ndarray] | None = None,
    labels: Callable[[int, str | None], str | None] | None = None,
    opacity: Callable[[int, str | None], float | None] | None = None,
) -> PreparedSet:
    """Write a prepared set and open it.

    :param lungs: also the lung masks of the frames
    :param change: called with (images, masks) before they are written
    :param second: called with the masks, returns another reader's: 0 and 1, 255 where nobody told
    :param labels: the finding to write for a row, given its number and what its image shows; folds follow the image
    :param opacity: of a patient's lung, given the row's number and what the image shows; as older sets without
    """
    generator = np.random.default_rng(seed)
    samples = [toy_image(finding or "none", size, generator) for finding in findings]
    images, masks = (np.stack(arrays) for arrays in zip(*samples, strict=True))
    if change is not None:
        change(images, masks)
    names = [f"p{row:03d}" for row in range(len(findings))]
    folds = split([Member(name, finding) for name, finding in zip(names, findings, strict=True)])
    written = [finding if labels is None else labels(row, finding) for row, finding in enumerate(findings)]
    patients = [
        PreparedPatient(name, finding, 0, "only", int((mask == 2).sum()), int((mask == 1).sum()), "all")
        for name, finding, mask in zip(names, written, masks, strict=True)
    ]
    folder.mkdir(parents=True)
    np.save(folder / store.IMAGES, images)
    np.save(folder / store.MASKS, masks)
    if second is not None:
        np.save(folder / store.SECOND, second(masks).astype(np.uint8))
    if frames:
        np.save(folder / store.FRAMES, np.repeat(images[:, None], frames, axis=1))
        if lungs:
            inside = np.repeat(np.isin(masks, (1, 2))[:, None], frames, axis=1)
            np.save(folder / store.FRAME_LUNGS, store.pack(inside))
    if opacity is not None:
        shares = [opacity(row, finding) for row, finding in enumerate(findings)]
        patients = [replace(patient, opacity=share) for patient, share in zip(patients, shares, strict=True)]
        _write_csv(folder / store.OPACITY, [store.opacity_row(patient) for patient in patients])
    _write_csv(folder / store.TABLE, [store.table_row(patient) for patient in patients])
    part_of = {
        (fold.number, name): part
        for fold in folds
        for part in ("train", "validation", "test")
        for name in getattr(fold, part)
    }
    _write_csv(
        folder / store.FOLDS_FILE,
        [{"patient": name, **{f"fold{number}": part_of[number, name] for number in FOLDS}} for name in names],
    )
    info = PreparedInfo(
        made_with=triplenet.__version__,
        cohort_sha256="0" * 64,
        window_hu=(-1000, -500),
        size=size,
        frames=frames,
        frame_size=size if frames else 0,
        frame_lungs=lungs,
        patients=len(patients),
        columns=store.OWN_COLUMNS,
        opacity_hu=None if opacity is None else OPACITY_HU,
        files={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    )
    write_json(folder / store.INFO, info.model_dump(mode="json"))
    return PreparedSet.open(folder, verify=True)


def _write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
