"""What a step asks of the memory and of the processor, and what the memory can give: parts of ``train_step.py``.

A step of these networks is bound by memory, not by arithmetic: a Triple Net step of 64 views of 224 x 224 in bf16 moves
18.3 GB as counted here, 5.4 ms of an H100's memory, and its products are 1 ms of that GPU's matrix units. So bytes are
what a step is held against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ARRAY_BYTES = {"cuda": 1 << 31, "cpu": 1 << 26}
"""Of each array of the bandwidth test: many times the caches"""
ALLOCATE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "alias", "detach"}
ONLY_WRITE = {"copy_", "fill_", "zero_"}
"""Operations in place that do not read what they overwrite; nor do those with a tensor for the result (``out``)"""
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write: every tensor once an operation, and nothing for a view.

    That is the least that separate kernels move. Compiled ones move less, since what they join stays on the chip.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.operations = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = function(*args, **kwargs)
        name = function.overloadpacket.__name__
        if function.is_view or name in ALLOCATE or function.namespace == "prim":
            return given
        taken = {id(one): one for one in _tensors((args, kwargs))}
        written = {id(one): one for one in _tensors(_written(function, args, kwargs))}
        made = {id(one): one for one in _tensors(given) if id(one) not in taken}
        unread = written if name in ONLY_WRITE or function._overloadname == "out" else {}
        read = {key: one for key, one in taken.items() if key not in unread}
        self.operations += 1
        self.bytes += sum(size_of(one) for part in (read, written, made) for one in part.values())
        return given


def size_of(tensor: Tensor) -> int:
    """Bytes that lie behind a tensor; an expanded one repeats some."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _written(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that an operation changes."""
    found = []
    for place, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[place] if place < len(args) else kwargs.get(argument.name))
    return found


def bandwidth(device: torch.device) -> dict[str, float]:
    """GB a second of a copy (one array read, one written) and of a triad (two read, one written), the best of ten."""
    count = ARRAY_BYTES[device.type] // 4
    first, second, third = (torch.rand(count, device=device) for _ in range(3))
    size = first.numel() * first.element_size()
    copied = 2 * size / _fastest(lambda: third.copy_(first), device)
    added = 3 * size / _fastest(lambda: torch.add(first, second, alpha=0.5, out=third), device)
    return {"copy_gb_per_s": round(copied / 1e9, 2), "triad_gb_per_s": round(added / 1e9, 2)}


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    best = math.inf
    for _ in range(10):
        synchronise(device)
        began = perf_counter()
        work()
        synchronise(device)
        best = min(best, perf_counter() - began)
    return best


def launches(run: Callable[[int], object], steps: int, device: torch.device) -> dict[str, float]:
    """Of a step on a GPU: calls that give it work, kernels that it ran, and the seconds in which it ran any."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        run(steps)
        synchronise(device)
    calls = 0
    spans: list[tuple[float, float]] = []
    for event in profile.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            if not getattr(event, "is_user_annotation", False):
                spans.append((event.time_range.start, event.time_range.end))
        elif event.name.startswith(LAUNCHES):
            calls += 1
    if not spans:
        raise RuntimeError("the profiler saw no kernels")
    return {
        "launches": round(calls / steps, 1),
        "kernels": round(len(spans) / steps, 1),
        "busy_s": covered(spans) / 1e6 / steps,
    }


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """The length of what intervals cover together; those that overlap count once."""
    total, reached = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
