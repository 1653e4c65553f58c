"""Features from elsewhere: what a file may look like, and one line with a code for what it may not."""

import zipfile

import numpy as np
import pytest

from triplenet.benchmark.features_file import read_features
from triplenet.errors import BadInput, PathMissing

NAMES = ("a", "b", "c")
NEEDED = np.array([True, True, False])
VECTORS = np.array([[1.0, 2], [3, 4], [5, 6]])


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_vectors_come_in_the_prepared_sets_order_in_either_form(tmp_path):
    table = saved(tmp_path / "Dino v2.npz", patients=["x", "b", "a"], features=VECTORS.astype(np.float16))
    read = read_features(table, NAMES, NEEDED)
    assert read.name == "dino-v2" and read.dimensions == 2 and len(read.sha256) == 64
    assert read.vectors[:2].tolist() == [[5, 6], [3, 4]]
    assert np.isnan(read.vectors[2]).all()  # not there, and need not be
    single = read_features(saved(tmp_path / "own.npz", b=VECTORS[1], a=VECTORS[2], x=VECTORS[0]), NAMES, NEEDED)
    assert np.array_equal(single.vectors, read.vectors, equal_nan=True)
    numbers = read_features(saved(tmp_path / "n.npz", patients=[2, 1], features=VECTORS[:2]), ("1", "2"), NEEDED[:2])
    assert numbers.vectors.tolist() == [[3, 4], [1, 2]]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (
            {"patients": ["a", "c"], "features": VECTORS[:2]},
            "1 of 2 patients without features, b: .*as in the prepared set",
        ),
        ({"patients": ["c"], "features": VECTORS[:1]}, "2 of 2 patients without features, a, b:"),
        ({"patients": ["a", "b", "a"], "features": VECTORS}, "patient a is there more than once"),
        ({"patients": ["a", "b"], "features": VECTORS}, r"features has shape \(3, 2\) of float64, not \(2, D\)"),
        ({"patients": ["a", "b"], "features": VECTORS[:2, :0]}, r"features has shape \(2, 0\)"),
        ({"patients": ["a", "b"], "features": [1.0, 2.0]}, r"features has shape \(2,\)"),
        ({"patients": ["a", "b"], "features": [["1"], ["2"]]}, "features has shape .* of <U1"),
        ({"patients": [["a", "b"]], "features": VECTORS[:1]}, r"patients has shape \(1, 2\)"),
        ({"patients": [0.5, 1.5], "features": VECTORS[:2]}, "patients has shape .* of float64"),
        ({"patients": ["a", "b"], "features": [[1, np.nan], [2, 3]]}, "not finite: patient a is such"),
        ({"a": VECTORS[0], "b": [np.inf, 1]}, "not finite: patient b is such"),
        ({"a": VECTORS[0], "b": [1.0]}, "b has 1 features and a has 2"),
        ({"a": VECTORS}, r"a has shape \(3, 2\) of float64, not \(D,\)"),
        ({"a": []}, r"a has shape \(0,\)"),
        ({}, "holds no features"),
        ({"a": np.array([object()])}, "not an .npz file of numbers"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, arrays, says):
    with pytest.raises(BadInput, match=says) as refused:
        read_features(saved(tmp_path / "f.npz", **arrays), NAMES, NEEDED)
    assert refused.value.code == "BAD_INPUT" and "\n" not in str(refused.value)


def test_nothing_else_is_read(tmp_path):
    with pytest.raises(PathMissing, match="no such file of features"):
        read_features(tmp_path / "none.npz", NAMES, NEEDED)
    np.save(tmp_path / "single.npy", VECTORS)
    (tmp_path / "text.npz").write_text("a,1,2")
    whole = saved(tmp_path / "cut.npz", patients=["a", "b"], features=VECTORS[:2]).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("a.npy", b"no array")
    for name in ("single.npy", "text.npz", "cut.npz", "other.npz"):
        with pytest.raises(BadInput, match=r"not an \.npz file of numbers by patient"):
            read_features(tmp_path / name, NAMES, NEEDED)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_patient_twice_in_the_archive_is_told(tmp_path):
    path = saved(tmp_path / "f.npz", a=VECTORS[0], b=VECTORS[1])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a.npy", archive.read("b.npy"))
    with pytest.raises(BadInput, match="patient a is there more than once"):
        read_features(path, NAMES, NEEDED)


def test_more_than_memory_should_hold_is_refused_by_the_header(tmp_path, monkeypatch):
    from triplenet.benchmark import features_file

    monkeypatch.setattr(features_file, "_MOST_BYTES", 100)
    with pytest.raises(BadInput, match="GiB of features"):
        read_features(saved(tmp_path / "f.npz", a=VECTORS[0], b=VECTORS[1]), NAMES, NEEDED)
