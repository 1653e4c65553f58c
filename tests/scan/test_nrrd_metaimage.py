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


NRRD_GRID = """NRRD0004
type: short
dimension: 3
sizes: 30 24 5
endian: little
encoding: {encoding}
{more}"""


@pytest.mark.parametrize(("endian", "dtype"), [("little", "<i2"), ("big", ">i2")])
def test_nrrd_values_of_either_byte_order_agree_with_simpleitk(tmp_path: Path, endian: str, dtype: str) -> None:
    header = NRRD_GRID.format(more="", encoding="raw").replace("little", endian)
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + HU.astype(dtype).tobytes())
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nrrd"))), HU)
    assert np.array_equal(scan.read(tmp_path / "a.nrrd").hu, HU)


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


def test_voxels_before_which_a_header_skips_bytes_agree_with_simpleitk(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"another program's header" + HU.tobytes())
    for size in ("24", "-1"):
        fields = f"ElementType = MET_SHORT\nHeaderSize = {size}\n"
        (tmp_path / "a.mhd").write_text(METAIMAGE.format(fields=fields).replace("LOCAL", "a.raw"))
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.mhd"))), HU)
        assert np.array_equal(scan.read(tmp_path / "a.mhd").hu, HU)


def test_voxels_as_text_agree_with_simpleitk(tmp_path: Path) -> None:
    text = " ".join(str(n) for n in HU.ravel()) + "\n"
    fields = "ElementType = MET_SHORT\nBinaryData = False\n"
    (tmp_path / "a.mha").write_text(METAIMAGE.format(fields=fields) + text)
    (tmp_path / "a.nrrd").write_text(NRRD_GRID.format(more="", encoding="ascii") + "\n" + text.replace(" ", "\n"))
    for name in ("a.mha", "a.nrrd"):
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name))), HU)
        assert np.array_equal(scan.read(tmp_path / name).hu, HU)
        (tmp_path / name).write_text((tmp_path / name).read_text().rpartition("-")[0] + "x")
        with pytest.raises(UnreadableFile, match="fewer numbers"):
            scan.read(tmp_path / name)


def test_a_metaimage_header_may_hold_lines_of_any_form(tmp_path: Path) -> None:
    """SimpleITK stops at a line without a sign; a last line without its end is common in headers written by hand."""
    fields = "ElementType: MET_SHORT\n\nwritten by hand\n= 5\n  Author\xe9 = x = y\n\tElementSpacing =1  2 3\r\n"
    (tmp_path / "a.raw").write_bytes(HU.tobytes())
    header = METAIMAGE.format(fields=fields).replace("LOCAL\n", "a.raw")
    (tmp_path / "a.mhd").write_bytes(header.encode("latin-1"))
    found = scan.read(tmp_path / "a.mhd")
    assert np.array_equal(found.hu, HU)
    assert found.geometry.spacing_mm == pytest.approx((3, 2, 1))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ("ElementType = MET_USHORT_ARRAY\n", NotAVolume),
        ("ElementType = MET_SHORT\nElementNumberOfChannels = 3\n", NotAVolume),
        ("ElementType = MET_SHORT\nBinaryData = False\n", UnreadableFile),
        ("ElementType = MET_SHORT\nHeaderSize = -2\n", UnreadableFile),
        ("ElementType = MET_SHORT\nHeaderSize = 9999999999\n", UnreadableFile),
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


@pytest.mark.parametrize("encoding", ["bzip2", "hex", "zrl", ""])
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
    assert np.array_equal(MetaImageHeader(tmp_path / "a.mha").voxels.load().ravel(), np.arange(24))


def test_a_data_file_may_be_called_from_here_and_not_from_elsewhere(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    sitk.WriteImage(image, str(tmp_path / "a.mhd"))
    text = (tmp_path / "a.mhd").read_text()
    (tmp_path / "b.mhd").write_text(text.replace("a.raw", "./a.raw"))
    assert np.array_equal(MetaImageHeader(tmp_path / "b.mhd").voxels.load().ravel(), np.arange(24))
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


@pytest.mark.parametrize(
    "more",
    [
        "",
        "spacings: 0.7 0.8 2.5\naxis mins: 10 20 30\n",
        "spacings: 0.7 0.8 2.5\naxis mins: 10 20 30\ncenterings: node node node\n",
        "space: 3D-right-handed\nspace directions: (0.7,0,0) (0,0.8,0) (0,0,2.5)\nspace origin: (1,2,3)\n",
        "space dimension: 3\nspace directions: (0,0.7,0) (0.8,0,0) (0,0,2.5)\nspace origin: (1e1,-2.5,3)\n",
        "space: Left-Posterior-Superior\nspace directions: (0.7,0,0)(0,0.8,0) (0, 0, 2.5)\nmin: -5\n# a comment\n",
        "spacings: 0.7 nan 2.5\n",
        'space: RAS\nspace origin: (1,2,3)\nspace units: "mm" "mm" "mm"\nthicknesses: 1 1 2\n',
    ],
)
def test_nrrd_headers_of_other_programs_agree_with_simpleitk(tmp_path: Path, more: str) -> None:
    path = tmp_path / "a.nrrd"
    path.write_bytes(NRRD_GRID.format(more=more, encoding="raw").encode() + b"\n" + HU.tobytes())
    ours, oracle = scan.read(path), sitk.ReadImage(str(path))
    assert np.array_equal(ours.hu, sitk.GetArrayFromImage(oracle))
    for z, y, x in [(0, 0, 0), (1, 5, 17)]:
        assert ours.geometry.world((z, y, x)) == pytest.approx(oracle.TransformIndexToPhysicalPoint((x, y, z)))
    assert any("sides are assumed" in note for note in ours.source.notes) == ("space: Left" not in more)


@pytest.mark.parametrize(
    ("axes", "directions", "kinds"),
    [
        ("1 30 24 5", "none (1,0,0) (0,2,0) (0,0,3)", "list domain domain domain"),
        ("30 24 5 1", "(1,0,0) (0,2,0) (0,0,3) none", "domain domain domain vector"),
        ("30 24 1 5", "(1,0,0) (0,2,0) none (0,0,3)", "space space ??? space"),
    ],
)
def test_an_axis_of_one_that_is_not_in_space_is_none_of_the_volumes(
    tmp_path: Path, axes: str, directions: str, kinds: str
) -> None:
    header = NRRD_GRID.format(more=f"space: LPS\nkinds: {kinds}\nspace directions: {directions}\n", encoding="raw")
    header = header.replace("30 24 5", axes, 1).replace("dimension: 3", "dimension: 4")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + HU.tobytes())
    found = scan.read(tmp_path / "a.nrrd")
    assert np.array_equal(found.hu, HU)
    assert found.geometry.spacing_mm == pytest.approx((3, 2, 1))
    several = header.replace(axes, axes.replace("1", "2"))
    (tmp_path / "a.nrrd").write_bytes(several.encode() + b"\n" + HU.tobytes() * 2)
    with pytest.raises(NotAVolume):
        scan.open(tmp_path / "a.nrrd")


