"""What a model file tells of the training scans: ranges and counts of what the prepared set's table knows."""

from dataclasses import replace

import pytest

from toy_prepared import write_toy
from triplenet.training.scan_facts import training_scans


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "set", ("none", "spot") * 9)


def told(toy, *facts):
    """The set with these facts of its first patients."""
    more = [*facts, *[{}] * (len(toy.patients) - len(facts))]
    return replace(toy, patients=tuple(replace(one, **fact) for one, fact in zip(toy.patients, more, strict=True)))


def test_ranges_and_counts_are_of_the_patients_that_tell(toy):
    prepared = told(
        toy,
        {"slice_mm": 1.5, "pixel_mm": 0.7, "kernel": "B40f", "contrast": "no"},
        {"slice_mm": 0.8, "kernel": "LUNG", "contrast": "no"},
        {"slice_thickness_mm": 2.0, "kernel": "LUNG", "contrast": "yes"},
        {"slice_mm": 5.0, "kernel": "BONE", "contrast": "yes"},
    )
    names = [one.patient for one in prepared.patients]
    found = training_scans(prepared, [*names[:3], *names[4:8]], None)
    assert found.patients == 7
    assert (found.slice_mm, found.pixel_mm, found.slice_thickness_mm) == ((0.8, 1.5), (0.7, 0.7), (2.0, 2.0))
    assert list(found.kernels.items()) == [("LUNG", 2), ("B40f", 1)]
    assert list(found.contrast.items()) == [("no", 2), ("yes", 1)]
    assert found.embedding is None


def test_of_a_set_that_tells_nothing_the_number_of_patients_is_left(toy):
    found = training_scans(toy, [toy.patients[0].patient], None)
    assert found.model_dump(exclude_defaults=True) == {"patients": 1}


def test_kernels_are_few_and_short_and_harmless(toy, monkeypatch):
    odd = ["\x1b[2J" * 99, "\u202e", "\U0001f600" * 500, "LUNG", "LUNG"]
    found = training_scans(told(toy, *({"kernel": kernel} for kernel in odd)), [p.patient for p in toy.patients], None)
    assert list(found.kernels) == ["LUNG", ("[2J " * 99)[:64].rstrip(), "\U0001f600" * 64]
    monkeypatch.setattr("triplenet.training.scan_facts.MOST_KERNELS", 2)
    found = training_scans(told(toy, *({"kernel": kernel} for kernel in odd)), [p.patient for p in toy.patients], None)
    assert list(found.kernels) == ["LUNG", ("[2J " * 99)[:64].rstrip()]
