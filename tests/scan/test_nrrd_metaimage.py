"""NRRD and MetaImage: the same voxels as SimpleITK's, and nothing read from outside the folder."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from scan.dicom_builder import body
from scan.grids import rotation
from triplenet import scan
from triplenet.errors import NotAVolume, PathMissing, ScanError, TooLarge, UnreadableFile, UnsafeArchive
from triplenet.scan import Limits
from triplenet.scan.metaimage import MetaImageHeader
from triplenet.scan.nrrd import NrrdHeader

HU = body(5, 24, 30)
SUFFIXES = ["nrrd", "nhdr", "mha", "mhd"]


def image(values: np.typing.NDArray[np.generic] = HU) -> sitk.Image:
    made = sitk.GetImageFromArray(values)
    made.SetSpacing((0.7, 0.8, 2.5)[: made.GetDimension()])
    made.SetOrigin((-33.5, 12.25, -700))
    made.SetDirection(rotation((12, -7, 30)).ravel())
    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("compressed", [True, False])
def test_voxels_lie_where_simpleitk_says(tmp_path: Path, suffix: str, compressed: bool) -> None:
    path = tmp_path / f"a.{suffix}"
    sitk.WriteImage(image(), str(path), compressed)
    ours, oracle = scan.read(path), sitk.ReadImage(str(path))
    assert np.array_equal(ours.hu, HU)
    for z, y, x in [(0, 0, 0), (4, 23, 29), (1, 5, 17)]:
        assert ours.geometry.world((z, y, x)) == pytest.approx(
            oracle.TransformIndexToPhysicalPoint((x, y, z)), abs=1e-3
        )
    assert np.array_equal(scan.open(path).slice(2), HU[2])


def test_floats_are_rounded(tmp_path: Path) -> None:
    sitk.WriteImage(image(HU.astype(np.float32) + 0.25), str(tmp_path / "a.mha"))
    assert np.array_equal(scan.read(tmp_path / "a.mha").hu, HU)


def test_vectors_and_time_series_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 2), np.int16), isVector=True), str(tmp_path / "v.mha"))
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 5), np.int16)), str(tmp_path / "t.nrrd"))
    for name in ("v.mha", "t.nrrd"):
        with pytest.raises(NotAVolume):
            scan.open(tmp_path / name)


@pytest.mark.parametrize("suffix", ["nrrd", "mha"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    sitk.WriteImage(image(), str(path))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises((UnreadableFile, TooLarge)):
        scan.read(path)


NRRD = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: {side} {side} {side}
space directions: (1,0,0) (0,1,0) (0,0,1)
endian: little
encoding: {encoding}
space origin: (0,0,0)
{data}
"""


def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    header = NRRD.format(side=1000, encoding="gzip", data="").encode()
    (tmp_path / "a.nrrd").write_bytes(header + gzip.compress(bytes(10_000)))
    with pytest.raises(TooLarge):
        scan.open(tmp_path / "a.nrrd")
    with pytest.raises(TooLarge):
        scan.open(tmp_path / "a.nrrd", limits=Limits(voxels=1000))


@pytest.mark.parametrize("name", ["/etc/hostname", "../secret.raw", "sub/../../secret.raw", "..\\secret.raw"])
def test_a_data_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(2 * 4**3))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.nhdr").write_text(NRRD.format(side=4, encoding="raw", data=f"data file: {name}\n"))
    (inside / "a.mhd").write_text(
        f"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = {name}\n"
    )
    for header in ("a.nhdr", "a.mhd"):
        with pytest.raises((UnsafeArchive, UnreadableFile)):
            scan.open(inside / header)


def test_a_link_to_a_data_file_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(2 * 4**3))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.raw").symlink_to(tmp_path / "secret.raw")
    (inside / "a.nhdr").write_text(NRRD.format(side=4, encoding="raw", data="data file: a.raw\n"))
    with pytest.raises(UnsafeArchive):
        scan.open(inside / "a.nhdr")


@pytest.mark.parametrize("data", ["LIST", "a.%03d.raw 1 3 1", "missing.raw"])
def test_lists_and_missing_data_files_are_refused(tmp_path: Path, data: str) -> None:
    (tmp_path / "a.nhdr").write_text(NRRD.format(side=4, encoding="raw", data=f"data file: {data}\n"))
    with pytest.raises((UnreadableFile, NotAVolume), match=r"several files|not beside it"):
        scan.open(tmp_path / "a.nhdr")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(PathMissing):
        scan.read(tmp_path / "a.nrrd")


METAIMAGE = "ObjectType = Image\nNDims = 3\nDimSize = 30 24 5\n{fields}ElementDataFile = LOCAL\n"


