"""Models whose answers are known by hand, for predicting on small chests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import torch
from torch import Tensor

from triplenet import catalog
from triplenet.model import Model, ModelCard, task_card
from triplenet.networks.base import Network, Outputs

WINDOW = (-1000.0, -500.0)
#: HU that the window maps to 0.5, and that nothing else in the small chest has.
MARKED_HU = -750


class Marker(Network):
    """Its heat is 1 where the image is half grey, 0 where it is lung, vessel, body or air; so are its logits.

    It segments what is half grey as infection. Where it has evidence for a class, that is 0.25 in the lung for the
    first class, and 0.25 more for each next one.
    """

    def __init__(self, classes: int, dimensions: int, *, evidence: bool = False) -> None:
        super().__init__(classes)
        self.evidence = evidence
        self.dimensions = dimensions  # type: ignore[misc]

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        grey = images[:, :1] + 0.5  # the mean image is 0.5 everywhere
        marked = (1 - (grey - 0.5).abs() / 0.1).clamp(0, 1).ceil()
        return marked, ((grey > 0.1) & (grey < 0.4)).float()

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        marked, lung = maps
        share = marked.flatten(1).mean(1)
        rising = torch.arange(self.classes, dtype=torch.float32)
        labels = torch.cat([torch.full_like(lung, 0.5), lung, marked], 1)
        return Outputs(logits=(1000 * share - 1)[:, None] * rising, segmentation=labels)

    def heat(self, maps: tuple[Tensor, ...], outputs: Outputs, size: Sequence[int], target: Tensor | None) -> Tensor:
        return maps[0][:, 0]

    def class_heat(
        self, maps: tuple[Tensor, ...], outputs: Outputs, size: Sequence[int], target: Tensor | None
    ) -> Tensor | None:
        if not self.evidence:
            return None
        chosen = outputs.logits.argmax(1) if target is None else target
        lung = maps[1][:, 0]
        return 0.25 * (1 + chosen.view(-1, *[1] * (lung.ndim - 1))) * lung


def marker(
    *,
    size: int = 96,
    crop: int = 96,
    task: str = "binary",
    frames: int = 0,
    method: str = "triple",
    evidence: bool = False,
) -> Model:
    """A model that marks what has ``MARKED_HU``; any of it makes the last class the likeliest."""
    named = catalog.task(task)
    card = ModelCard(
        method=method,
        classes=named.classes,
        task=task_card(named),
        window_hu=WINDOW,
        size=size,
        crop=crop,
        dimensions=3 if frames else 2,
        frames=frames,
        recipe={},
        data_sha256="d" * 64,
        fold=1,
        versions={"triplenet": "0"},
        created=date(2022, 11, 24),
        tensors_sha256="e" * 64,
    )
    network = Marker(len(named.classes), card.dimensions, evidence=evidence).eval()
    return Model(card, network, torch.full((size, size), 0.5))
