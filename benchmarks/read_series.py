"""How long a CT series takes to read, beside SimpleITK, pydicom and the bare scan of its headers.

    python benchmarks/read_series.py [--slices 300] [--size 512] [--repeats 5] [--out FILE]

Makes a series in a temporary folder, once uncompressed and once as JPEG 2000 (lossless), with about as many header
elements as a scanner writes, and a label mask as NIfTI. Prints one JSON object: processor seconds (the shortest of the
repeats, files in the cache, one process) and ratios. Every reader here works on one thread, so on a quiet machine these
are the clock's seconds; on a busy one they leave out the waiting. What is compared:

- ``header_scan``: pydicom reads every header up to the pixels, and nothing more
- ``open``: our headers, series choice, order and geometry
- ``sample``: scan + mask -> the sample that a network reads (``prepare_patient``: headers, mask, one slice decoded);
  ``sample_gz`` is the same with a gzipped mask
- ``read``: our whole volume in HU
- ``simpleitk``: its series reader, whole volume in HU
- ``pydicom``: the usual loop: read, sort by position, rescale, stack
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

from triplenet import scan
from triplenet.cohort.table import Patient
from triplenet.prepare.patient import Options, prepare_patient

_SPACING_MM = (1.0, 0.7, 0.7)


def volume(slices: int, size: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A body with two lungs and scanner noise: (Z, Y, X) int16 HU."""
    rng = np.random.default_rng(0)
    y, x = (np.mgrid[0:size, 0:size] - size / 2) / size
    hu = np.full((size, size), -1000, np.int16)
    hu[(x / 0.45) ** 2 + (y / 0.38) ** 2 < 1] = 40
    for side in (-0.2, 0.2):
        hu[((x - side) / 0.15) ** 2 + (y / 0.25) ** 2 < 1] = -850
    return np.stack([np.maximum(hu + rng.normal(0, 15, hu.shape).astype(np.int16), -1024) for _ in range(slices)])


