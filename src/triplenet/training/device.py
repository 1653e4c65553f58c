"""Where a training computes, and the global settings of torch that it needs while it does."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from triplenet.errors import BadRecipe, UnknownName
from triplenet.model import full_float32
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
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without it
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
    """Refuse to compile where torch.compile lacks what it needs.

    :raises BadRecipe: no compiler for the processor; for a GPU no Triton, no C compiler, or too old a GPU
    """
    if device.type == "cuda":
        lacking = [] if find_spec("triton") else ["Triton"]
        lacking += [] if _found(os.environ.get("CC", ""), "gcc", "clang", "cc") else ["a C compiler"]
        lacking += (
            [] if torch.cuda.get_device_capability(device) >= (7, 0) else ["a GPU of compute capability 7 or more"]
        )
    else:
        lacking = [] if _found(os.environ.get("CXX", ""), "g++", "clang++", "c++") else ["a C++ compiler"]
    if lacking:
        raise BadRecipe(
            f"training.compile: torch.compile needs {' and '.join(lacking)}",
            do="install what is missing, or leave it off",
        )


def _found(*programs: str) -> bool:
    return any(shutil.which(name) for name in programs if name)


@contextmanager
def computing(device: torch.device, threads: int, seed: int, *, deterministic: bool = False) -> Iterator[None]:
    """Seed torch's random numbers, set its GPU, threads and what algorithms it may use; all as before afterwards.

    :raises BadRecipe: deterministic, and torch has no such algorithm for something that the method does
    """
    if device.type == "cpu":
        keep_freed_memory()
    before = torch.get_num_threads()
    strict, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # its attribute is a property that type checkers do not see
    filled = memory.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    devices = [device] if device.type == "cuda" else []
    here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with here, full_float32(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = device.type == "cuda" and not deterministic
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
            torch.use_deterministic_algorithms(True)
            memory.fill_uninitialized_memory = False  # nothing reads what it has not written
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
            torch.use_deterministic_algorithms(strict, warn_only=warned)
            memory.fill_uninitialized_memory = filled
            torch.backends.cudnn.benchmark = benchmark
