"""Small models of every method, and their exports, made once."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from toy_model import marker
from toy_networks import FRAMES, frozen, noise
from triplenet import catalog, networks
from triplenet.export import FORMATS, export
from triplenet.model import save_model

SIZE, CROP = 72, 64
# With random weights the classes are nearly even and a Grad-CAM is dark: the last layer, made so much stronger.
STRONGER = {
    "resnet3d": ("fc.weight", 100),
    "covnet": ("fc.weight", 3),
    "decovnet": ("fc.1.weight", 3000),
    "baseline": ("fc.weight", 20),
    "mtdl": ("classifier.3.weight", 20),
    "double": ("class_head.out.weight", 20),
}


def brighten(network, images):
    """Of another package's method nobody knows the last layer by name: the last matrix, doubled until heat shows."""
    last = [parameter for parameter in network.parameters() if parameter.ndim == 2][-1:]
    for _ in range(20 * len(last)):
        if network.explain(images).max() > 0.5:
            return
        last[0].data *= 2


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """The path of a method's model file."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def path(name):
        state = dict(frozen(name).state_dict())
        if name in STRONGER:
            key, factor = STRONGER[name]
            state[key] = state[key] * factor
        network = networks.build(name).eval()
        network.load_state_dict(state)
        if catalog.method(name).package:
            brighten(network, noise(name))
        frames = FRAMES if catalog.method(name).dimensions == 3 else 0
        card = marker(size=SIZE, crop=CROP, frames=frames, method=name).card
        mean_image = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(3))
        save_model(folder / f"{name}.safetensors", network, mean_image, card)
        return folder / f"{name}.safetensors"

    return path


@pytest.fixture(scope="session")
def exported(model_file, tmp_path_factory):
    """``exported(method, format)``: what ``export`` gave; made once."""
    folder = tmp_path_factory.mktemp("exports")

    @cache
    def make(name, kind):
        return export(model_file(name), folder / (name + FORMATS[kind].suffix), kind)

    return make
