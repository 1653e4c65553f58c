"""Where a training computes, and the global settings of torch that it needs while it does."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from triplenet.errors import UnknownName
from triplenet.training.allocator import keep_freed_memory


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is the first GPU if there is one, else the processor.

    :raises UnknownName: not a device, or not one of this machine
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UnknownName(
            f"torch cannot compute there ({str(error).partition(chr(10))[0]})",
            where=f"device {name!r}",
            do="use auto, cpu or cuda",
        ) from error
    return torch.device("cuda", 0) if device == torch.device("cuda") else device


def device_name(device: torch.device) -> str:
    """The model of the GPU or the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


@contextmanager
def computing(device: torch.device, threads: int, seed: int) -> Iterator[None]:
    """Seed torch's random numbers and set its threads; both are as before afterwards."""
    if device.type == "cpu":
        keep_freed_memory()
    before = torch.get_num_threads()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
