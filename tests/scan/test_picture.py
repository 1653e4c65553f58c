"""PNG and JPEG give grey levels, and never pass for HU."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triplenet import scan
from triplenet.errors import NotAVolume, NotHu, PathMissing, TooLarge, UnreadableFile
from triplenet.scan import Limits

GREY = (np.arange(30 * 40).reshape(30, 40) % 256).astype(np.uint8)


def save(path: Path, values: np.typing.NDArray[np.generic], mode: str | None = None) -> Path:
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_levels_come_out_as_they_are(tmp_path: Path, mode: str) -> None:
    assert np.array_equal(scan.read_image(save(tmp_path / "a.png", GREY, mode)), GREY)


def test_black_and_white_is_0_and_255(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.where(GREY > 100, 255, 0).astype(np.uint8), "1")
    assert np.array_equal(scan.read_image(path), np.where(GREY > 100, 255, 0))


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(30), np.arange(40)).astype(np.uint8)
    found = scan.read_image(save(tmp_path / "a.jpg", smooth))
    assert np.abs(found.astype(int) - smooth).max() <= 4


def test_16_bit_is_read_where_it_is_8_bit_in_truth(tmp_path: Path) -> None:
    assert np.array_equal(scan.read_image(save(tmp_path / "a.png", GREY.astype(np.uint16))), GREY)
    with pytest.raises(NotAVolume):
        scan.read_image(save(tmp_path / "b.png", GREY.astype(np.uint16) * 100))


def test_colour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAVolume):
        scan.read_image(save(tmp_path / "a.png", np.dstack([GREY, GREY, 255 - GREY])))


def test_limits_damage_and_absence(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", GREY)
    with pytest.raises(TooLarge, match="40 x 30"):
        scan.read_image(path, Limits(picture_pixels=1000))
    path.write_bytes(path.read_bytes()[:-80])
    with pytest.raises(UnreadableFile):
        scan.read_image(path)
    (tmp_path / "b.png").write_bytes(b"no picture at all")
    with pytest.raises(UnreadableFile):
        scan.read_image(tmp_path / "b.png")
    with pytest.raises(PathMissing):
        scan.read_image(tmp_path / "c.png")


def test_a_jpeg_that_goes_over_its_pixels_again_and_again_is_refused(tmp_path: Path) -> None:
    """Each pass takes some ninety bytes and the time of a whole picture."""
    Image.fromarray(GREY).save(tmp_path / "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    assert scan.read_image(tmp_path / "a.jpg").shape == GREY.shape
    last = data[data.rfind(b"\xff\xda") : -2]
    (tmp_path / "a.jpg").write_bytes(data[:-2] + last * 200 + data[-2:])
    with pytest.raises(TooLarge, match="passes"):
        scan.read_image(tmp_path / "a.jpg")


def test_a_header_of_more_pixels_than_pillow_opens_is_too_large_and_not_of_another_kind(tmp_path: Path) -> None:
    chunks = b""
    for kind, content in ((b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)), (b"IDAT", b"")):
        chunks += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(TooLarge):
        scan.read_image(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_is_no_scan(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotHu, match="grey levels"):
        scan.read(save(tmp_path / name, GREY))
