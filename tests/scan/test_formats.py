"""Every format of the registry is a scan, a mask, the only volume of a folder and a part of the report, alike."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from scan.dicom_builder import body
from triplenet import scan
from triplenet.errors import NotHu, SeriesUnknown
from triplenet.scan.file_states import file_states
from triplenet.scan.formats import (
    PICTURE_SUFFIXES,
    VOLUME_SUFFIXES,
    VOLUMES,
    picture_format,
    volume_format,
    without_suffix,
)
from triplenet.scan.inspection import inspect

HU = body(6, 24, 20)


def write(path: Path, array: np.ndarray) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.75, 2.0))
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
def test_every_volume_format_is_read_in_every_way(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", HU)
    kind = volume_format(path.name.upper())
    assert kind is not None
    opened = scan.open(path)
    assert opened.source.format == kind.name == inspect(path).format
    assert np.array_equal(opened.slice(4), HU[4])
    assert np.array_equal(scan.read(path).hu, HU)
    assert opened.source.header["data_type"] == "int16"
    labels = write(tmp_path / f"mask{suffix}", (HU > 0).astype(np.uint8))
    assert np.array_equal(scan.read_mask(labels, like=opened.geometry)[0], HU > 0)
    with pytest.raises(SeriesUnknown):
        scan.open(path, series="1.2.3")


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
def test_the_only_volume_of_a_folder_is_its_scan_in_every_format(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", HU)
    assert np.array_equal(scan.read(tmp_path).hu, HU)
    report = inspect(tmp_path)
    assert report.usable and report.scan is not None
    assert report.scan["choice"].startswith("the only volume file")


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_every_picture_format_is_no_scan_and_says_so(tmp_path: Path, suffix: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((5, 7), 90, np.uint8)), str(tmp_path / f"a{suffix}"))
    kind = picture_format(f"A{suffix.upper()}")
    assert kind is not None
    with pytest.raises(NotHu, match="7 x 5 grey levels"):
        scan.open(tmp_path / f"a{suffix}")
    report = inspect(tmp_path / f"a{suffix}")
    assert (report.format, [problem["code"] for problem in report.problems]) == ("image", ["NOT_HU"])


@pytest.mark.parametrize("kind", [kind for kind in VOLUMES if kind.data_suffixes], ids=lambda kind: kind.name)
def test_a_header_that_leads_to_another_file_depends_on_it(tmp_path: Path, kind) -> None:  # type: ignore[no-untyped-def]
    detached = 0
    for suffix in kind.suffixes:
        write(tmp_path / f"{suffix[1:]}{suffix}", HU)
        states = file_states(tmp_path / f"{suffix[1:]}{suffix}")
        detached += len(states) == 2
        assert all(name.endswith((suffix, *kind.data_suffixes)) for name, *_ in states)
    assert detached == 1


def test_the_longest_suffix_counts() -> None:
    assert without_suffix("A.NII.GZ", VOLUME_SUFFIXES) == "A"
    assert without_suffix("a.b.nii", VOLUME_SUFFIXES) == "a.b"
    assert without_suffix("a.gz", VOLUME_SUFFIXES) is None


def test_a_series_tells_its_size_and_nothing_of_the_patient(tmp_path: Path) -> None:
    path = write(tmp_path / "doe-john.nii", HU)
    assert repr(scan.open(path)) == "<Series nifti: 6 x 24 x 20 voxels (Z, Y, X) of 2 x 0.75 x 0.5 mm>"
