"""``inspect`` tells what is there, what would be used, and every problem by its code."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
import typer
from PIL import Image
from pydicom import dcmread
from typer.testing import CliRunner

from scan.dicom_builder import body, save, slice_dataset, write_series
from triplenet import scan
from triplenet.cli.inspect import inspect as verb
from triplenet.errors import PathMissing
from triplenet.scan.inspection import inspect

HU = body(6, 24, 20)
CODES = {
    "BAD_GEOMETRY", "DUPLICATE_SLICES", "EMPTY_FOLDER", "NOT_A_VOLUME", "NOT_HU", "NO_CT_SERIES", "SERIES_GAP",
    "SEVERAL_PATIENTS", "TOO_LARGE", "TRANSFER_SYNTAX", "UNREADABLE_FILE", "UNSAFE_ARCHIVE",
}  # fmt: skip
PYDICOM_FILES = Path(pydicom.data.__file__).parent / "test_files"


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(verb)
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A thin chest with a slice missing, a thick one, a localizer, a damaged file and a text file."""
    write_series(tmp_path / "thin", HU, series="1.2.3.1", SeriesNumber=1, thickness=1.0)[2].unlink()
    write_series(tmp_path / "thick", HU, series="1.2.3.2", SeriesNumber=2, thickness=5.0)
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_series(tmp_path / "scout", HU[:1], series="1.2.3.3", SeriesNumber=3, ImageType=scout)
    whole = (tmp_path / "thick" / "IM0001.dcm").read_bytes()
    (tmp_path / "broken.dcm").write_bytes(whole[:200])
    (tmp_path / "notes.txt").write_text("hello")
    return tmp_path


def test_the_report_says_what_is_used_and_why(study: Path) -> None:
    report = inspect(study)
    assert report.usable
    assert report.format == "dicom"
    assert [(entry["uid"], entry["used"]) for entry in report.series] == [
        ("1.2.3.1", False),
        ("1.2.3.2", True),
        ("1.2.3.3", False),
    ]
    thin, thick, scout = report.series
    assert thin["problem"]["code"] == "SERIES_GAP"
    assert "missing at 104.00 mm" in thin["problem"]["what"]
    assert thick["problem"] is None
    assert thick["reasons"][:2] == ["+20 axial", "+20 chest"]
    assert thick["slice_spacing_mm"] == 2.0
    assert thick["transfer_syntax"] == ["Explicit VR Little Endian"]
    assert scout["excluded"] == "localizer"
    assert {problem["code"] for problem in report.problems} == {"SERIES_GAP", "UNREADABLE_FILE"}
    assert report.skipped == {"not DICOM": 1}
    assert report.scan is not None
    assert report.scan["shape"] == [6, 24, 20]
    assert report.scan["directions"] == ["to the head", "to the back", "to the left"]


def test_json_is_one_object(study: Path) -> None:
    code, text = run(str(study), "--json")
    assert code == 0
    found = json.loads(text)
    assert found["usable"] is True
    assert [entry["number"] for entry in found["series"]] == [1, 2, 3]


def test_a_person_reads_series_choice_and_problems(study: Path) -> None:
    code, text = run(str(study))
    assert code == 0
    for expected in (
        "1.2.3.2",
        "used: dicom, 6 x 24 x 20",
        "problem[SERIES_GAP]",
        "problem[UNREADABLE_FILE]",
        "localizer",
    ):
        assert expected in text


def test_another_series_and_gaps_can_be_asked_for(study: Path) -> None:
    assert inspect(study, "1.2.3.1").problems[-1]["code"] == "SERIES_GAP"
    assert not inspect(study, "1.2.3.1").usable
    report = inspect(study, "1.2.3.1", allow_gaps=True)
    assert report.scan is not None
    assert report.scan["even"] is False
    code, text = run(str(study), "--series", "1.2.3.1", "--allow-gaps", "--json")
    assert code == 0
    assert json.loads(text)["scan"]["shape"] == [5, 24, 20]


