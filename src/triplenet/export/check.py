"""An exported graph beside the model that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from triplenet.errors import ExportFailed
from triplenet.explanation.one_pass import Explained
from triplenet.export.description import input_ports
from triplenet.model import Model

#: The greatest difference that is accepted; of what has no bounds as a share of the largest where that is above 1.
TOLERANCE = 1e-4
UNBOUNDED = ("logits", "distance")
OF_A_CLASS = ("heat", "class_heat")
#: Images, or volumes of a 3D method: not as many as the graph was traced with.
BATCH = {2: 4, 3: 1}

Bytes = npt.NDArray[np.uint8]
Arrays = Mapping[str, npt.NDArray[np.float32]]


def differences(model: Model, run: Callable[[dict[str, Bytes]], Arrays]) -> dict[str, float]:
    """The greatest difference of each output from the model's own, on random images.

    :param run: inputs by name -> the graph's outputs by name
    :raises ExportFailed: one is above the tolerance
    """
    inputs = random_inputs(model)
    with torch.no_grad():
        wanted = Explained(model)(*map(torch.from_numpy, inputs.values()))
    found = run(inputs)
    greatest = {}
    # Where two classes are equal to the last bit the graph may explain the other one.
    same = found["logits"].argmax(1) == wanted["logits"].argmax(1).numpy()
    for name, tensor in wanted.items():
        want, got = tensor.numpy(), found[name]
        if name in OF_A_CLASS:
            want, got = want[same], got[same]
        distance = float(np.abs(got - want).max(initial=0))
        scale = max(1.0, float(np.abs(want).max())) if name in UNBOUNDED else 1.0
        if not distance <= TOLERANCE * scale:  # NaN too
            raise ExportFailed(
                f"the exported graph's {name} differ from the model's by up to {distance:.2g}",
                do=f"at most {TOLERANCE:g} is accepted; nothing was written",
            )
        greatest[name] = distance
    return greatest


def random_inputs(model: Model, batch: int | None = None) -> dict[str, Bytes]:
    """Every second slice is noise, the others blobs as large as organs; the same ones every time."""
    generator = np.random.default_rng(0)
    ports = input_ports(model.card, model.network.channels)
    shape = (batch or BATCH[model.card.dimensions], *(int(axis) for axis in ports[0].axes[1:]))
    images = generator.random(shape)
    for slice_ in images.reshape(-1, *shape[-2:])[1::2]:
        smooth = ndimage.gaussian_filter(slice_, shape[-1] / 16)
        slice_[:] = (smooth - smooth.min()) / np.ptp(smooth)
    inputs = {"images": np.rint(255 * images).astype(np.uint8)}
    if len(ports) == 2:
        inputs["lungs"] = (generator.random(shape) < 0.5).astype(np.uint8)
    return inputs
