"""Programs that did not write the objects: what they say of them, and what they read."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import SimpleITK
from pydicom import Dataset

from outputs.dicom_results import Array, need

_NEWER = "newer than dicom3tools"
_LINKS = "of another module than the object's own, so that a viewer links a picture with the scan"
_EMPTY = "what the source leaves empty is empty"
_AS_IT_IS = "the source's own value, right or wrong"
_LEFT_OUT = "what the source leaves out stands empty where DICOM wants it to stand"
_NOT_HERE = "Attribute is not present in standard DICOM IOD"
_NO_DIRECTORY = "Missing attribute or value that would be needed to build DICOMDIR"
_ONE_SIDE = "Attribute present in one instance but not the other"
#: Part of a remark -> why it stays.
DCIODVFY: Mapping[str, str] = {
    f"/DeviceUID(0018,1002)> - {_NOT_HERE}": f"who made an object is told by a device UID too: {_NEWER}",
    f"</SliceThickness(0018,0050)> - {_NOT_HERE}": _LINKS,
    f"</ImagePositionPatient(0020,0032)> - {_NOT_HERE}": _LINKS,
    f"</ImageOrientationPatient(0020,0037)> - {_NOT_HERE}": _LINKS,
    f"</FrameOfReferenceUID(0020,0052)> - {_NOT_HERE}": _LINKS,
    f"</PositionReferenceIndicator(0020,1040)> - {_NOT_HERE}": _LINKS,
    f"</BodyPartExamined(0018,0015)> - {_NOT_HERE}": "all objects of a result say that they are of the chest",
    "Unrecognized defined term = <99TRIPLENET>": "our own codes",
    "Unrecognized defined term = <QUANTITY>": f"what a map's pixels are: {_NEWER}",
    f"</PatientID(0010,0020)> - {_NO_DIRECTORY}": _EMPTY,
    f"</StudyDate(0008,0020)> - {_NO_DIRECTORY}": _EMPTY,
    f"</StudyTime(0008,0030)> - {_NO_DIRECTORY}": _EMPTY,
    f"</StudyID(0020,0010)> - {_NO_DIRECTORY}": _EMPTY,
    "</PatientName(0010,0010)[1]> - Value dubious for this VR [PN] = <P0007> - Retired Person Name form": _AS_IT_IS,
    "</PatientAge(0010,1010)[1]> - Value invalid for this VR [AS] = <50>": _AS_IT_IS,
    "</PatientSex(0010,0040)[1]> - Unrecognized enumerated value = <U>": _AS_IT_IS,
}
DCENTVFY: Mapping[str, str] = {
    "Different information entities for attribute - Element=<AccessionNumber> IE <Series> versus <Study>": (
        "a document's own module has it too (a series' request); the tool knows one place of it"
    ),
    f"{_ONE_SIDE} - Element=<PatientName> IE": _LEFT_OUT,
    f"{_ONE_SIDE} - Element=<PatientID> IE": _LEFT_OUT,
    f"{_ONE_SIDE} - Element=<PatientBirthDate> IE": _LEFT_OUT,
    f"{_ONE_SIDE} - Element=<PatientSex> IE": _LEFT_OUT,
    f"{_ONE_SIDE} - Element=<StudyDate> IE": _LEFT_OUT,
    f"{_ONE_SIDE} - Element=<StudyTime> IE": _LEFT_OUT,
    f"{_ONE_SIDE} - Element=<StudyID> IE": _LEFT_OUT,
    f"{_ONE_SIDE} - Element=<AccessionNumber> IE": _LEFT_OUT,
    f"{_ONE_SIDE} - Element=<ReferringPhysicianName> IE": _LEFT_OUT,
}
JAR = Path("/usr/share/java/pixelmed.jar")
#: Templates take more steps than Java allows by itself; and a short run is not worth its best compiler.
JAVA = (*(f"-Djdk.xml.xpath{one}Limit=0" for one in ("TotalOp", "ExprOp", "ExprGrp")), "-XX:TieredStopAtLevel=1")
_OLD, _EXTENDED = "a row of TID 1501 or 1411 that is newer than its templates", "the templates may be extended"
_NONE = "Content Item not in template"
_GROUP = 'Error: Template 1411 VolumetricROIMeasurements/[Row 1] CONTAINER (125007,DCM,"Measurement Group")'
_SCAN = "within 1.10.1: "
_TAKEN = "once one group of a report is of a segment it takes every group for one; the first, of the scan, is TID 1501"
PIXELMED_NEWER: Mapping[str, str] = {
    f'TEXT (111001,DCM,"Algorithm Name"): {_NONE}': _OLD,
    f'TEXT (111003,DCM,"Algorithm Version"): {_NONE}': _OLD,
    f'TEXT (122405,DCM,"Algorithm Manufacturer"): {_NONE}': _OLD,
    f'CODE (276214006,SCT,"Finding category"): {_NONE}': _OLD,
    f'IMAGE (121112,DCM,"Source of Measurement"): {_NONE}': _OLD,
    f'IMAGE (130401,DCM,"Visual explanation"): {_NONE}': _OLD,
    f'CODE (233604007,SCT,"Pneumonia"): {_NONE}': f"whether there is an infection: {_EXTENDED}",
    f'CODE (112001,DCM,"Opacity"): {_NONE}': f"whether there is an opacity: {_EXTENDED}",
    f'TEXT (121106,DCM,"Comment"): {_NONE}': f"words: {_EXTENDED}",
}
PIXELMED: Mapping[str, str] = {
    **PIXELMED_NEWER,
    f'{_GROUP}/[Row 5] SCOORD (111030,DCM,"Image Region"): {_SCAN}': _TAKEN,
    f'{_GROUP}/[Row 7] IMAGE (121191,DCM,"Referenced Segment"): {_SCAN}': _TAKEN,
    f'{_GROUP}/[Row 10] SCOORD3D (121231,DCM,"Volume Surface"): {_SCAN}': _TAKEN,
    'has different code meaning ("Source Series for Segmentation")': "a letter: the standard writes both",
}


def _said(*command: str | Path) -> list[str]:
    """Lines on standard output and error, whatever the exit status."""
    done = subprocess.run([str(one) for one in command], capture_output=True, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()


def _remarks(lines: Iterable[str], allowed: Collection[str]) -> list[str]:
    """Errors and warnings, but for those that stay."""
    found = [line for line in lines if line.startswith(("Error", "Warning"))]
    return [line for line in found if not any(part in line for part in allowed)]


def dciodvfy(path: Path) -> list[str]:
    """What it remarks beyond what is allowed."""
    lines = _said(need("dciodvfy"), "-new", path)
    assert lines, "dciodvfy says nothing"
    return _remarks(lines, DCIODVFY)


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """What it remarks of a set of objects."""
    return _remarks(_said(need("dcentvfy"), *paths), DCENTVFY)


def dcmpschk(path: Path) -> list[str]:
    """What dcmtk remarks of a presentation state or another document; its last word must be that the test is passed."""
    lines = _said(need("dcmpschk"), path)
    passed = any("Test passed" in line for line in lines)
    return [] if passed else lines or ["dcmpschk says nothing"]


def pixelmed(path: Path, template: str, allowed: Collection[str] = PIXELMED) -> list[str]:
    """What PixelMed's validator of templates remarks beyond what is allowed.

    :param template: what it must take the document for
    """
    java = need("java")
    if not JAR.is_file():
        pytest.skip("PixelMed is not installed (apt-get install pixelmed-apps)")
    lines = _said(java, *JAVA, "-cp", JAR, "com.pixelmed.validate.DicomSRValidator", path)
    assert f"Found Root Template {template}" in lines and "IOD validation complete" in lines, lines
    return _remarks(lines, allowed)


def by_dcmtk(path: Path) -> Dataset:
    """The data set as dcmtk reads it, by way of JSON; what is binary is in it too."""
    done = subprocess.run([need("dcm2json"), str(path)], capture_output=True, check=True)
    return Dataset.from_json(json.loads(done.stdout.decode("utf-8")))


def binary(dataset: Dataset, keyword: str, dtype: str) -> Array:
    """Pixel data of a data set that came by JSON: 1-D."""
    value = dataset[keyword].value
    return np.frombuffer(base64.b64decode(value) if isinstance(value, str) else value, dtype)


def by_simpleitk(path: Path) -> tuple[SimpleITK.Image, Array]:
    """An image, and its values with the fastest axis last."""
    image = SimpleITK.ReadImage(str(path))
    return image, SimpleITK.GetArrayFromImage(image)


def points_of_image(image: SimpleITK.Image, mask: Array) -> Array:
    """(n, 3) mm where the voxels of a mask (Z, Y, X) lie."""
    return np.array([image.TransformIndexToPhysicalPoint(at) for at in np.argwhere(mask)[:, ::-1].tolist()])


def segments_by_dcmqi(path: Path, folder: Path) -> dict[int, tuple[SimpleITK.Image, Array]]:
    """By the segment's number, the image that dcmqi makes of it."""
    _dcmqi("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd")
    return {int(one.stem): by_simpleitk(one) for one in folder.glob("*.nrrd")}


