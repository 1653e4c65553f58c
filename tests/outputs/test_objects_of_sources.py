"""Pictures, outlines, report and key objects of scans as scanners, archives and people write them."""

from __future__ import annotations

import subprocess

import numpy as np
import pydicom
import pytest

from outputs.dicom_results import errors_of, need, points_of, result_of, source_pixels
from outputs.dicom_sources import SOURCES, marked
from outputs.test_presentation_state import drawn
from outputs.test_secondary_capture import in_patient, reds
from toy_model import MARKED_HU
from triplenet.outputs import secondary_capture, write

NAMES = ("sc", "gsps", "sr", "kos")
#: What dciodvfy warns of, and why it stays.
ALLOWED = (
    # Newer than dicom3tools: who made an object is told by a device UID too.
    "/DeviceUID(0018,1002)> - Attribute is not present in standard DICOM IOD",
    # Of other modules than the object's own, so that a viewer links a picture with the scan.
    "</SliceThickness(0018,0050)> - Attribute is not present in standard DICOM IOD",
    "</ImagePositionPatient(0020,0032)> - Attribute is not present in standard DICOM IOD",
    "</ImageOrientationPatient(0020,0037)> - Attribute is not present in standard DICOM IOD",
    "</FrameOfReferenceUID(0020,0052)> - Attribute is not present in standard DICOM IOD",
    "</PositionReferenceIndicator(0020,1040)> - Attribute is not present in standard DICOM IOD",
    # All objects of a result say that they are of the chest.
    "</BodyPartExamined(0018,0015)> - Attribute is not present in standard DICOM IOD",
    # Our own codes.
    "Unrecognized defined term = <99TRIPLENET>",
)


@pytest.fixture(scope="module", params=SOURCES)
def told(request, tmp_path_factory):
    """Kind, the source's files, the result and the folder of its objects; the first and the last slice have lesions."""
    folder = tmp_path_factory.mktemp("told")
    write_source, options = SOURCES[request.param]
    paths = write_source(folder / "scan", marked(0, 2, 5))
    result = result_of(folder / "scan", **options)
    write(result, folder / "out", NAMES)
    return request.param, paths, result, folder / "out"


def warnings_of(path):
    """What dciodvfy warns of beyond what is allowed."""
    done = subprocess.run([need("dciodvfy"), "-new", str(path)], capture_output=True, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    warned = [line for line in lines if line.startswith("Warning")]
    return [line for line in warned if not any(part in line for part in ALLOWED)]


def test_validators_find_no_error(told):
    _, paths, _, out = told
    made = sorted(out.glob("*.dcm"))
    assert len(made) >= 3
    for path in made:
        assert errors_of("dciodvfy", path, options=["-new"]) == []
        assert warnings_of(path) == []
    assert errors_of("dcentvfy", *paths, *made) == []


def test_presentation_states_pass_dcmtks_check(told):
    _, _, _, out = told
    for path in out.glob("presentation_state*.dcm"):
        checked = subprocess.run([need("dcmpschk"), str(path)], capture_output=True, check=False)
        assert b"Test passed" in checked.stdout + checked.stderr


def test_the_heat_of_each_picture_lies_on_the_lesion_of_its_slice(told):
    kind, paths, _, out = told
    lesions = {}
    for uid, number, position, plane, hu in source_pixels(paths):
        lesions[uid, number] = points_of(hu == MARKED_HU, position, plane)
    everything = np.concatenate(list(lesions.values()))
    hot = 0
    for path in out.glob("secondary_capture*.dcm"):
        made = pydicom.dcmread(path)
        picture = made.pixel_array[:, : -secondary_capture.SCALE]
        found = in_patient(made, *np.nonzero(reds(picture)))
        if kind == "sagittal":  # the picture lies across the scan's slices
            height = made.ImagePositionPatient[2]
            expected = everything[np.abs(everything[:, 2] - height) < 0.1]
        else:
            (image,) = made.SourceImageSequence
            expected = lesions[image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber", 1)]
        assert (len(found) > 0) == (len(expected) > 0)
        if len(expected):
            hot += 1
            assert found.mean(axis=0) == pytest.approx(expected.mean(axis=0), abs=1.0)
    assert hot >= 1


def test_outlines_enclose_the_lesion_of_each_slice(told):
    kind, paths, _, out = told
    states = list(out.glob("presentation_state*.dcm"))
    if kind == "sagittal":
        assert states == []  # what is shown lies across the scan's slices
        return
    (path,) = states
    found = drawn(pydicom.dcmread(path))
    assert found
    for uid, number, _, _, hu in source_pixels(paths):
        mask = found.pop((uid, number), found.pop((uid, None), None))
        if mask is not None:
            rows, columns = hu.shape
            np.testing.assert_array_equal(mask[:rows, :columns], hu == MARKED_HU)
            assert not mask[rows:].any() and not mask[:, columns:].any()
    assert not found
