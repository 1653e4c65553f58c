"""Stored voxels are read slice by slice, and cost no more than the volume that their header claims."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from triplenet import scan
from triplenet.errors import TooLarge, UnreadableFile
from triplenet.scan import Limits
from triplenet.scan.inflate import CHUNK, unpacked
from triplenet.scan.limits import DEFAULT_LIMITS
from triplenet.scan.voxels import StoredVoxels

VALUES = np.random.default_rng(5).integers(-1000, 1000, (7, 30, 40)).astype("<i2")
PACK = {"plain": bytes, "gzip": gzip.compress, "zlib": zlib.compress}


def stored(path: Path, packing: str, content: bytes, shape=VALUES.shape, dtype="<i2", limits=DEFAULT_LIMITS, **where):
    path.write_bytes(content)
    return StoredVoxels(path, path, where.pop("offset", 0), shape, np.dtype(dtype), packing, limits, **where)


@pytest.mark.parametrize("packing", PACK)
def test_slices_come_one_after_the_other(tmp_path: Path, packing: str) -> None:
    found = stored(tmp_path / "a", packing, b"head" + PACK[packing](VALUES.tobytes()), offset=4)
    assert all(np.array_equal(a, b) for a, b in zip(found.slices(), VALUES, strict=True))
    assert np.array_equal(found.load(), VALUES)


@pytest.mark.parametrize("packing", ["gzip", "zlib"])
@pytest.mark.parametrize("skip", [1, 3000, 3 * CHUNK])
def test_what_a_stream_unfolds_to_before_the_voxels_is_skipped(tmp_path: Path, packing: str, skip: int) -> None:
    found = stored(tmp_path / "a", packing, PACK[packing](bytes(skip) + VALUES.tobytes() + b"more"), skip=skip)
    assert np.array_equal(found.load(), VALUES)


@pytest.mark.parametrize("size", [1, 999, 2400])
def test_members_one_behind_the_other_are_one_stream(tmp_path: Path, size: int) -> None:
    raw = VALUES.tobytes()
    content = b"".join(gzip.compress(raw[at : at + size]) for at in range(0, len(raw), size))
    assert np.array_equal(stored(tmp_path / "a", "gzip", content).load(), VALUES)


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_stream_is_refused(tmp_path: Path, packing: str, share: float) -> None:
    content = PACK[packing](VALUES.tobytes())
    with pytest.raises((UnreadableFile, TooLarge)):
        stored(tmp_path / "a", packing, content[: int(len(content) * share)]).load()


@pytest.mark.parametrize("packing", ["gzip", "zlib"])
def test_a_wrong_checksum_is_damage_though_all_voxels_are_there(tmp_path: Path, packing: str) -> None:
    content = bytearray(PACK[packing](VALUES.tobytes()))
    content[-6 if packing == "gzip" else -2] ^= 0xFF
    with pytest.raises(UnreadableFile, match=f"damaged {packing} stream"):
        stored(tmp_path / "a", packing, bytes(content)).load()


def test_a_file_that_is_cut_after_its_header_was_read_is_refused(tmp_path: Path) -> None:
    """A memory map would end in a bus error."""
    found = stored(tmp_path / "a", "plain", VALUES.tobytes())
    (tmp_path / "a").write_bytes(VALUES.tobytes()[:3000])
    with pytest.raises(UnreadableFile, match="truncated"):
        list(found.slices())
    with pytest.raises(UnreadableFile, match="truncated"):
        list(found.chosen([5]))
    (tmp_path / "a").unlink()
    with pytest.raises(UnreadableFile, match="cannot be read"):
        list(found.slices())


@pytest.mark.parametrize("packing", ["gzip", "zlib"])
def test_a_stream_costs_the_memory_of_a_slice_whatever_lies_behind_the_voxels(tmp_path: Path, packing: str) -> None:
    found = stored(tmp_path / "a", packing, PACK[packing](VALUES.tobytes() + bytes(60 * 2**20)))
    tracemalloc.start()
    for _ in found.slices():
        pass
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 8 * 2**20


@pytest.mark.parametrize("packing", ["gzip", "zlib"])
def test_more_than_any_volume_grows_is_refused_from_the_header(tmp_path: Path, packing: str) -> None:
    """An empty mask packs a thousand times, so that a ratio alone says nothing of a small one."""
    content = PACK[packing](bytes(10_000_000))
    assert not stored(tmp_path / "a", packing, content, (10, 1000, 1000), "u1").load().any()
    with pytest.raises(TooLarge):
        stored(tmp_path / "a", packing, content, (1000, 1000, 1000), "u1")
    with pytest.raises(TooLarge, match="250 times"):
        stored(tmp_path / "a", packing, content, (10, 1000, 1000), "u1", Limits(volume_bytes=15_000_000))


def test_a_budget_of_time_is_said_when_it_is_spent(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more than -1 seconds"):
        stored(tmp_path / "a", "gzip", PACK["gzip"](VALUES.tobytes()), limits=Limits(unpacking_s=-1)).load()
    (tmp_path / "b").write_bytes(gzip.compress(b"") * 1000)
    with (tmp_path / "b").open("rb") as file, pytest.raises(TooLarge, match="seconds"):
        list(unpacked(file, "gzip", 10, Limits(unpacking_s=-1), "b"))


def test_labels_as_double_numbers_take_the_memory_of_labels(tmp_path: Path) -> None:
    labels = np.zeros((60, 200, 200))
    labels[30, 50:90, 50:90] = 1
    scan.write_nifti(tmp_path / "a.nii.gz", labels, scan.Geometry(labels.shape, np.diag([2.0, 1, 1, 1])))
    scan.read_mask(tmp_path / "a.nii.gz")
    tracemalloc.start()
    mask, _ = scan.read_mask(tmp_path / "a.nii.gz")
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(mask, labels)
    assert used < labels.nbytes / 2
