"""Every kind of input that triplenet reads: valid ones to begin with, how they are damaged, and what reads them."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzz import scans, sets
from fuzz.damage import Source

LIMITS = {
    "voxels": 2_000_000,
    "header_bytes": 2**20,
    "archive_bytes": 2**22,
    "picture_pixels": 10**6,
    "unpacked_bytes": 2**24,
    "volume_bytes": 2**24,
}


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    :param name: of its file
    :param sources: from an empty folder, which keeps what the reader needs beside
    :param read: called with the file and that folder; a refusal is a TripleNetError
    :param needs: a package or program without which there are no sources
    """

    name: str
    sources: Callable[[Path], Sequence[Source]]
    read: Callable[[Path, Path], object]
    needs: str = ""


def verdict(kind: str, path: Path, beside: Path) -> str:
    """``read``, or the code of the refusal.

    :raises Exception: whatever is no refusal, which is a finding
    """
    from triplenet.errors import TripleNetError

    try:
        KINDS[kind].read(path, beside)
    except TripleNetError as error:
        text = str(error)
        if error.code in ("INTERNAL", "FAILED") or "\n" in text:
            raise AssertionError(f"no refusal in one line with a code: {error.code}: {text[:200]!r}") from error
        return error.code
    return "read"


def damaged(sources: Sequence[Source], kind: str, seed: int, number: int) -> bytes:
    """Input ``number`` of a seed."""
    rng = random.Random(f"{kind} {seed} {number}")
    return rng.choice(sources)(rng)


def read_scan(path: Path, _beside: Path) -> None:
    from triplenet import scan

    scan.open(path, limits=scan.Limits(**LIMITS)).read()


def inspect_and_read(path: Path, beside: Path) -> None:
    from triplenet import scan
    from triplenet.scan.inspection import inspect

    inspect(path, limits=scan.Limits(**LIMITS))
    read_scan(path, beside)


def read_dicomdir(path: Path, beside: Path) -> None:
    """A DICOMDIR among the files that it refers to."""
    folder = path.parent / "cd"
    shutil.copytree(beside / "cd", folder, dirs_exist_ok=True)
    shutil.copyfile(path, folder / "DICOMDIR")
    inspect_and_read(folder / "DICOMDIR", beside)


def read_volume(path: Path, beside: Path) -> None:
    """As a scan and as a mask."""
    from triplenet import scan
    from triplenet.errors import TripleNetError

    with suppress(TripleNetError):
        scan.read_mask(path, limits=scan.Limits(**LIMITS))
    read_scan(path, beside)


def read_segmentation(path: Path, beside: Path) -> None:
    from triplenet import scan
    from triplenet.errors import TripleNetError

    with suppress(TripleNetError):
        read_scan(path, beside)
    like = scan.open(beside / "ct").geometry
    with suppress(TripleNetError):
        scan.open_mask(path, like, scan.Limits(**LIMITS), column="infection")
    scan.read_mask(path, limits=scan.Limits(**LIMITS))


def read_picture(path: Path, _beside: Path) -> None:
    from triplenet import scan

    scan.read_image(path, scan.Limits(**LIMITS))


def read_model(path: Path, _beside: Path) -> None:
    import torch

    from triplenet.cohort.cells import unfit_note
    from triplenet.inference.likeness import unlike
    from triplenet.model import load_model, normalise, read_card

    read_card(path)
    model = load_model(path)
    size = model.card.size
    shape = (1, model.card.frames, size, size) if model.card.dimensions == 3 else (1, size, size)
    with torch.inference_mode():
        images = normalise(np.full(shape, 90, np.uint8), model.mean_image, model.card.crop)
        assert torch.isfinite(model.network(images).logits).all()
        distance = None
        if model.embedding is not None:
            distance = float(model.embedding.distances(model.network.features(images))[0])
    reasons = unlike(
        model.card, spacing_mm=(9.0, 9.0, 9.0), header={"kernel": "Q", "contrast": "yes"}, distance=distance
    )
    assert not any(unfit_note(reason) for reason in reasons)


def read_prepared(path: Path, beside: Path) -> None:
    """One file of a prepared set, its name in the first line, among the others as they were."""
    from triplenet.errors import TripleNetError
    from triplenet.prepare import PreparedSet

    name, _, content = path.read_bytes().partition(b"\n")
    folder = path.parent / "set"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(beside / "set", folder)
    (folder / (re.sub(rb"[^a-z_.]", b"", name).decode() or "table.csv")).write_bytes(content)
    with suppress(TripleNetError):
        PreparedSet.open(folder, verify=True)
    opened = PreparedSet.open(folder)
    for array in (opened.images, opened.masks, opened.frames, opened.second):
        if array is not None:
            np.array(array[:2])
    for number in (1, 2, 3):
        opened.fold(number)


def read_table(path: Path, beside: Path) -> None:
    from triplenet.catalog import TASKS
    from triplenet.cohort import read_cohort

    shutil.copytree(beside / "s", path.parent / "s", dirs_exist_ok=True)
    read_cohort(path, tasks=TASKS.values())


def read_recipe(path: Path, _beside: Path) -> None:
    from triplenet.training import load_recipe

    load_recipe(path, method="triple")


def read_segment_names(path: Path, _beside: Path) -> None:
    from triplenet import scan

    names = scan.read_segment_names(path)
    names.kind_of(["Left lung", "Lésion 2"], [("SCT", "39607008")])


KINDS = {
    "dicom": Kind("a.dcm", scans.dicom, inspect_and_read),
    "enhanced": Kind("a.dcm", scans.enhanced, inspect_and_read),
    "rle": Kind("a.dcm", scans.rle, read_scan),
    "jpeg-ls": Kind("a.dcm", scans.jpeg_ls, read_scan, "pyjpegls"),
    "jpeg-2000": Kind("a.dcm", scans.jpeg_2000, read_scan),
    "jpeg-lossless": Kind("a.dcm", scans.jpeg_lossless, read_scan),
    "jpeg": Kind("a.dcm", scans.jpeg, read_scan),
    "jpeg-12-bit": Kind("a.dcm", scans.jpeg_12_bit, read_scan, "dcmcjpeg"),
    "segmentation": Kind("a.dcm", scans.segmentation, read_segmentation, "highdicom"),
    "zip": Kind("a.zip", scans.zipped, inspect_and_read),
    "dicomdir": Kind("DICOMDIR", scans.dicomdir, read_dicomdir),
    "nifti": Kind("a.nii", scans.nifti, read_volume),
    "nrrd": Kind("a.nrrd", scans.nrrd, read_volume),
    "metaimage": Kind("a.mha", scans.metaimage, read_volume),
    "picture": Kind("a.png", scans.picture, read_picture),
    "model": Kind("a.safetensors", sets.model, read_model),
    "prepared": Kind("a.bin", sets.prepared, read_prepared),
    "table": Kind("a.csv", sets.table, read_table),
    "recipe": Kind("a.toml", sets.recipe, read_recipe),
    "segment-names": Kind("a.toml", sets.segment_names, read_segment_names),
}
