"""A model's whole way from windowed grey to what a user wants to know, as one network: one pass gives everything.

What predicts asks it, and what is exported is traced from it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from triplenet.model import Model


class Explained(nn.Module):
    """Grey images in; scores, probabilities and maps on the images' own pixels out."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.network = model.network

    def forward(self, images: Tensor, lungs: Tensor | None = None) -> dict[str, Tensor]:
        """:param images: (B, 1, size, size) uint8 grey, or (B, 1, T, size, size); ``lungs`` likewise"""
        inside = () if lungs is None else (lungs.squeeze(1),)
        normalised = self.model.normalise(images.squeeze(1), *inside)
        answer = self.network.answer(normalised)
        outputs, heat = answer.outputs, answer.heat
        logits = outputs.logits.float()
        parts = {
            "logits": logits,
            "probabilities": (logits / (self.model.card.temperature or 1.0)).softmax(1),
            "heat": self._whole(heat),
        }
        if answer.class_heat is not None:
            parts["class_heat"] = self._whole(answer.class_heat)
        if outputs.segmentation is not None:
            parts["segmentation"] = self._whole(outputs.segmentation.float().softmax(1))
        if outputs.attention is not None:
            parts["attention"] = self._whole(outputs.attention)
        if self.model.embedding is not None:
            parts["distance"] = self.model.embedding.distances(answer.features).float()
        return parts

    def _whole(self, maps: Tensor) -> Tensor:
        """The maps at the size before the crop, 0 around them."""
        card = self.model.card
        before = (card.size - card.crop) // 2
        after = card.size - card.crop - before
        return F.pad(maps.float(), (before, after, before, after))