def test_one_slice_may_stand_anywhere_in_the_patient(tmp_path: Path) -> None:
    """SimpleITK refuses two axes in a space of three."""
    more = "space: RAS\nspace directions: (0.7,0,0) (0,0,0.8)\nspace origin: (1,2,3)\n"
    header = NRRD_GRID.format(more=more, encoding="raw").replace("30 24 5", "30 24").replace("ion: 3", "ion: 2")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + HU[2].tobytes())
    found = scan.read(tmp_path / "a.nrrd")
    assert np.array_equal(found.hu, HU[2:3])
    assert found.geometry.world((0, 2, 3)) == pytest.approx((-1 - 3 * 0.7, -2, 3 + 2 * 0.8))


def test_a_unit_of_length_is_taken_as_such(tmp_path: Path) -> None:
    more = (
        'space: LPS\nspace units: "cm" "cm" "cm"\nspace directions: (.1,0,0) (0,.1,0) (0,0,.2)\nspace origin: (1,2,3)\n'
    )
    (tmp_path / "a.nrrd").write_bytes(NRRD_GRID.format(more=more, encoding="raw").encode() + b"\n" + HU.tobytes())
    found = scan.open(tmp_path / "a.nrrd")
    assert found.geometry.world((0, 0, 0)) == pytest.approx((10, 20, 30))
    assert found.spacing_mm == pytest.approx((2, 1, 1))
    assert any("cm" in note for note in found.source.notes)


@pytest.mark.parametrize(
    "field",
    [
        "sizes: 30 24 5",
        "space: LPS\nspace directions: (1,0,0) (0,1,0)",
        "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1",
        "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,x)",
        "space: LPS\nspace directions: (1,0,0,0) (0,1,0,0) (0,0,1,0)",
        "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: 1 2 3",
        "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,1,0)",
        "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1e400)",
        "space: left-sideways",
        "spacings: 1 1",
        "spacings: 1 1 -1e9",
        "byte skip: -2",
        "line skip: -1",
        "line skip: 1000000000",
        "byte skip: nan",
        "data file: ./",
        "endian: middle",
    ],
)
def test_nrrd_headers_that_cannot_be_are_refused(tmp_path: Path, field: str) -> None:
    header = NRRD_GRID.format(more=f"{field}\n", encoding="raw")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + HU.tobytes())
    with pytest.raises(ScanError):
        scan.read(tmp_path / "a.nrrd")


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("skips", ["", "byte skip: 5\n", "line skip: 2\n", "line skip: 1\nbyte skip: 3\n"])
def test_what_is_skipped_before_the_voxels(tmp_path: Path, encoding: str, skips: str) -> None:
    """Lines come before the stream, bytes are those that it unfolds to (Teem's definition of the format)."""
    pack = {"raw": bytes, "gzip": gzip.compress}[encoding]
    lines = 2 if "skip: 2" in skips else 1 if "line" in skips else 0
    before = 5 if "skip: 5" in skips else 3 if "byte" in skips else 0
    content = b"a line\n" * lines + pack(b"x" * before + HU.tobytes())
    (tmp_path / "a.raw").write_bytes(content)
    header = NRRD_GRID.format(more=skips, encoding=encoding)
    (tmp_path / "a.nhdr").write_text(header + "datafile: ./a.raw\n")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + content)
    for name in ("a.nhdr", "a.nrrd"):
        assert np.array_equal(scan.read(tmp_path / name).hu, HU)


def test_voxels_at_the_end_of_a_file(tmp_path: Path) -> None:
    header = NRRD_GRID.format(more="byte skip: -1\n", encoding="raw")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + b"whatever" * 9 + HU.tobytes())
    assert np.array_equal(scan.read(tmp_path / "a.nrrd").hu, HU)


def test_what_a_program_writes_for_itself_is_no_field(tmp_path: Path) -> None:
    more = "sizes of old:=1 2 3\nSegment0_Name:=left: upper\nkey:with colon:=a\u2028sizes: 4\x0b5\n"
    (tmp_path / "a.nrrd").write_bytes(NRRD_GRID.format(more=more, encoding="raw").encode() + b"\n" + HU.tobytes())
    assert NrrdHeader(tmp_path / "a.nrrd").key_values == {
        "sizes of old": "1 2 3",
        "Segment0_Name": "left: upper",
        "key:with colon": "a\u2028sizes: 4\x0b5",
    }