def labels(slices: int, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """0 background, 1 lung, 2 infection in the upper half of the volume."""
    y, x = (np.mgrid[0:size, 0:size] - size / 2) / size
    mask = np.zeros((slices, size, size), np.uint8)
    for side in (-0.2, 0.2):
        mask[:, ((x - side) / 0.15) ** 2 + (y / 0.25) ** 2 < 1] = 1
    for z in range(slices // 2, slices):
        mask[z, (x + 0.2) ** 2 + y**2 < 0.02 * (1 - abs(2 * z / slices - 1.5))] = 2
    return mask


def header(number: int, size: int, uids: tuple[str, str, str]) -> Dataset:
    """The attributes of one slice, about as many as a scanner writes."""
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = uids
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", 2, number + 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    dataset.SeriesDescription, dataset.BodyPartExamined = "Thorax 1.0 B40f", "CHEST"
    dataset.ConvolutionKernel, dataset.PatientPosition = "B40f", "HFS"
    dataset.SliceThickness = _SPACING_MM[0]
    dataset.ImagePositionPatient = [-size * 0.35, -size * 0.35, number * _SPACING_MM[0]]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [_SPACING_MM[1], _SPACING_MM[2]]
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
    for keyword in (
        "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "StudyTime", "SeriesTime", "AcquisitionTime",
        "ContentTime", "Manufacturer", "InstitutionName", "StationName", "StudyDescription", "ManufacturerModelName",
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "ScanOptions", "KVP",
        "DataCollectionDiameter", "DeviceSerialNumber", "SoftwareVersions", "ProtocolName",
        "ReconstructionDiameter", "DistanceSourceToDetector", "DistanceSourceToPatient", "GantryDetectorTilt",
        "TableHeight", "RotationDirection", "ExposureTime", "XRayTubeCurrent", "Exposure", "FilterType",
        "GeneratorPower", "FocalSpots", "DateOfLastCalibration", "TimeOfLastCalibration", "SingleCollimationWidth",
        "TotalCollimationWidth", "TableSpeed", "SpiralPitchFactor", "CTDIvol", "StudyID", "AcquisitionNumber",
        "SliceLocation", "WindowCenter", "WindowWidth", "RequestedProcedureDescription", "AccessionNumber",
        "ReferringPhysicianName", "PositionReferenceIndicator", "PatientComments", "ImageComments",
    ):  # fmt: skip
        vr = pydicom.datadict.dictionary_VR(keyword)
        value: Any = {"DA": "20200101", "TM": "120000.0", "DS": "1.5", "IS": "7", "AS": "050Y", "FD": 1.5}.get(vr, "X")
        setattr(dataset, keyword, value)
    private = dataset.private_block(0x0029, "TRIPLENET BENCHMARK", create=True)
    for k in range(20):
        private.add_new(k, "LO", f"a vendor's private value number {k}")
    return dataset


def write(folder: Path, hu: np.ndarray[Any, np.dtype[np.int16]], syntax: str) -> None:
    folder.mkdir()
    uids = (generate_uid(), generate_uid(), generate_uid())
    order = np.random.default_rng(1).permutation(len(hu))
    for number, values in enumerate(hu):
        dataset = header(number, hu.shape[1], uids)
        dataset.PixelData = (values + 1024).astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if syntax != ExplicitVRLittleEndian:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(folder / f"{order[number]:04d}.dcm", enforce_file_format=True)


def header_scan(folder: Path) -> int:
    return len([pydicom.dcmread(path, stop_before_pixels=True) for path in folder.iterdir()])


def by_simpleitk(folder: Path) -> np.ndarray[Any, Any]:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return SimpleITK.GetArrayFromImage(reader.Execute())


def by_pydicom(folder: Path) -> np.ndarray[Any, Any]:
    files = sorted((pydicom.dcmread(path) for path in folder.iterdir()), key=lambda d: d.ImagePositionPatient[2])
    return np.stack(
        [(d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)).astype(np.int16) for d in files]
    )


def seconds(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The shortest time of each piece of work: the one that other programs disturbed least.

    After a round to warm up, the works take turns, so that a busy minute of the machine does not fall on one of them.
    """
    best = dict.fromkeys(works, float("inf"))
    for number in range(repeats + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if number > 0:
                best[name] = min(best[name], time.process_time() - start)
    return best


def measure(folder: Path, masks: dict[str, Path], hu: np.ndarray[Any, Any], repeats: int) -> dict[str, float]:
    for read in (lambda: scan.read(folder).hu, lambda: by_simpleitk(folder), lambda: by_pydicom(folder)):
        if not np.array_equal(read(), hu):
            raise SystemExit("a reader gave other values than were written")

    def sample(mask: Path) -> object:
        return prepare_patient(Patient("p", None, folder, mask=mask), Options())

    works: dict[str, Callable[[], object]] = {
        "header_scan": lambda: header_scan(folder),
        "open": lambda: scan.open(folder),
        "sample": lambda: sample(masks["nii"]),
        "sample_gz": lambda: sample(masks["nii.gz"]),
        "read": lambda: scan.read(folder),
        "simpleitk": lambda: by_simpleitk(folder),
        "pydicom": lambda: by_pydicom(folder),
    }
    found = seconds(works, repeats)
    ratios = {
        "open_to_header_scan": found["open"] / found["header_scan"],
        "sample_to_header_scan": found["sample"] / found["header_scan"],
        "sample_gz_to_header_scan": found["sample_gz"] / found["header_scan"],
        "read_to_simpleitk": found["read"] / found["simpleitk"],
        "read_to_pydicom": found["read"] / found["pydicom"],
    }
    return {name: round(value, 4) for name, value in (found | ratios).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the JSON here as well")
    options = parser.parse_args()
    hu = volume(options.slices, options.size)
    mask = labels(options.slices, options.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "raw", hu, ExplicitVRLittleEndian)
        write(folder / "jpeg2000", hu, JPEG2000Lossless)
        geometry = scan.open(folder / "raw").geometry
        masks = {suffix: folder / f"mask.{suffix}" for suffix in ("nii", "nii.gz")}
        for path in masks.values():
            scan.write_nifti(path, mask, geometry)
        elements = len(pydicom.dcmread(folder / "raw" / "0000.dcm", stop_before_pixels=True))
        result = {
            "what": "processor seconds to read one CT series, shortest of the repeats, file cache warm",
            "slices": options.slices,
            "size": options.size,
            "header_elements": elements,
            "repeats": options.repeats,
            "raw": measure(folder / "raw", masks, hu, options.repeats),
            "jpeg2000": measure(folder / "jpeg2000", masks, hu, options.repeats),
            "machine": {
                "processor": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "load_before": round(os.getloadavg()[0], 2),
                "python": platform.python_version(),
                **{name: version(name) for name in ("pydicom", "SimpleITK", "pylibjpeg-openjpeg", "numpy", "nibabel")},
            },
        }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
