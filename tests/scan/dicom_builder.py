"""CT series made for tests: small, valid DICOM files with whatever oddity a test asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"

Array = npt.NDArray[Any]


def body(depth: int = 8, rows: int = 32, columns: int = 40, seed: int = 0) -> npt.NDArray[np.int16]:
    """A chest of sorts, (Z, Y, X) int16 HU: air, an oval of soft tissue, two unlike lungs, a spine; no symmetry."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    y, x = (y - rows / 2) / rows, (x - columns / 2) / columns
    hu = np.full((depth, rows, columns), -1000.0)
    hu[:, (y / 0.42) ** 2 + (x / 0.46) ** 2 < 1] = 40
    for z in range(depth):
        lung = 0.12 + 0.05 * z / depth
        hu[z, (y / 0.25) ** 2 + ((x - 0.2) / lung) ** 2 < 1] = -860
        hu[z, ((y - 0.03) / 0.22) ** 2 + ((x + 0.22) / (lung - 0.03)) ** 2 < 1] = -820 + 2 * z
        hu[z, (y - 0.3) ** 2 + x**2 < 0.006] = 500
    return np.maximum(np.rint(hu + rng.normal(0, 12, hu.shape)), -1024).astype(np.int16)


def slice_dataset(
    stored: Array,
    position: Sequence[float] = (0, 0, 0),
    *,
    across: Sequence[float] = (1, 0, 0),
    down: Sequence[float] = (0, 1, 0),
    spacing: Sequence[float] = (0.8, 0.7),
    thickness: float | None = 2.0,
    slope: float | None = 1.0,
    intercept: float | None = -1024.0,
    signed: bool = False,
    bits: tuple[int, int] = (16, 16),
    series: str = "1.2.826.0.1.3680043.8.498.1",
    **attributes: Any,
) -> Dataset:
    """One CT slice; ``attributes`` are set last, and None removes."""
    dataset = Dataset()
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CT"
    dataset.PatientName = "Secret^Person"
    dataset.PatientID = "SECRET-ID"
    dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.9"
    dataset.SeriesInstanceUID = series
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "Chest"
    dataset.BodyPartExamined = "CHEST"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ConvolutionKernel = "B40f"
    dataset.PatientPosition = "HFS"
    dataset.ImagePositionPatient = [float(f"{value:.6f}") for value in position]
    dataset.ImageOrientationPatient = [float(f"{value:.8f}") for value in (*across, *down)]
    dataset.PixelSpacing = list(spacing)
    dataset.SliceThickness = thickness
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored = bits
    dataset.HighBit = bits[1] - 1
    dataset.PixelRepresentation = int(signed)
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    kind = np.dtype(f"<{'i' if signed else 'u'}{bits[0] // 8}")
    dataset.PixelData = stored.astype(kind).tobytes()
    for name in ("RescaleSlope", "RescaleIntercept", "SliceThickness"):
        if getattr(dataset, name) is None:
            delattr(dataset, name)
    for name, value in attributes.items():
        if value is None:
            if name in dataset:
                delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set as a DICOM file in a syntax that needs no compression of pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax == "1.2.840.10008.1.2.2":  # pydicom writes the bytes of the pixels as they are given
        dataset = _big_endian(dataset)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _big_endian(dataset: Dataset) -> Dataset:
    swapped = Dataset()
    swapped.update(dataset)
    swapped.file_meta = dataset.file_meta
    width = dataset.BitsAllocated // 8
    swapped.PixelData = np.frombuffer(dataset.PixelData, f"<u{width}").astype(f">u{width}").tobytes()
    return swapped


def stored_values(hu: Array, slope: float = 1.0, intercept: float = -1024.0, lowest: int = 0) -> Array:
    """Values to store so that the rescale gives these HU, never below ``lowest``."""
    return np.maximum(np.rint((hu - intercept) / slope), lowest)


def write_series(
    folder: Path,
    hu: Array,
    *,
    origin: Sequence[float] = (-14.0, -12.5, 100.0),
    step: Sequence[float] | None = None,
    across: Sequence[float] = (1, 0, 0),
    down: Sequence[float] = (0, 1, 0),
    gap_mm: float = 2.0,
    names: Sequence[str] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    **options: Any,
) -> list[Path]:
    """Write a volume (Z, Y, X) in HU; slice k lies at ``origin + k * step``, by default along the normal.

    File names and instance numbers run against the positions unless ``names`` says otherwise, so that a reader
    that sorts by either gets the slices in the wrong order.
    """
    step = np.cross(across, down) * gap_mm if step is None else np.asarray(step, float)
    signed = options.get("signed", False)
    lowest = -(2**15) if signed else 0
    paths = []
    for k, values in enumerate(hu):
        stored = stored_values(values, options.get("slope") or 1.0, options.get("intercept", -1024.0) or 0.0, lowest)
        dataset = slice_dataset(
            stored,
            np.asarray(origin) + k * step,
            across=across,
            down=down,
            **{"InstanceNumber": len(hu) - k, **options},
        )
        name = f"IM{len(hu) - k:04d}.dcm" if names is None else names[k]
        paths.append(save(dataset, folder / name, syntax))
    return paths


def enhanced_dataset(
    hu: Array,
    *,
    origin: Sequence[float] = (-14.0, -12.5, 100.0),
    across: Sequence[float] = (1, 0, 0),
    down: Sequence[float] = (0, 1, 0),
    gap_mm: float = 2.0,
    order: Sequence[int] | None = None,
    intercepts: Sequence[float] | None = None,
    **attributes: Any,
) -> Dataset:
    """An enhanced CT object: every frame's place and rescale in functional groups.

    :param order: which slice each frame shows; by default slice k is frame k
    :param intercepts: one for each slice; by default all -1024, shared
    """
    order = range(len(hu)) if order is None else order
    per_slice = [-1024.0] * len(hu) if intercepts is None else intercepts
    stored = np.stack([stored_values(hu[k], 1.0, per_slice[k]) for k in order])
    dataset = slice_dataset(stored[0], slope=None, intercept=None)
    dataset.SOPClassUID = ENHANCED_CT
    dataset.NumberOfFrames = len(hu)
    dataset.PixelData = stored.astype("<u2").tobytes()
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, name)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[*across, *down])]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.8, 0.7], SliceThickness=gap_mm)]
    shared.CTImageFrameTypeSequence = [_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])]
    if intercepts is None:
        shared.PixelValueTransformationSequence = [_rescale(-1024.0)]
    frames = []
    for k in order:
        frame = Dataset()
        position = np.asarray(origin) + k * gap_mm * np.cross(across, down)
        frame.PlanePositionSequence = [_item(ImagePositionPatient=[float(value) for value in position])]
        if intercepts is not None:
            frame.PixelValueTransformationSequence = [_rescale(per_slice[k])]
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def _rescale(intercept: float) -> Dataset:
    return _item(RescaleSlope=1.0, RescaleIntercept=intercept, RescaleType="HU")
