"""Where a training computes, and the global settings of torch that it needs while it does."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from triplenet.errors import BadRecipe, UnknownName
from triplenet.training.allocator import keep_freed_memory


def choose_device(name: str = "auto", gpu: int = 0) -> torch.device:
    """``auto`` is the GPU if there is one, else the processor.

    :param gpu: which one of several, where the name does not say
    :raises UnknownName: not a device, or not one of this machine
    """
    if name == "auto":
        return torch.device("cuda", gpu) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UnknownName(
            f"torch cannot compute there ({str(error).partition(chr(10))[0]})",
            where=f"device {name!r}",
            do="use auto, cpu or cuda",
        ) from error
    return torch.device("cuda", gpu) if device == torch.device("cuda") else device


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


def choose_precision(wanted: Literal["auto", "fp32", "bf16"], device: torch.device) -> Literal["fp32", "bf16"]:
    """``auto`` is bf16 on a GPU that computes it; on processors it is mostly slower."""
    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def check_compiler(device: torch.device) -> None:
    """Refuse to compile where torch.compile finds no compiler for the processor.

    :raises BadRecipe: there is none
    """
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    if device.type == "cpu" and not any(shutil.which(name) for name in names if name):
        raise BadRecipe("training.compile: torch.compile needs a C++ compiler", do="install g++, or leave it off")


@contextmanager
def computing(device: torch.device, threads: int, seed: int, *, deterministic: bool = False) -> Iterator[None]:
    """Seed torch's random numbers, set its threads and what algorithms it may use; all as before afterwards.

    :raises BadRecipe: deterministic, and torch has no such algorithm for something that the method does
    """
    if device.type == "cpu":
        keep_freed_memory()
    before = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = device.type == "cuda" and not deterministic
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
            torch.use_deterministic_algorithms(True)
        try:
            yield
        except RuntimeError as error:
            if deterministic and "deterministic" in str(error):
                raise BadRecipe(
                    f"torch has no deterministic algorithm for this method here ({str(error).partition('.')[0]})",
                    do="train without --deterministic, or on the processor",
                ) from error
            raise
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(strict)
            torch.backends.cudnn.benchmark = benchmark