def map_by_dcmqi(path: Path, folder: Path) -> tuple[SimpleITK.Image, Array]:
    """The image that dcmqi makes of a Parametric Map."""
    _dcmqi("paramap2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd")
    return by_simpleitk(folder / "pmap.nrrd")


def report_by_dcmqi(path: Path, folder: Path) -> dict[str, Any]:
    """What dcmqi reads of a report."""
    _dcmqi("tid1500reader", "--inputDICOM", path, "--outputMetadata", folder / "report.json")
    return dict(json.loads((folder / "report.json").read_text()))


def _dcmqi(tool: str, *options: str | Path) -> None:
    subprocess.run([need(tool), *map(str, options)], check=True, capture_output=True)


class _Page(HTMLParser):
    """What stands on a page: headings, rows of tables, and what it would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.loaded: list[str] = []
        self.sections: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.loaded += [str(told[name]) for name in ("src", "href", "srcset", "data", "action") if name in told]
        if tag == "script":
            self.loaded.append("a script")
        if tag == "section":
            self.sections.append(str(told.get("id")))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "h1":
            self.headings.append("")
        if tag not in ("img", "br", "hr", "meta", "col", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.words.append(data)
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data
        if "h1" in self._open:
            self.headings[-1] += data


def by_chromium(path: Path) -> _Page:
    """A page as a browser has read it."""
    with TemporaryDirectory() as profile:
        command = [need("chromium"), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, check=True)
    page = _Page()
    page.feed(done.stdout.decode("utf-8"))
    return page
