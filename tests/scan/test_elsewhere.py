"""A scan that another process reads is the scan that this one would read."""

import numpy as np
import pytest

from poison import POISON, RIDDLE, poison_readers
from scan.dicom_builder import body, write_series
from triplenet import scan
from triplenet.errors import NotHu, PathMissing, ReaderFault, ReaderLost
from triplenet.processes import Worker
from triplenet.scan import Geometry
from triplenet.scan.elsewhere import with_fallback_elsewhere


def test_it_has_the_same_geometry_source_and_values(tmp_path):
    write_series(tmp_path / "series", body(6))
    here = scan.open(tmp_path / "series")
    with Worker() as worker:

        def use(there):
            assert there.geometry.shape == here.geometry.shape
            np.testing.assert_array_equal(there.geometry.affine, here.geometry.affine)
            assert (there.source, there.key) == (here.source, here.key)
            np.testing.assert_array_equal(there.slice(4), here.slice(4))
            turned, how = there.canonical()
            np.testing.assert_array_equal(how.undo(turned.read().hu), here.read().hu)
            return "used"

        assert with_fallback_elsewhere(worker, tmp_path / "series", use) == "used"


def test_where_the_best_series_cannot_be_decoded_the_next_one_is_used(tmp_path):
    """As in this process: only decoding shows that the first one is spoiled."""
    write_series(tmp_path / "a", body(6, seed=1), series="1.2.3.1")
    write_series(tmp_path / "b", body(4, seed=2), series="1.2.3.2")
    tried = []

    def use(series):
        tried.append(len(series))
        if len(tried) == 1:
            raise NotHu("grey levels")
        return series.key, series.source.choice

    with Worker() as worker:
        there = with_fallback_elsewhere(worker, tmp_path, use)
    assert tried == [6, 4]
    tried.clear()
    assert there == scan.with_fallback(tmp_path, use)


def test_a_refusal_comes_back_as_it_is_and_a_lost_reader_is_one(tmp_path, monkeypatch):
    poison_readers(tmp_path, monkeypatch)
    (tmp_path / "poison.nii").write_bytes(POISON)
    (tmp_path / "riddle.nii").write_bytes(RIDDLE)
    scan.write_nifti(tmp_path / "good.nii", body(3), Geometry((3, 32, 40), np.eye(4)[[2, 1, 0, 3]]))
    with Worker() as worker:
        with pytest.raises(PathMissing, match="absent"):
            with_fallback_elsewhere(worker, tmp_path / "absent", len)
        with pytest.raises(ReaderLost, match="SIGSEGV"):
            with_fallback_elsewhere(worker, tmp_path / "poison.nii", len)
        with pytest.raises(ReaderFault, match="ZeroDivisionError") as caught:
            with_fallback_elsewhere(worker, tmp_path / "riddle.nii", len)
        assert str(tmp_path) not in str(caught.value) and "riddle.nii" in "".join(caught.value.__notes__)
        assert with_fallback_elsewhere(worker, tmp_path / "good.nii", len) == 3
