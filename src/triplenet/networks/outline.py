"""A network's shapes without its values: no memory is taken, whatever sizes are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from triplenet import networks
from triplenet.networks.base import Network

__all__ = ["outline"]


def outline(method: str, classes: int = 2, **options: object) -> Network:
    """A method's network on the device ``meta``: its layers and the names and shapes of its tensors.

    Nothing is drawn, so the generators of random numbers stay as they are.

    :raises UnknownName: there is no such method
    :raises BadRecipe: an option that the method does not have, or a value that is not possible
    """
    with torch.device("meta"), _NothingDrawn():
        return networks.build(method, classes=classes, **options)


class _NothingDrawn(TorchFunctionMode):
    """Leaves out what fills tensors: on ``meta`` it would only load torch's decompositions, which takes seconds."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func.__name__.endswith("_") and not func.__name__.endswith("__"):
            return args[0] if args else given["tensor"]
        return func(*args, **given)
