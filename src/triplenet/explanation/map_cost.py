"""What heat maps cost: time, and how often the network looked at an image for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from triplenet.networks.base import Network


@dataclass
class MapCost:
    """Of some patients' maps."""

    maps: int = 0
    seconds: float = 0.0
    evaluations: int = 0
    """Images that went through the encoder; a volume is one"""

    def __str__(self) -> str:
        looked = f"{self.evaluations_a_map:.4g} evaluation{'' if self.evaluations_a_map == 1 else 's'}"
        return f"{looked} and {self.ms_a_map:.3g} ms a map"

    @property
    def ms_a_map(self) -> float:
        return 1000 * self.seconds / max(1, self.maps)

    @property
    def evaluations_a_map(self) -> float:
        return self.evaluations / max(1, self.maps)

    def add(self, other: MapCost) -> None:
        self.maps += other.maps
        self.seconds += other.seconds
        self.evaluations += other.evaluations

    def as_dict(self) -> dict[str, float]:
        return {"ms_a_map": round(self.ms_a_map, 3), "evaluations_a_map": round(self.evaluations_a_map, 3)}

    @contextmanager
    def counting(self, network: Network, maps: int) -> Iterator[None]:
        """Add what is done within to this cost.

        :param maps: how many patients' are made within
        """
        encode, own = network.encode, vars(network).get("encode")
        began = perf_counter()

        def counted(images: Tensor) -> tuple[Tensor, ...]:
            self.evaluations += len(images)
            return encode(images)

        network.encode = counted  # type: ignore[method-assign]
        try:
            yield
        finally:
            del network.encode
            if own is not None:  # counted from outside too
                network.encode = own  # type: ignore[method-assign]
            self.seconds += perf_counter() - began
            self.maps += maps
