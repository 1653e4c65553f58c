"""Where the training patients' features lie: by other libraries, and where there is little to go by."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn import covariance

from toy_networks import frozen
from toy_prepared import TASK, write_toy
from triplenet import catalog
from triplenet.model import normalise
from triplenet.training import feature_spread
from triplenet.training.data import load_fold
from triplenet.training.feature_spread import features, fit_embedding, ledoit_wolf, whiten


def drawn(n, d, seed=0, *, strength=1.0):
    """Features that go together, of very different sizes, around anything but 0."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.geomspace(1, 30, d) + rng.normal(size=d) * 5
    return torch.from_numpy(values * strength).float()


@pytest.mark.parametrize(("n", "d"), [(400, 6), (30, 12), (8, 20), (2, 5), (3, 1)])
def test_the_covariance_is_scikit_learns(n, d):
    values = drawn(n, d).double()
    found = ledoit_wolf(values - values.mean(0))
    np.testing.assert_allclose(found, covariance.ledoit_wolf(values.numpy())[0], rtol=1e-9, atol=1e-12)


def test_distances_are_mahalanobis_distances():
    values = drawn(60, 7)
    found = whiten(values).distances(values[:5])
    inverse = np.linalg.inv(covariance.ledoit_wolf(values.double().numpy())[0])
    mean = values.double().mean(0).numpy()
    expected = [mahalanobis(row, mean, inverse) for row in values[:5].double().numpy()]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(("d", "seed"), [(1, 0), (3, 1), (8, 2), (16, 3)])
def test_squared_distances_of_the_training_patients_are_d_on_average(d, seed):
    """With many patients and no feature far larger than another next to nothing is shrunk."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(d, d)))[0]
    values = torch.from_numpy(rng.normal(size=(5000, d)) * np.geomspace(1, 3, d) @ directions + 7).float()
    assert float(whiten(values).distances(values).square().mean()) == pytest.approx(d, rel=0.03)


@pytest.mark.parametrize("strength", [1e-4, 1.0, 1e4])
def test_the_size_of_features_does_not_matter(strength):
    values = drawn(50, 6)
    scaled = drawn(50, 6, strength=strength)
    np.testing.assert_allclose(whiten(scaled).distances(scaled), whiten(values).distances(values), rtol=1e-3)


def test_features_that_never_change_give_finite_distances():
    values = drawn(5000, 5)
    values[:, 2] = 1.25
    values[:, 4] = values[:, 0]
    found = whiten(values)
    assert found.whitening.isfinite().all()
    apart = values[:1].clone()
    apart[:, 2] += 1000
    assert float(found.distances(apart)) > 10 * float(found.distances(values).max())


def test_where_nothing_is_shrunk_a_feature_that_never_changes_is_held_to_a_least_spread():
    """Of patients at equal distances the covariance has no error."""
    values = torch.tensor([[1.0, 3.0], [-1.0, 3.0]]).repeat(20, 1)
    assert ledoit_wolf((values - values.mean(0)).double()).tolist() == [[1, 0], [0, 0]]
    found = whiten(values)
    assert found.distances(torch.tensor([[2.0, 3.0], [0.0, 4.0]])).tolist() == pytest.approx([2, 2**0.5 * 1000])


@pytest.mark.parametrize(
    "values",
    [
        torch.ones(9, 4),
        torch.rand(1, 4),
        torch.rand(9, 4) * 1e-30,
        torch.tensor([[1.0, float("nan")], [0.0, 1.0]]),
        torch.tensor([[1.0, float("inf")], [0.0, 1.0]]),
        torch.tensor([[1e30, 1.0], [0.0, 1.0]]),
    ],
)
def test_features_that_nothing_can_be_said_of_give_nothing(values):
    assert whiten(values) is None


def test_more_features_than_a_model_file_takes_give_nothing(monkeypatch):
    assert whiten(drawn(9, 4)) is not None
    monkeypatch.setattr(feature_spread, "MOST_FEATURES", 3)
    assert whiten(drawn(9, 4)) is None


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "set", ("none", "spot") * 27, size=40)


@pytest.fixture(scope="module")
def data(prepared):
    return load_fold(prepared, TASK, 1, catalog.method("double"))


def test_features_are_of_the_middle_of_the_images_as_they_are(prepared, data, monkeypatch):
    """In the patients' order, whatever the batches."""
    monkeypatch.setattr("triplenet.training.loop.EVALUATION_BATCH", 7)
    network = frozen("double")
    network.train()
    found = features(network, data.train, data.mean_image, 32)
    rows = prepared.rows(data.train.patients)
    with torch.no_grad():
        expected = network.eval().features(normalise(prepared.images[rows], data.mean_image, 32))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_limit_is_that_of_the_validation_patients(data):
    network = frozen("double")
    found, facts = fit_embedding(network, data, 32)
    distances = found.distances(features(network, data.validation, data.mean_image, 32))
    assert (facts.of, facts.patients, facts.quantile) == ("validation", len(data.validation), 0.99)
    assert facts.limit == float(distances.max())  # of fewer than a hundred


def test_of_a_handful_of_validation_patients_the_training_patients_speak(data, monkeypatch):
    monkeypatch.setattr(feature_spread, "FEWEST_VALIDATION", len(data.validation) + 1)
    network = frozen("double")
    found, facts = fit_embedding(network, data, 32)
    distances = found.distances(features(network, data.train, data.mean_image, 32))
    assert (facts.of, facts.patients, facts.limit) == ("training", len(data.train), float(distances.max()))


def test_one_in_a_hundred_lies_beyond_the_limit(data, monkeypatch):
    values = drawn(1000, 4)
    monkeypatch.setattr(feature_spread, "features", lambda *_: values)
    found, facts = fit_embedding(frozen("double"), data, 32)
    assert int((found.distances(values) > facts.limit).sum()) in (9, 10)
