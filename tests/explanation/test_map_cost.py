"""How often a network looked at an image for a map: by hand."""

import numpy as np
import pytest
import torch

from toy_model import marker
from toy_networks import frozen
from triplenet.explanation.attribution import explain_batch
from triplenet.explanation.map_cost import MapCost
from triplenet.explanation.map_kinds import find_map
from triplenet.model import Model

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 64)).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(marker(size=64, crop=64, method="baseline").card, frozen("baseline").eval(), torch.full((64, 64), 0.5))


@pytest.mark.parametrize(
    ("kind", "evaluations"),
    [
        ("own", 1),
        ("hirescam", 1),
        # Windows of 8 pixels, 4 apart: 15 x 15 of them, the image as it is, and once before for the likeliest class.
        ("occlusion", 15 * 15 + 2),
        # 32 steps, and once before for the likeliest class.
        ("integrated-gradients", 33),
        # A pass for each of 512 channels, one for the empty image, one for the features.
        ("score-cam", 512 + 2),
    ],
)
def test_every_look_at_an_image_is_counted(model, kind, evaluations):
    if find_map(kind).needs:
        pytest.importorskip("captum", reason="needs the extra `explain`")
    cost = MapCost()
    with cost.counting(model.network, len(IMAGES)):
        explain_batch(model, IMAGES, find_map(kind), batch=128)
    assert (cost.maps, cost.evaluations_a_map) == (2, evaluations)
    assert cost.ms_a_map == 1000 * cost.seconds / 2 > 0
    assert "encode" not in vars(model.network)


def test_costs_add_up_and_nothing_made_costs_nothing(model):
    outer, inner = MapCost(), MapCost()
    with outer.counting(model.network, 2), inner.counting(model.network, 1):
        model.network(torch.zeros(3, 1, 64, 64))
    assert (outer.evaluations, inner.evaluations) == (3, 3)  # one within the other: both count
    both = MapCost(maps=2, seconds=0.5, evaluations=5)
    both.add(MapCost(maps=2, seconds=0.25, evaluations=5))
    assert both.as_dict() == {"ms_a_map": 187.5, "evaluations_a_map": 2.5}
    assert str(both) == "2.5 evaluations and 188 ms a map"
    assert MapCost().as_dict() == {"ms_a_map": 0.0, "evaluations_a_map": 0.0}
    model.network(torch.zeros(1, 1, 64, 64))
    assert outer.evaluations == 3 and "encode" not in vars(model.network)