@pytest.mark.parametrize(
    ("fields", "dtype"),
    [
        ("ElementType = MET_SHORT\nElementByteOrderMSB = True\n", ">i2"),
        ("BinaryDataByteOrderMSB = False\nElementType = MET_INT\nElementSize = 0.7 0.8 2.5\n", "<i4"),
        ("ElementType = MET_FLOAT\nPosition = 1 2 3\nElementSpacing = 0.7 0.8 2.5\n", "<f4"),
        ("ElementType = MET_DOUBLE\nAnatomicalOrientation = RAI\nComment = a = b\n", "<f8"),
    ],
)
def test_metaimage_headers_of_other_programs_agree_with_simpleitk(tmp_path: Path, fields: str, dtype: str) -> None:
    path = tmp_path / "a.mha"
    path.write_bytes(METAIMAGE.format(fields=fields).encode() + HU.astype(dtype).tobytes())
    ours, oracle = scan.read(path), sitk.ReadImage(str(path))
    assert np.array_equal(ours.hu, sitk.GetArrayFromImage(oracle))
    assert ours.geometry.world((1, 5, 17)) == pytest.approx(oracle.TransformIndexToPhysicalPoint((17, 5, 1)))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ("ElementType = MET_USHORT_ARRAY\n", NotAVolume),
        ("ElementType = MET_SHORT\nElementNumberOfChannels = 3\n", NotAVolume),
        ("ElementType = MET_SHORT\nBinaryData = False\n", NotAVolume),
        ("ElementType = MET_SHORT\nElementSpacing = 1 1\n", UnreadableFile),
        ("ElementType = MET_SHORT\nOffset = 1 x 2\n", UnreadableFile),
        ("ElementType = MET_SHORT\nDimSize = 30 24 -5\n", UnreadableFile),
        ("ElementType = MET_SHORT\nDimSize = 30 24 0\n", UnreadableFile),
        ("ElementType = MET_SHORT\nNDims = 77\n", UnreadableFile),
        ("ElementType = MET_SHORT\nCompressedData = True\n", UnreadableFile),
    ],
)
def test_metaimage_headers_that_say_something_else_are_refused(
    tmp_path: Path, fields: str, error: type[Exception]
) -> None:
    (tmp_path / "a.mha").write_bytes(METAIMAGE.format(fields=fields).encode() + HU.tobytes())
    with pytest.raises(error):
        scan.read(tmp_path / "a.mha")


def test_a_metaimage_of_one_slice_is_a_volume_of_one(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(HU[2]), str(tmp_path / "a.mha"))
    assert np.array_equal(scan.read(tmp_path / "a.mha").hu, HU[2:3])


@pytest.mark.parametrize("field", ["encoding", "type", "space", "kinds", "endian", "sizes", "space directions", "x"])
@pytest.mark.parametrize("length", [1000, 20_000])
def test_a_field_of_absurd_length_is_one_refusal(tmp_path: Path, field: str, length: int) -> None:
    """Such headers have killed a native parser, and with it everything beside it."""
    good = NRRD.format(side=4, encoding="raw", data="")
    lines = [line for line in good.splitlines() if line and not line.startswith(f"{field}:")]
    text = "\n".join([*lines, f"{field}: {'gzip' * (length // 4)}"]) + "\n\n"
    (tmp_path / "a.nrrd").write_bytes(text.encode() + bytes(128))
    with pytest.raises(ScanError):
        scan.read(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("space", "turn"), [("left-anterior-superior", (1, -1, 1)), ("RAS", (-1, -1, 1)), ("LPS", (1, 1, 1))]
)
def test_each_space_is_turned_into_the_patients(tmp_path: Path, space: str, turn: tuple[int, ...]) -> None:
    header = (
        f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: 2 3 4\nkinds: domain domain domain\n"
        "space directions: (0.5,0,0) (0,0.6,0) (0,0,2)\nendian: little\nencoding: raw\nspace origin: (1,2,3)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + bytes(48))
    found = NrrdHeader(tmp_path / "a.nrrd").geometry
    np.testing.assert_allclose(found.world((0, 0, 0)), np.multiply((1, 2, 3), turn))
    np.testing.assert_allclose(found.world((1, 1, 1)) - found.world((0, 0, 0)), np.multiply((0.5, 0.6, 2), turn))


@pytest.mark.parametrize("encoding", ["bzip2", "hex", "ascii", ""])
def test_an_encoding_that_is_not_read_is_named(tmp_path: Path, encoding: str) -> None:
    header = NRRD.format(side=4, encoding=encoding, data="")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + bytes(128))
    with pytest.raises(NotAVolume, match=f"encoding '{encoding}' are not read.*save them as raw or gzip"):
        scan.open(tmp_path / "a.nrrd")


def test_keys_that_writers_add_are_passed_over(tmp_path: Path) -> None:
    """SimpleITK writes what it knows of a NIfTI (``dim[0]``) or of DICOM (``0008|0005``)."""
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    image.SetMetaData("dim[0]", "3")
    image.SetMetaData("0008|0005", "ISO_IR 100")
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    assert b"dim[0]" in (tmp_path / "a.mha").read_bytes()
    assert np.array_equal(MetaImageHeader(tmp_path / "a.mha").load().ravel(), np.arange(24))


def test_a_data_file_may_be_called_from_here_and_not_from_elsewhere(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    sitk.WriteImage(image, str(tmp_path / "a.mhd"))
    text = (tmp_path / "a.mhd").read_text()
    (tmp_path / "b.mhd").write_text(text.replace("a.raw", "./a.raw"))
    assert np.array_equal(MetaImageHeader(tmp_path / "b.mhd").load().ravel(), np.arange(24))
    for name in ("../a.raw", "/a.raw", "sub/a.raw", ".././a.raw"):
        (tmp_path / "c.mhd").write_text(text.replace("a.raw", name))
        with pytest.raises(UnsafeArchive):
            scan.open(tmp_path / "c.mhd")
    (tmp_path / "d.mhd").write_text(text.replace("a.raw", "x" * 300 + ".raw"))
    with pytest.raises(UnreadableFile, match="cannot be there"):
        scan.open(tmp_path / "d.mhd")
    (tmp_path / "e.mhd").write_text(text.replace("a.raw", "LIST") + "1.raw\n2.raw\n")
    with pytest.raises(NotAVolume, match="several files"):
        scan.open(tmp_path / "e.mhd")
