"""How much of the lung in a prepared slice is infected as a network segments it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from triplenet.catalog import INFECTION, LUNG
from triplenet.errors import BadModel
from triplenet.evaluation.metrics import Floats
from triplenet.explanation.cases import BATCH
from triplenet.explanation.maps import network_inputs
from triplenet.model import Model, full_float32
from triplenet.prepare.store import PreparedSet

if TYPE_CHECKING:
    from torch import Tensor


def infected_shares(model: Model, prepared: PreparedSet, rows: Sequence[int]) -> Floats:
    """(n,) of these patients' slices, each pixel being of its most probable class.

    :param model: of a method that segments slices
    :param rows: in the prepared set
    :raises BadModel: the network's answer is not finite
    """
    import torch

    batch = BATCH[model.card.dimensions]
    found = [np.zeros(0)]
    for first in range(0, len(rows), batch):
        images, lungs = network_inputs(model, prepared, rows[first : first + batch])
        with torch.no_grad(), full_float32():
            segmentation: Tensor | None = model.network(model.normalise(images, lungs)).segmentation
        assert segmentation is not None
        if not bool(segmentation.isfinite().all()):
            raise BadModel("the network's answer is not finite", do="do not use this model")
        found.append(share_of_lung(segmentation.argmax(1).cpu().numpy()))
    return np.concatenate(found)


def share_of_lung(labels: npt.NDArray[np.integer]) -> Floats:
    """Infected pixels among those of lung and infection; 0 where there are none.

    :param labels: (n, H, W) as in a prepared set's masks
    :returns: (n,)
    """
    infected, healthy = ((labels == value).sum((1, 2)) for value in (INFECTION, LUNG))
    return np.asarray(infected / np.maximum(infected + healthy, 1), dtype=np.float64)
