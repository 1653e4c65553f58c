"""The lung by the package ``lungmask``, which is not installed here: a stand-in with its interface."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest

from prepare.synthetic import chest, write
from triplenet.cohort.table import Patient
from triplenet.errors import MissingExtra
from triplenet.prepare import lung_network
from triplenet.prepare.lung import find_lungs
from triplenet.prepare.patient import Options, prepare_patient


class LMInferer:
    """Sees a lung in the third slice, whatever it is shown: a square on the right and a smaller one on the left."""

    def __init__(self, modelname="R231", force_cpu=False, tqdm_disable=False):
        assert (modelname, force_cpu, tqdm_disable) == ("R231", True, True)

    def apply(self, image):
        assert image.dtype == np.int16
        labels = np.zeros(image.shape, np.uint8)
        labels[min(3, len(labels) - 1), 20:60, 10:40] = 1
        labels[min(3, len(labels) - 1), 20:60, 60:80] = 2
        return labels


class Offline:
    def __init__(self, **_):
        raise OSError("no network")


@pytest.fixture
def package(monkeypatch):
    def install(inferer):
        module = ModuleType("lungmask")
        module.__spec__ = ModuleSpec("lungmask", None)
        module.LMInferer = inferer
        monkeypatch.setitem(sys.modules, "lungmask", module)

    lung_network._inferer.cache_clear()
    yield install
    lung_network._inferer.cache_clear()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lungmask", None)
    lung_network._inferer.cache_clear()
    hu, _, _, geometry = chest()
    with pytest.raises(MissingExtra, match="lungmask") as caught:
        find_lungs(hu, geometry.spacing_mm, "lungmask")
    assert "triplenet[lungmask]" in caught.value.do


def test_without_its_weights_it_says_so(package):
    package(Offline)
    hu, _, _, geometry = chest()
    with pytest.raises(MissingExtra, match="no weights"):
        find_lungs(hu, geometry.spacing_mm, "lungmask")


def test_its_lungs_have_their_sides_and_areas(package):
    package(LMInferer)
    hu, _, _, geometry = chest()
    found = find_lungs(hu, geometry.spacing_mm, "lungmask")
    assert found.by == "lungmask"
    np.testing.assert_allclose(found.side_areas_mm2[:, 3], [40 * 30 * 16, 40 * 20 * 16])
    assert found.slice(3).sum() == 40 * 50


def test_preparing_takes_its_slice_and_its_mask(package, tmp_path):
    package(LMInferer)
    hu, _, _, geometry = chest()
    write(tmp_path, "one", hu, geometry)
    patient = Patient("1", "negative", tmp_path / "one.nii", row=2)
    sample = prepare_patient(patient, Options(derive_lung=True, lung_by="lungmask", size=96))
    assert (sample.slice, sample.rule, sample.lung_pixels) == (3, "lung", 40 * 50)
    assert "lung mask derived by lungmask" in sample.notes
