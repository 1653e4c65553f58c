"""The arrays of a prepared set: no memory map, so that a cut file or a full disk is an error with a name."""

import errno

import numpy as np
import pytest

from triplenet.errors import BadPreparedSet, OutputFailed
from triplenet.files import whole_folder
from triplenet.prepare import array_file
from triplenet.prepare.array_file import ArrayFile, write_arrays


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(0, 256, (7, 3, 5), dtype=np.uint8)


@pytest.fixture
def file(array, tmp_path):
    np.save(tmp_path / "images.npy", array)
    return ArrayFile(tmp_path / "images.npy", array.shape)


def test_it_is_indexed_as_an_array_is(array, file):
    assert (file.shape, file.ndim, file.nbytes, len(file)) == (array.shape, 3, array.nbytes, 7)
    for rows in (3, -1, np.int64(2), [4, 0, 4], np.array([6, 1]), slice(1, 6, 2), array[:, 0, 0] > 99, []):
        assert np.array_equal(file[rows], array[rows])
    assert np.array_equal(np.asarray(file), array)
    assert np.array_equal(np.stack(list(file)), array)
    with pytest.raises(IndexError):
        file[7]


def test_a_file_that_is_cut_while_it_is_read_is_a_refusal(file, tmp_path):
    with (tmp_path / "images.npy").open("r+b") as stream:
        stream.truncate(128 + 4 * 15 + 3)
    assert file[3].shape == (3, 5)
    with pytest.raises(BadPreparedSet, match=r"cut while it was read: .*images\.npy"):
        file[4]


def test_a_file_that_is_missing_cut_or_of_another_shape_is_refused(array, file, tmp_path):
    with pytest.raises(BadPreparedSet, match="missing or damaged"):
        ArrayFile(tmp_path / "absent.npy", array.shape)
    with pytest.raises(BadPreparedSet, match=r"shape \(7, 3, 5\) instead of \(7, 5, 3\)"):
        ArrayFile(tmp_path / "images.npy", (7, 5, 3))
    np.save(tmp_path / "other.npy", array.astype(np.int16))
    with pytest.raises(BadPreparedSet):
        ArrayFile(tmp_path / "other.npy", array.shape)
    (tmp_path / "images.npy").write_bytes((tmp_path / "images.npy").read_bytes()[:-1])
    with pytest.raises(BadPreparedSet, match="missing or damaged"):
        ArrayFile(tmp_path / "images.npy", array.shape)


@pytest.mark.parametrize(
    "damage", [(b"'shape'", b"'sha\x00e'"), (b"(7, 3", b"(7, ("), (b"|u1", b"|u\xff"), (b"(7,", b"-7.")]
)
def test_a_header_that_python_cannot_read_is_refused(array, file, tmp_path, damage):
    path = tmp_path / "images.npy"
    assert damage[0] in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(*damage))
    with pytest.raises(BadPreparedSet, match="missing or damaged"):
        ArrayFile(path, array.shape)


def test_what_is_written_is_what_numpy_reads(array, tmp_path):
    written = write_arrays(tmp_path, {"images.npy": array.shape}, [{"images": row} for row in array])
    assert np.array_equal(np.load(tmp_path / "images.npy"), array)
    assert np.array_equal(written["images.npy"], array)


def test_a_disk_without_room_is_found_out_before_anything_is_written(array, tmp_path, monkeypatch):
    def full(handle, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    samples = iter([{"images": row} for row in array])
    with pytest.raises(OutputFailed, match="No space left"), whole_folder(tmp_path / "set") as folder:
        array_file.write_arrays(folder, {"images.npy": array.shape}, samples)
    assert len(list(samples)) == 7  # none was asked for
    assert list(tmp_path.iterdir()) == []
