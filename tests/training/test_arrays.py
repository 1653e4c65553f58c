import numpy as np
import pytest
import torch

from triplenet.errors import BadPreparedSet
from triplenet.prepare.array_file import ArrayFile
from triplenet.training import arrays as module
from triplenet.training.arrays import BatchIndex, DeviceArray, StreamedArray, fits, on_device

CPU = torch.device("cpu")


def at(*rows):
    return BatchIndex.of(rows, CPU)


@pytest.fixture
def source(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (9, 4, 5), dtype=np.uint8)
    np.save(tmp_path / "array.npy", array)
    return np.load(tmp_path / "array.npy", mmap_mode="r")


@pytest.mark.parametrize("stream", [False, True])
def test_rows_come_in_the_order_asked_for_wherever_they_lie(source, stream):
    chosen = np.array([7, 0, 3, 8])
    rows = on_device(source, chosen, CPU, stream=stream)
    assert isinstance(rows, StreamedArray if stream else DeviceArray)
    assert rows.shape == (4, 4, 5) and len(rows) == 4
    assert np.array_equal(rows.fetch(at(3, 0, 0)), source[[8, 7, 7]])
    assert np.array_equal(rows.fetch(at(*range(5))[1:3]), source[[0, 3]])


def test_rows_fetched_ahead_are_the_ones_that_are_taken(source):
    rows = StreamedArray(source, np.arange(9), CPU)
    rows.prefetch(at(4, 2))
    assert np.array_equal(rows.fetch(at(4, 2)), source[[4, 2]])
    rows.prefetch(at(1, 5))
    assert np.array_equal(rows.fetch(at(6)), source[[6]])  # another batch than was announced
    rows.prefetch(at(1, 5))
    assert np.array_equal(rows.fetch(at(5, 1)), source[[5, 1]])  # and another order


def test_a_prepared_set_that_is_cut_while_it_is_streamed_is_a_refusal(source, tmp_path):
    rows = StreamedArray(ArrayFile(tmp_path / "array.npy", source.shape), np.arange(9), CPU)
    assert np.array_equal(rows.fetch(at(8, 1)), source[[8, 1]])
    with (tmp_path / "array.npy").open("r+b") as stream:
        stream.truncate(200)
    rows.prefetch(at(8, 1))
    with pytest.raises(BadPreparedSet, match=r"was cut while it was read: .*array\.npy"):
        rows.fetch(at(8, 1))


def test_data_fits_when_it_leaves_half_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    assert fits(500, CPU)
    assert not fits(501, CPU)
    monkeypatch.setattr(module, "free_memory", lambda: None)
    assert fits(10**18, CPU)
