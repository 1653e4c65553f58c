"""Valid scans, masks and pictures of a few kilobytes, and how each is damaged."""

from __future__ import annotations

import gzip
import io
import subprocess
import zipfile
from pathlib import Path

import numpy as np

from fuzz.damage import Bytes, Source, below_gzip, text
from scan.dicom_builder import body, enhanced_dataset, save, slice_dataset, write_series

_PIXEL_DATA = b"\xe0\x7f\x10\x00"


def dicom(folder: Path) -> list[Source]:
    """Every syntax without compressed pixels; deflated damaged below its packing too."""
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

    found: list[Source] = []
    for n, syntax in enumerate((None, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)):
        dataset = slice_dataset(body(1, 16, 16)[0] + 1024, PixelPaddingValue=0)
        path = folder / f"{n}.dcm"
        found.append(Bytes((save(dataset, path) if syntax is None else save(dataset, path, syntax)).read_bytes()))
    return found


def enhanced(folder: Path) -> list[Source]:
    """A file of three frames with functional groups."""
    data = save(enhanced_dataset(body(3, 16, 16)), folder / "e.dcm").read_bytes()
    return [Bytes(data, data.rfind(b"\x00\x52\x30\x92"))]


def rle(folder: Path) -> list[Source]:
    """RLE."""
    from pydicom.uid import RLELossless

    return [_compressed(folder, RLELossless)]


def jpeg_ls(folder: Path) -> list[Source]:
    """JPEG-LS without loss."""
    from pydicom.uid import JPEGLSLossless

    return [_compressed(folder, JPEGLSLossless)]


