"""Feed damaged files to the readers: each must be read or refused with a code, never fail in another way.

    python benchmarks/fuzz_readers.py all                    # 10,000 random mutations of valid files each
    python benchmarks/fuzz_readers.py nifti --mutations 100000 --seed 7
    pip install atheris
    python benchmarks/fuzz_readers.py dicom --atheris 600    # ten minutes, guided by coverage

Formats: dicom, enhanced, compressed, seg, zip, dicomdir, nifti, nrrd, metaimage, picture. A finding ends the run; the
file that did it stays in the folder that is named.
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

LIMITS = {"voxels": 2_000_000, "header_bytes": 2**20, "archive_bytes": 2**22, "picture_pixels": 10**6}
SLOW_S = 20.0  # a file of a few kilobytes that takes longer than this is a finding too

Seeds = list[bytes]


def seeds_dicom(folder: Path) -> Seeds:
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

    from scan.dicom_builder import body, save, slice_dataset

    found = []
    for n, syntax in enumerate((None, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)):
        dataset = slice_dataset(body(1, 16, 16)[0] + 1024, PixelPaddingValue=0)
        path = folder / f"{n}.dcm"
        found.append((save(dataset, path) if syntax is None else save(dataset, path, syntax)).read_bytes())
    return found


def seeds_enhanced(folder: Path) -> Seeds:
    from scan.dicom_builder import body, enhanced_dataset, save

    return [save(enhanced_dataset(body(3, 16, 16)), folder / "e.dcm").read_bytes()]


def seeds_compressed(folder: Path) -> Seeds:
    from pydicom import dcmread
    from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

    from scan.dicom_builder import body, save, slice_dataset

    found = []
    for n, syntax in enumerate((RLELossless, JPEGLSLossless, JPEG2000Lossless)):
        path = save(slice_dataset(body(1, 40, 40)[0] + 1024), folder / f"{n}.dcm")
        dataset = dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(path)
        found.append(path.read_bytes())
    return found


def seeds_seg(folder: Path) -> Seeds:
    from scan.dicom_builder import body, write_series
    from scan.test_segmentation import labels, segment

    write_series(folder / "ct", body(6, 24, 20))
    return [
        segment(folder / f"{kind}.dcm", folder / "ct", labels(), kind=kind).read_bytes()
        for kind in ("BINARY", "LABELMAP", "FRACTIONAL")
    ]


def seeds_zip(folder: Path) -> Seeds:
    from scan.dicom_builder import body, write_series

    paths = write_series(folder / "ct", body(2, 12, 12))
    found = []
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", how) as archive:
            for path in paths:
                archive.write(path, path.name)
        found.append(out.getvalue())
    return found


def seeds_dicomdir(folder: Path) -> Seeds:
    from scan.dicom_builder import body, write_series
    from scan.test_files import dicomdir

    write_series(folder / "ct", body(2, 12, 12))
    return [dicomdir(folder / "ct", folder / "cd").read_bytes()]


def seeds_nifti(folder: Path) -> Seeds:
    from scan.dicom_builder import body
    from triplenet import scan

    hu = body(3, 12, 10)
    scan.write_nifti(folder / "a.nii", hu, scan.Geometry(hu.shape, np.diag([2.0, 1, 1, 1])))
    plain = (folder / "a.nii").read_bytes()
    return [plain, gzip.compress(plain, mtime=0)]


def seeds_itk(folder: Path, suffix: str) -> Seeds:
    import SimpleITK

    from scan.dicom_builder import body

    found = []
    for compressed in (False, True):
        path = folder / f"{compressed}.{suffix}"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(body(3, 12, 10)), str(path), compressed)
        found.append(path.read_bytes())
    return found


def seeds_picture(folder: Path) -> Seeds:
    from PIL import Image

    from scan.dicom_builder import body

    image = Image.fromarray((body(1, 24, 24)[0] // 8 + 128).astype(np.uint8))
    found = []
    for suffix in ("png", "jpg"):
        image.save(folder / f"a.{suffix}")
        found.append((folder / f"a.{suffix}").read_bytes())
    return found


FORMATS: dict[str, tuple[str, Callable[[Path], Seeds]]] = {
    "dicom": ("a.dcm", seeds_dicom),
    "enhanced": ("a.dcm", seeds_enhanced),
    "compressed": ("a.dcm", seeds_compressed),
    "seg": ("a.dcm", seeds_seg),
    "zip": ("a.zip", seeds_zip),
    "dicomdir": ("DICOMDIR", seeds_dicomdir),
    "nifti": ("a.nii", seeds_nifti),
    "nrrd": ("a.nrrd", lambda folder: seeds_itk(folder, "nrrd")),
    "metaimage": ("a.mha", lambda folder: seeds_itk(folder, "mha")),
    "picture": ("a.png", seeds_picture),
}


def try_file(path: Path, kind: str) -> str:
    """Read a file in every way that suits it; for each the code of the refusal or ``read``."""
    from triplenet import scan
    from triplenet.errors import TripleNetError

    limits = scan.Limits(**LIMITS)
    verdicts = []
    ways: list[Callable[[], object]] = [lambda: scan.open(path, limits=limits).read()]
    if kind == "picture":
        ways = [lambda: scan.read_image(path, limits)]
    elif kind in ("seg", "nifti", "nrrd", "metaimage"):
        ways.append(lambda: scan.read_mask(path, limits=limits))
    for way in ways:
        try:
            way()
            verdicts.append("read")
        except TripleNetError as error:
            verdicts.append(error.code)
    return "/".join(verdicts)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled or moved, mostly near the beginning, where headers are."""
    values = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not values:
            break
        span = len(values) if rng.random() < 0.3 else min(len(values), 1500)
        at = rng.randrange(span)
        length = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(6):
            case 0:
                values[at : at + length] = rng.randbytes(len(values[at : at + length]))
            case 1:
                values[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            case 2:
                del values[at : at + length]
            case 3:
                values[at:at] = values[at : at + length]
            case 4:
                values[at : at + length] = rng.choice((b"\0", b"\xff")) * length
            case _:
                del values[rng.randrange(len(values)) :]
    return bytes(values)


def one(data: bytes, folder: Path, name: str, kind: str) -> str:
    path = folder / name
    path.write_bytes(data)
    start = time.monotonic()
    verdict = try_file(path, kind)
    if time.monotonic() - start > SLOW_S:
        raise TimeoutError(f"{time.monotonic() - start:.0f} s for {len(data)} bytes: {path}")
    return verdict


def mutate(kind: str, name: str, seeds: Seeds, folder: Path, count: int, seed: int) -> None:
    """Random mutations without guidance; the same for the same seed."""
    rng = random.Random(seed)
    verdicts: dict[str, int] = {}
    for n in range(count):
        data = mutated(rng.choice(seeds), rng)
        try:
            verdict = one(data, folder, name, kind)
        except BaseException:
            shutil.copy(folder / name, folder / f"finding-{n}")
            print(f"finding in mutation {n} of {kind}, seed {seed}: {folder / f'finding-{n}'}", file=sys.stderr)
            raise
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
    print(kind, dict(sorted(verdicts.items())))


def instrument() -> None:
    """Load the readers so that atheris sees their branches; before anything else loads them."""
    import atheris

    with atheris.instrument_imports(include=["triplenet", "pydicom", "nibabel"], enable_loader_override=False):
        import triplenet.scan
        import triplenet.scan.metaimage
        import triplenet.scan.nrrd
        import triplenet.scan.segmentation  # noqa: F401


def guided(kind: str, name: str, seeds: Seeds, folder: Path, seconds: int) -> None:
    """Atheris: mutations guided by the branches that they reach in the readers."""
    import atheris

    corpus = folder / "corpus"
    corpus.mkdir()
    for n, data in enumerate(seeds):
        (corpus / f"seed-{n}").write_bytes(data)

    def target(data: bytes) -> None:
        one(data, folder, name, kind)

    options = (f"-max_total_time={seconds}", "-max_len=20000", f"-timeout={SLOW_S:.0f}", "-rss_limit_mb=3000")
    atheris.Setup([sys.argv[0], str(corpus), *options, f"-artifact_prefix={folder}/"], target)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", choices=[*FORMATS, "all"])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", type=int, metavar="SECONDS", help="run atheris this long instead")
    options = parser.parse_args()
    if options.atheris is not None:
        instrument()
    for kind in FORMATS if options.format == "all" else [options.format]:
        name, make = FORMATS[kind]
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{kind}-"))
        seeds_folder = folder / "seeds"
        seeds_folder.mkdir()
        seeds = make(seeds_folder)
        if options.atheris is not None:
            guided(kind, name, seeds, folder, options.atheris)
        else:
            mutate(kind, name, seeds, folder, options.mutations, options.seed)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
