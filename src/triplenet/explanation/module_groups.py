"""A network's modules in groups from the input to the output, and how the parameters of one are made random."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

#: The child of a network that is divided into its own children; see ``networks.base``.
ENCODER = "encoder"


@dataclass(frozen=True)
class ModuleGroup:
    """What is made random in one step."""

    name: str
    """Of the module that all of them lie in"""
    modules: tuple[str, ...]
    """Names of those with parameters or statistics of their own"""


def module_groups(network: nn.Module, run: Callable[[], object]) -> tuple[ModuleGroup, ...]:
    """The network's children, and in place of its encoder the encoder's, from the input to the output.

    A child that normalises and nothing else belongs to the one before it. What never runs comes last.

    :param run: runs the network once, to learn the order
    """
    turns = _turns(network, run)
    own = [name for name, module in network.named_modules() if _has_own(module)]
    own.sort(key=lambda name: turns.get(name, len(turns)))
    groups: dict[str, list[str]] = {}
    for name in own:
        groups.setdefault(_group(network, name), []).append(name)
    merged: list[tuple[str, list[str]]] = []
    for title, names in groups.items():
        if merged and all(_normalises(network.get_submodule(name)) for name in names):
            merged[-1][1].extend(names)
        else:
            merged.append((title, names))
    return tuple(ModuleGroup(title, tuple(names)) for title, names in merged)


def reset_module(network: nn.Module, name: str, seed: int) -> None:
    """Make the parameters of one module, and not of those inside it, random, and its statistics fresh.

    By the module's own ``reset_parameters``; where it has none, the values of each parameter are shuffled. What is
    drawn depends on the seed and the name alone, and is drawn on the processor, so that every device has the same.
    """
    import torch

    module = network.get_submodule(name)
    (drawn,) = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    devices = [tensor.device for tensor in tensors]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        # Not torch.manual_seed, which would seed every other device too, and keep a note of it for ever where none is.
        torch.default_generator.manual_seed(int(drawn))
        for tensor in tensors:
            tensor.data = tensor.data.cpu()
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        else:
            for parameter in module.parameters(recurse=False):
                values = parameter.flatten()
                parameter.copy_(values[torch.randperm(len(values))].view_as(parameter))
        for tensor, device in zip(tensors, devices, strict=True):
            tensor.data = tensor.data.to(device)


def _turns(network: nn.Module, run: Callable[[], object]) -> dict[str, int]:
    """Name of a module -> its turn among those that ran, at its first run. The hooks are gone afterwards."""
    turns: dict[str, int] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            turns.setdefault(name, len(turns))

        return hook

    hooks = [module.register_forward_pre_hook(note(name)) for name, module in network.named_modules()]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return turns


def _has_own(module: nn.Module) -> bool:
    """Whether a module has parameters or statistics that are not those of a module inside it."""
    return next(module.parameters(recurse=False), None) is not None or _normalises(module)


def _normalises(module: nn.Module) -> bool:
    from torch import nn

    return isinstance(module, (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm))


def _group(network: nn.Module, name: str) -> str:
    """The name of the group that a module belongs to: the first step of its name, within the encoder one more.

    What lies in an encoder that is nothing but a wrapper around another module is divided by that one's children.
    """
    steps = name.split(".")
    length = 1
    if steps[0] == ENCODER:
        module, length = network.get_submodule(ENCODER), 2
        while len(children := _with_parameters(module)) == 1 and not _has_own(module) and length < len(steps):
            module, length = children[0], length + 1
    return ".".join(steps[:length])


def _with_parameters(module: nn.Module) -> list[nn.Module]:
    return [child for child in module.children() if any(_has_own(part) for part in child.modules())]