def jpeg_2000(folder: Path) -> list[Source]:
    """JPEG 2000, and its high-throughput kind."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import HTJ2KLossless, JPEG2000Lossless

    from scan.test_htj2k import HU, LOSSLESS

    dataset = slice_dataset(HU + 1024)
    dataset.PixelData = encapsulate([LOSSLESS])
    dataset["PixelData"].is_undefined_length = True
    return [_compressed(folder, JPEG2000Lossless), _behind_pixels(save(dataset, folder / "h.dcm", HTJ2KLossless))]


def jpeg_lossless(folder: Path) -> list[Source]:
    """JPEG Lossless, as GDCM writes it."""
    import SimpleITK
    from pydicom import dcmread

    source = save(slice_dataset(body(1, 40, 40)[0] + 1024), folder / "plain.dcm")
    writer = SimpleITK.ImageFileWriter()
    writer.SetFileName(str(folder / "a.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.Execute(SimpleITK.Cast(SimpleITK.ReadImage(str(source)), SimpleITK.sitkInt16))
    written = dcmread(folder / "a.dcm")  # of another class than CT: its pixels are wanted only
    dataset = slice_dataset(body(1, 40, 40)[0], signed=True, bits=(16, written.BitsStored), intercept=0.0)
    dataset.PixelData = written.PixelData
    dataset["PixelData"].is_undefined_length = True
    return [_behind_pixels(save(dataset, folder / "b.dcm", written.file_meta.TransferSyntaxUID))]


def jpeg(folder: Path) -> list[Source]:
    """JPEG of 8 bits, in one pass and in several."""
    from PIL import Image
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    grey = np.clip(body(1, 40, 40)[0] // 8 + 128, 0, 255).astype(np.uint8)
    found: list[Source] = []
    for progressive in (False, True):
        stream = io.BytesIO()
        Image.fromarray(grey).save(stream, "JPEG", quality=95, progressive=progressive)
        dataset = slice_dataset(grey, bits=(8, 8), slope=8.0)
        dataset.PixelData = encapsulate([stream.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        found.append(_behind_pixels(save(dataset, folder / f"{progressive}.dcm", JPEGBaseline8Bit)))
    return found


def jpeg_12_bit(folder: Path) -> list[Source]:
    """JPEG Extended of 12 bits, as dcmtk writes it."""
    values = np.clip(body(1, 40, 40)[0] + 1024, 0, 4095)
    save(slice_dataset(values, bits=(16, 12)), folder / "plain.dcm")
    command = ["dcmcjpeg", "+ee", str(folder / "plain.dcm"), str(folder / "a.dcm")]
    subprocess.run(command, check=True, capture_output=True)
    return [_behind_pixels(folder / "a.dcm")]


def segmentation(folder: Path) -> list[Source]:
    """A DICOM Segmentation of each type, and the series that they lie on."""
    from scan.test_segmentation import labels, segment

    write_series(folder / "ct", body(6, 24, 20))
    kinds = ("BINARY", "LABELMAP", "FRACTIONAL")
    files = [segment(folder / f"{kind}.dcm", folder / "ct", labels(), kind=kind).read_bytes() for kind in kinds]
    return [Bytes(data, data.find(b"\x62\x00\x02\x00")) for data in files]


def zipped(folder: Path) -> list[Source]:
    """A series in a zip by each method."""
    paths = write_series(folder / "ct", body(2, 12, 12))
    found: list[Source] = []
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", how) as archive:
            for path in paths:
                archive.write(path, path.name)
        found.append(Bytes(out.getvalue(), out.getvalue().rfind(b"PK\x01\x02")))
    return found


def dicomdir(folder: Path) -> list[Source]:
    """A DICOMDIR; what it refers to lies beside it in ``cd``."""
    from scan.test_input_files import dicomdir as write_dicomdir

    write_series(folder / "ct", body(2, 12, 12))
    return [Bytes(write_dicomdir(folder / "ct", folder / "cd").read_bytes(), 500)]


def nifti(folder: Path) -> list[Source]:
    """NIfTI, plain and gzipped."""
    from triplenet import scan

    hu = body(3, 12, 10)
    scan.write_nifti(folder / "a.nii", hu, scan.Geometry(hu.shape, np.diag([2.0, 1, 1, 1])))
    plain = (folder / "a.nii").read_bytes()
    return [Bytes(plain), Bytes(gzip.compress(plain, mtime=0)), below_gzip(plain)]


def nrrd(folder: Path) -> list[Source]:
    """NRRD as SimpleITK and as Slicer write it, plain, gzipped and as text."""
    hu = body(3, 12, 10)
    names = {f"Segment0_{key}": value for key, value in (("Name", "Lung"), ("LabelValue", "1"), ("Layer", "0"))}
    slicer = (
        "NRRD0005\n# made for a test\ntype: short\ndimension: 4\nspace: right-anterior-superior\nsizes: 1 10 12 3\n"
        "space directions: none (0.7,0,0) (0,0.8,0) (0,0,2)\nkinds: list domain domain domain\nendian: little\n"
        'space units: "mm" "mm" "mm"\nbyte skip: 0\nline skip: 0\nencoding: raw\nspace origin: (-1.5,2,3e1)\n'
        "measurement frame: (1,0,0) (0,1,0) (0,0,1)\n"
    ) + "".join(f"{key}:={value}\n" for key, value in names.items())
    as_text = "NRRD0001\ntype: int\ndimension: 3\nsizes: 10 12 3\nspacings: 1 1 2\naxis mins: 0 0 0\nendian: big\n"
    as_text += "encoding: ascii\n\n" + " ".join(str(n) for n in hu.ravel())
    files = [*_by_itk(folder, "nrrd"), slicer.encode() + b"\n" + hu.tobytes(), as_text.encode()]
    return [text(data, b"\n\n") for data in files]


def metaimage(folder: Path) -> list[Source]:
    """MetaImage, plain and packed."""
    return [text(data, b"LOCAL\n") for data in _by_itk(folder, "mha")]


def picture(folder: Path) -> list[Source]:
    """PNG and JPEG."""
    from PIL import Image

    image = Image.fromarray((body(1, 24, 24)[0] // 8 + 128).astype(np.uint8))
    ways = (("a.png", {}), ("b.png", {"bits": 4}), ("a.jpg", {}), ("b.jpg", {"progressive": True}))
    found: list[Source] = []
    for name, options in ways:
        (image.convert("P") if "bits" in options else image).save(folder / name, **options)
        found.append(Bytes((folder / name).read_bytes()))
    image.convert("RGB").save(folder / "c.jpg")
    return [*found, Bytes((folder / "c.jpg").read_bytes())]


def _compressed(folder: Path, syntax: str) -> Source:
    from pydicom import dcmread

    path = save(slice_dataset(body(1, 40, 40)[0] + 1024), folder / "c.dcm")
    dataset = dcmread(path)
    dataset.compress(syntax)
    dataset.save_as(path)
    return _behind_pixels(path)


def _behind_pixels(path: Path) -> Source:
    data = path.read_bytes()
    return Bytes(data, data.rfind(_PIXEL_DATA))


def _by_itk(folder: Path, suffix: str) -> list[bytes]:
    import SimpleITK

    found = []
    for compressed in (False, True):
        path = folder / f"{compressed}.{suffix}"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(body(3, 12, 10)), str(path), compressed)
        found.append(path.read_bytes())
    return found