def test_nothing_usable_is_exit_code_1(tmp_path: Path) -> None:
    write_series(tmp_path, HU + 1024)
    code, text = run(str(tmp_path), "--json")
    assert code == 1
    found = json.loads(text)
    assert found["usable"] is False
    assert found["problems"][0]["code"] == "NOT_HU"
    assert not any(entry["used"] for entry in found["series"])
    assert run(str(tmp_path))[0] == 1


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_volumes_are_described_too(tmp_path: Path, name: str) -> None:
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, -0.7], [0, -0.8, 0], [2.5, 0, 0]]
    scan.write_nifti(tmp_path / name, HU, scan.Geometry(HU.shape, affine))
    report = inspect(tmp_path / name)
    assert report.format == "nifti"
    assert report.scan is not None
    assert report.scan["spacing_mm"] == [2.5, 0.8, 0.7]
    assert report.scan["directions"] == ["to the head", "to the front", "to the right"]


def test_a_picture_is_told_to_be_one(tmp_path: Path) -> None:
    Image.fromarray(HU[0].astype(np.uint8)).save(tmp_path / "a.png")
    report = inspect(tmp_path / "a.png")
    assert report.format == "image"
    assert report.problems[0]["code"] == "NOT_HU"
    assert "20 x 24" in report.problems[0]["what"]


def test_damage_deep_in_the_pixels_is_found_when_all_is_decoded(tmp_path: Path) -> None:
    for path in write_series(tmp_path, body(6, 64, 64)):
        dataset = dcmread(path)
        dataset.compress("1.2.840.10008.1.2.4.90", generate_instance_uid=False)
        dataset.save_as(path)
    path = tmp_path / "IM0006.dcm"  # the first slice, which a quick look leaves out
    values = bytearray(path.read_bytes())
    start = values.find(b"\xff\x93")  # start of data: the bytes behind it are the coded picture
    values[start + 2 : start + 60] = bytes(58)
    values[start - 12 : start - 2] = b"\xff" * 10
    path.write_bytes(values)
    assert inspect(tmp_path).usable
    assert not inspect(tmp_path, decode_all=True).usable


def test_no_patient_attributes_are_shown(study: Path) -> None:
    for arguments in ([], ["--json"]):
        assert "secret" not in run(str(study), *arguments)[1].lower()


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PathMissing):
        inspect(tmp_path / "nothing")


def everything(folder: Path) -> Iterator[Path]:
    yield folder
    yield from sorted(path for path in folder.rglob("*") if path.is_dir() or path.is_file())


def check_verdict(path: Path) -> dict[str, object]:
    """Read right or refused with a code: and in either case a report that JSON can hold."""
    report = inspect(path, decode_all=True)
    assert report.usable or report.problems, path
    for problem in report.problems:
        assert problem["code"] in CODES, (path, problem)
        assert "\n" not in str(problem["what"]), path
    json.dumps(report.as_dict(), allow_nan=False)
    return report.as_dict()


def test_every_file_that_pydicom_tests_with_is_read_or_refused(recwarn: pytest.WarningsRecorder) -> None:
    verdicts = {str(path.relative_to(PYDICOM_FILES)): check_verdict(path) for path in everything(PYDICOM_FILES)}
    assert len(verdicts) > 100
    usable = {name for name, verdict in verdicts.items() if verdict["usable"]}
    assert "CT_small.dcm" in usable
    assert not any(name.startswith(("MR", "rt", "SC_", "waveform", "dicomdirtests/98892003")) for name in usable)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.real_data
def test_every_real_file_is_read_or_refused(real_data: Path) -> None:
    verdicts = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in everything(real_data / "dicom"):
            if path.is_dir() or "odd" in path.parts:
                verdicts[path.relative_to(real_data / "dicom").as_posix()] = check_verdict(path)
    assert verdicts["covid-ct-md_P001"]["usable"]
    assert verdicts["covid-ct-md_P001"]["scan"]["shape"] == [148, 512, 512]  # type: ignore[index]
    assert verdicts["lung-pet-ct-dx_A0002"]["usable"]


@pytest.mark.parametrize("percent", range(0, 100, 2))
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, percent: int) -> None:
    path = save(slice_dataset(HU[3] + 1024), tmp_path / "a.dcm")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * percent // 100])
    assert not check_verdict(path)["usable"]
