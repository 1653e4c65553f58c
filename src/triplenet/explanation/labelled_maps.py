"""Every map that a model makes of a patient, on the slice that the masks lie on: what is scored.

Maps of slices come from one pass of the network. Of a volume's map the labelled slice is taken, between the two frames
beside it, since frames rarely hit it; a prepared set that does not say where its frames lie has the slice only where a
frame is the same image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.catalog import INFECTION
from triplenet.errors import BadModel
from triplenet.explanation.cases import BATCH, labelled_frames
from triplenet.explanation.map_cost import MapCost
from triplenet.explanation.maps import network_inputs
from triplenet.explanation.overlay import enlarged
from triplenet.model import Model, full_float32
from triplenet.prepare.frames import between_frames, frame_positions
from triplenet.prepare.store import PreparedSet

Bytes = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

#: Maps of a run: the method's explanation; what speaks for the class where that has none; the infection it segments.
OWN, CLASS, SEGMENTATION = "own", "class", "segmentation"


@dataclass(frozen=True)
class LabelledMaps:
    """One patient's."""

    row: int
    """In the prepared set"""
    probabilities: npt.NDArray[np.float64]
    """(C,) as the network says"""
    maps: dict[str, Map]
    """By name, (size, size) in 0..1 on the prepared image's pixels, 0 where the network does not read; none of a volume
    whose frames lie nobody knows where"""
    seconds: float
    """For what gave all of them, a patient's share of its batch"""
    evaluations: float
    """How often the network looked at the patient for them"""


def labelled_maps(model: Model, prepared: PreparedSet, rows: Sequence[int]) -> Iterator[LabelledMaps]:
    """The maps of patients of a prepared set, in order, as they are ready.

    :param rows: in the prepared set
    :raises BadModel: a probability or a map is not finite
    """
    batch = BATCH[model.card.dimensions]
    for first in range(0, len(rows), batch):
        some = np.asarray(rows[first : first + batch], dtype=np.int64)
        cost = MapCost()
        with cost.counting(model.network, len(some)):
            probabilities, maps = _one_pass(model, prepared, some)
        for place, row in enumerate(some.tolist()):
            own = {name: each[place] for name, each in maps.items()}
            if model.card.dimensions == 3:
                own = _on_labelled_slice(own, prepared, row)
            yield LabelledMaps(row, probabilities[place], own, cost.ms_a_map / 1000, cost.evaluations_a_map)


def _one_pass(
    model: Model, prepared: PreparedSet, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], dict[str, Map]]:
    import torch

    from triplenet.explanation.one_pass import Explained

    images, lungs = network_inputs(model, prepared, rows)
    with torch.no_grad(), full_float32():
        device = next(model.network.parameters()).device
        told = () if lungs is None else (torch.from_numpy(lungs[:, None]).to(device),)
        parts = Explained(model)(torch.from_numpy(images[:, None]).to(device), *told)
    maps = {OWN: parts["heat"]}
    if "class_heat" in parts:
        maps[CLASS] = parts["class_heat"]
    if "segmentation" in parts and "attention" not in parts:  # else it is the attention
        maps[SEGMENTATION] = parts["segmentation"][:, INFECTION]
    probabilities = parts["logits"].double().softmax(1).cpu().numpy()
    found = {name: one.float().cpu().numpy() for name, one in maps.items()}
    if not all(np.isfinite(one).all() for one in (probabilities, *found.values())):
        raise BadModel("the network's answer is not finite", do="do not use this model")
    return probabilities, found


def _on_labelled_slice(maps: dict[str, Map], prepared: PreparedSet, row: int) -> dict[str, Map]:
    """Of volumes (T, h, w) what lies on the patient's slice, (size, size)."""
    info, patient = prepared.info, prepared.patients[row]
    if patient.slices is not None:
        positions = frame_positions(patient.slices, info.frames, info.frame_sampling)
        flat = {name: between_frames(volume, positions, patient.slice) for name, volume in maps.items()}
    else:
        assert prepared.frames is not None
        same = labelled_frames(np.asarray(prepared.frames[row]), np.asarray(prepared.images[row]))
        if not same.any():
            return {}
        flat = {name: volume[int(same.argmax())] for name, volume in maps.items()}
    size = (info.size, info.size)
    return {name: one if one.shape == size else enlarged(one, size) for name, one in flat.items()}
