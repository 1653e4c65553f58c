"""A phantom scan as CT Image Storage files that say of themselves that they are synthetic."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID, CTImageStorage, ExplicitVRLittleEndian

from triplenet import __version__
from triplenet.phantom.patients import PhantomPatient

#: Names under it give the same UIDs on every machine (root 2.25: UIDs made of UUIDs, PS3.5 B.2).
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:triplenet:phantom")
_DATE, _TIME = "20200101", "120000"
_COMMENT = "Synthetic image made by triplenet phantom. It shows no patient."


def write_dicom(patient: PhantomPatient, folder: Path) -> None:
    """Write a series into a folder, one file a slice, names in no order.

    Stored values follow the simulated scanner: signed or not, its intercept, its padding value.
    """
    folder.mkdir(parents=True)
    series = _series(patient)
    model, slices = patient.protocol.model, patient.geometry.shape[0]
    stored = patient.hu.astype(np.int32) - model.intercept
    pixels = stored.astype("<i2" if model.signed else "<u2")
    for z in range(slices):
        position = patient.geometry.world((z, 0, 0))
        series.SOPInstanceUID = _uid(patient, f"slice {z}")
        # Scanners count from the head down.
        series.InstanceNumber = slices - z
        series.ImagePositionPatient = [_decimal(value) for value in position]
        series.SliceLocation = _decimal(position[2])
        series.PixelData = pixels[z].tobytes()
        series.file_meta = _file_meta(series.SOPInstanceUID)
        name = uuid.uuid5(_NAMESPACE, f"file {series.SOPInstanceUID}").hex[:12]
        series.save_as(folder / f"{name}.dcm", enforce_file_format=True)


def _series(patient: PhantomPatient) -> Dataset:
    """Everything that all slices share."""
    protocol, person = patient.protocol, patient.person
    model = protocol.model
    d = Dataset()
    d.SpecificCharacterSet = "ISO_IR 192"
    d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    d.SOPClassUID = CTImageStorage
    d.SyntheticData = "YES"
    d.StudyDate = d.SeriesDate = d.AcquisitionDate = d.ContentDate = _DATE
    d.StudyTime = d.SeriesTime = d.AcquisitionTime = d.ContentTime = _TIME
    d.AccessionNumber = ""
    d.Modality = "CT"
    d.Manufacturer = "triplenet phantom"
    d.ManufacturerModelName = model.name
    d.SoftwareVersions = f"triplenet {__version__}"
    d.InstitutionName = f"Phantom site {model.site}"
    d.ReferringPhysicianName = ""
    d.StudyDescription = "Synthetic chest CT"
    d.SeriesDescription = f"Synthetic chest {protocol.thickness_mm:g} mm {protocol.kernel.name}"
    d.PatientName = f"PHANTOM^{patient.number}"
    d.PatientID = f"PHANTOM-{patient.number}"
    d.PatientBirthDate = ""
    d.PatientSex = person.sex
    d.PatientAge = f"{person.age:03d}Y"
    d.PatientComments = _COMMENT
    d.BodyPartExamined = "CHEST"
    d.KVP = str(model.kvp)
    d.SliceThickness = _decimal(protocol.thickness_mm)
    d.SpacingBetweenSlices = _decimal(protocol.thickness_mm)
    d.ReconstructionDiameter = _decimal(protocol.pixel_mm * protocol.matrix)
    d.GantryDetectorTilt = "0"
    d.ConvolutionKernel = protocol.kernel.name
    d.PatientPosition = "HFS"
    d.StudyInstanceUID = _uid(patient, "study")
    d.SeriesInstanceUID = _uid(patient, "series")
    d.StudyID = "1"
    d.SeriesNumber = "2"
    d.AcquisitionNumber = "1"
    d.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    d.FrameOfReferenceUID = _uid(patient, "frame of reference")
    d.PositionReferenceIndicator = ""
    d.ImageComments = _COMMENT
    d.SamplesPerPixel = 1
    d.PhotometricInterpretation = "MONOCHROME2"
    d.Rows = d.Columns = protocol.matrix
    d.PixelSpacing = [_decimal(protocol.pixel_mm)] * 2
    d.BitsAllocated = 16
    d.BitsStored = 16 if model.signed else 12
    d.HighBit = d.BitsStored - 1
    d.PixelRepresentation = int(model.signed)
    if model.padding is not None:
        d.PixelPaddingValue = model.padding
    d.BurnedInAnnotation = "NO"
    d.LossyImageCompression = "00"
    d.WindowCenter, d.WindowWidth = ["40", "-600"], ["400", "1500"]
    d.RescaleIntercept = str(model.intercept)
    d.RescaleSlope = "1"
    d.RescaleType = "HU"
    return d


def _file_meta(instance: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    return meta


def _uid(patient: PhantomPatient, what: str) -> UID:
    """The same for the same scan; another scan of the same patient (other size or slices) has others."""
    protocol = patient.protocol
    scan = f"{patient.seed} {patient.index} {patient.finding} {protocol.matrix} {protocol.thickness_mm!r} {__version__}"
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, f'{scan} {what}').int}")


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
