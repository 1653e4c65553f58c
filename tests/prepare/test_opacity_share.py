"""The share of the lung between two limits, counted by hand, and kept in a prepared set without another hash."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from prepare.synthetic import chest, write
from triplenet.cohort import read_cohort, write_cohort
from triplenet.errors import BadPreparedSet
from triplenet.prepare import PreparedSet
from triplenet.prepare.build import prepare
from triplenet.prepare.opacity_share import OPACITY_HU, opacity_share
from triplenet.prepare.patient import Options

SMALL = Options(size=48)


def test_what_lies_between_the_limits_counts_in_the_lung_alone():
    hu = np.array([[-900, -701, -700, -699, -500], [-201, -200, -199, 40, -500]], dtype=np.int16)
    lung = np.array([[True] * 5, [True, True, True, False, False]])
    assert OPACITY_HU == (-700, -200)
    assert opacity_share(hu, lung) == 3 / 8  # -699, -500 and -201; the other -500 is not lung
    assert opacity_share(hu, lung, (-1000, -600)) == 4 / 8
    assert opacity_share(hu, np.zeros_like(lung)) is None


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Eighteen patients with a lesion in slice 4 of the even ones; one has no lung mask."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = []
    for number in range(18):
        hu, lung, infection, geometry = chest(lesion=(4, 40, 28, 5) if number % 2 == 0 else None)
        masks = {"infection": infection} if number == 10 else {"infection": infection, "lung": lung}
        rows.append(write(folder, f"P{number}", hu, geometry, **masks))
        rows[-1]["finding"] = "typical" if number % 2 == 0 else "negative"
    write_cohort(folder / "cohort.csv", rows)
    return read_cohort(folder / "cohort.csv")


def made(cohort, out, options=SMALL):
    return prepare(cohort, out, options, allow_leakage=True, jobs=1)


@pytest.fixture(scope="module")
def prepared(cohort, tmp_path_factory):
    return made(cohort, tmp_path_factory.mktemp("made") / "set")


def test_prepare_keeps_it_at_the_scans_own_resolution(cohort, prepared, tmp_path):
    """Of vessels of -100 HU and air of -860, both with noise of 10, nothing lies between; the lesion of -500 does."""
    _, lung, infection, _ = chest(lesion=(4, 40, 28, 5))
    assert prepared.info.opacity_hu == OPACITY_HU
    assert prepared.patients[0].opacity == infection[4].sum() / lung[4].sum() > 0.01
    assert prepared.patients[1].opacity == 0
    assert prepared.patients[10].opacity is None
    derived = made(cohort, tmp_path / "derived", replace(SMALL, derive_lung=True))
    assert derived.patients[10].opacity == pytest.approx(prepared.patients[0].opacity, rel=0.3)


def test_it_does_not_change_the_sets_hash_and_a_set_without_it_opens(prepared, tmp_path):
    """As sets of earlier versions are: runs trained on one are still those of the set prepared again."""
    shutil.copytree(prepared.folder, tmp_path / "older")
    (tmp_path / "older" / "opacity.csv").unlink()
    info = json.loads((tmp_path / "older" / "prepared.json").read_text())
    del info["files"]["opacity.csv"], info["opacity_hu"]
    (tmp_path / "older" / "prepared.json").write_text(json.dumps(info))
    older = PreparedSet.open(tmp_path / "older", verify=True)
    assert older.info.sha256 == prepared.info.sha256
    assert older.info.opacity_hu is None and {one.opacity for one in older.patients} == {None}


@pytest.mark.parametrize("share", ["", "1.5", "nan", "much"])
def test_a_damaged_file_is_refused(prepared, tmp_path, share):
    shutil.copytree(prepared.folder, tmp_path / "set")
    path = tmp_path / "set" / "opacity.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:1], f"P0,{share}", *lines[2:]] if share else lines[:-1]))
    with pytest.raises(BadPreparedSet, match=r"missing or damaged: .*opacity\.csv"):
        PreparedSet.open(tmp_path / "set")
