"""Outputs by one word: built-in profiles and a site's own."""

from __future__ import annotations

import gzip
import re

import pytest

from outputs.dicom_results import source
from outputs.dicom_sources import marked
from prepare.synthetic import chest, write
from toy_model import marker
from triplenet.errors import BadSite, NotDicom, PathMissing, UnknownName
from triplenet.outputs import FORMATS, check_formats, predict_batch
from triplenet.outputs.site_profiles import PROFILES, read_site, resolved


def test_a_profile_stands_for_its_formats_each_once():
    assert resolved(["json", "archive", "seg"])[:3] == ("json", "seg", "pm")
    assert resolved(["all"]) == tuple(FORMATS)
    assert resolved(["csv"]) == ("csv",)


def test_every_built_in_profile_lists_formats_that_exist():
    assert {"archive", "all"} <= set(PROFILES)
    for name, formats in PROFILES.items():
        assert name not in FORMATS
        assert check_formats(formats) == formats


def test_a_site_has_profiles_of_its_own(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text('[site]\nours = ["archive", "json"]\nshort = ["csv"]\n[other]\nx = 1\n')
    assert resolved(["ours", "short"], file) == (*PROFILES["archive"], "json", "csv")
    with pytest.raises(UnknownName, match="'ours'"):
        check_formats(resolved(["ours"]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("site = ", "no TOML"),
        ("", r"no table \[site\]"),
        ("site = 3", r"no table \[site\]"),
        ("[site]\nseg = ['json']", "called 'seg'"),
        ("[site]\nall = ['json']", "called 'all'"),
        ("[site]\nours = 'json'", "no list"),
        ("[site]\nours = []", "no list"),
        ("[site]\nours = [1]", "no list"),
        ("[site]\nours = ['json', 'gif']", "unknown output 'gif'"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text, said):
    file = tmp_path / "site.toml"
    file.write_text(text)
    with pytest.raises(BadSite, match=said) as refused:
        read_site(file)
    assert refused.value.code == "BAD_SITE"


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(PathMissing):
        read_site(tmp_path / "none.toml")


def test_a_batch_writes_the_formats_of_a_profile(tmp_path):
    (tmp_path / "site.toml").write_text('[site]\nours = ["seg", "csv"]\n')
    source(tmp_path / "scan", marked(2))
    (done,) = predict_batch(
        [tmp_path / "scan"], marker(), tmp_path / "out", outputs=["ours"], site=tmp_path / "site.toml"
    )
    assert sorted(path.name for path in done.folder.iterdir()) == ["result.csv", "segmentation.dcm"]
    assert done.record is None and not done.summary.refused
    # The folder is known as a result's by whatever lies in it.
    (again,) = predict_batch([tmp_path / "scan"], marker(), tmp_path / "out", outputs=["seg"])
    assert [path.name for path in again.folder.iterdir()] == ["segmentation.dcm"]
    (last,) = predict_batch([tmp_path / "scan"], marker(), tmp_path / "out", outputs=["json"])
    assert [path.name for path in last.folder.iterdir()] == ["result.json"]


def test_only_dicom_objects_tell_whose_scan_it_is(tmp_path):
    source(tmp_path / "Doe-Jane", marked(2))
    source(tmp_path / "Doe-Jim", marked(3))
    predict_batch([tmp_path / "Doe-Jane", tmp_path / "Doe-Jim"], marker(), tmp_path / "out", outputs=["all"])
    secrets = (b"Secret", b"SECRET", b"Doe", b"1.2.826.0.1.3680043.8.498.1")
    telling = set()
    for path in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        data = re.sub(rb"base64,[\w+/=]+", b"", data)  # pictures, in which any short word may stand
        if any(secret in data for secret in secrets):
            telling.add(path.suffix)
        assert not any(secret.decode() in path.name for secret in secrets)
    assert telling == {".dcm"}


def test_a_scan_that_is_no_dicom_is_refused_where_an_object_is_wanted_and_no_other(tmp_path):
    hu, _, _, geometry = chest(lesion=(4, 40, 28, 5))
    write(tmp_path, "P1", hu, geometry)
    source(tmp_path / "scan", marked(2))
    source(tmp_path / "nowhere", marked(2), FrameOfReferenceUID=None, series="1.2.3")
    scans = [tmp_path / "P1.nii", tmp_path / "scan", tmp_path / "nowhere"]
    done = predict_batch(scans, marker(), tmp_path / "out", outputs=["json", "seg"])
    assert [one.summary.code for one in done] == ["NOT_DICOM", None, "NOT_DICOM"]
    assert [path.name for path in done[2].folder.iterdir()] == ["refused.json"]
    assert "FrameOfReferenceUID" in done[2].summary.reason
    assert (done[1].folder / "segmentation.dcm").is_file()
    for scan in (scans[0], scans[2]):
        with pytest.raises(NotDicom):
            predict_batch([scan], marker(), tmp_path / "out", outputs=["seg"])
        assert not (tmp_path / "out" / "scan-001").exists()


def test_what_is_neither_output_nor_profile_is_refused_with_all_that_is(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text('[site]\nours = ["seg"]\n')
    with pytest.raises(UnknownName) as refused:
        resolved(["json", "nope"], site)
    assert "'nope'" in str(refused.value)
    assert {"html", "pacs", "all", "ours"} <= set(str(refused.value).replace(",", "").split())
