"""Whether a deterministic training gives the same bits twice, resumed, and recorded as a CUDA graph.

    python benchmarks/same_bits.py [--methods all] [--device cuda] [--out FILE]

For each of the ten methods a small training (made-up images; both sorts of terms, dropout, averages and a last, short
batch are in it) with what ``triplenet train --deterministic`` asks of torch:

- ``again``: a second training from the same seed ends in the same weights, statistics and moments
- ``resumed``: so does one whose state went to bytes and back after half of the epochs
- ``recorded``: so do two of the three with ``training.cuda_graph``, whole and resumed; only on a CUDA GPU
- ``as_eager``: the largest difference of a weight between the recorded training and the ordinary one. Not zero: a
  recorded rate is a float32
- ``seconds``: an epoch, deterministic and not

Prints one JSON object; with ``--out`` it is written after each method. Exits with 1 where something that must be the
same is not, or a method failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from step_costs import synchronise
from torch import Tensor

from triplenet import catalog, losses, networks
from triplenet.processes import usable_threads
from triplenet.training.arrays import DeviceArray
from triplenet.training.average import Average
from triplenet.training.checkpoint import parse, to_bytes
from triplenet.training.data import FoldData, Subset
from triplenet.training.device import choose_device, choose_precision, computing, device_name
from triplenet.training.fit import lay_out
from triplenet.training.loop import advance
from triplenet.training.optimiser import make_optimiser
from triplenet.training.recipe import Recipe, load_recipe
from triplenet.training.state import State, capture, restore
from triplenet.training.step import Precision, Step
from triplenet.training.step_graph import CudaRecorder, StepGraph

SIZES = {
    "cuda": {"patients": 68, "size": 128, "frames": 16, "batch": 8, "epochs": 4},
    "cpu": {"patients": 6, "size": 48, "frames": 4, "batch": 4, "epochs": 2},
}


class Training:
    """A training of made-up patients."""

    def __init__(self, recipe: Recipe, sizes: Mapping[str, int], device: torch.device, *, seed: int = 0) -> None:
        self.recipe, self.method = recipe, catalog.method(recipe.method)
        torch.manual_seed(seed)
        network = networks.build(recipe.method, **recipe.network).to(device)
        lay_out(network, device)
        optimiser = make_optimiser(network, recipe.training, device)
        self.data = made_up(self.method, sizes, device)
        self.state = State(network, optimiser, torch.Generator(device).manual_seed(seed), Average("ema"))
        precision: Precision = choose_precision("auto", device)
        self.step = Step(
            network,
            losses.objective(recipe.method, recipe.loss).to(device),
            optimiser,
            precision=precision,
            micro_rows=0 if self.method.dimensions == 2 else 2,
            graph=StepGraph(CudaRecorder(device)) if recipe.training.cuda_graph else None,
        )

    def epochs(self, count: int) -> Training:
        """Some more of them."""
        for _ in range(count):
            advance(self.state, self.data, self.step, self.recipe, self.method.views)
        return self

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds."""
        return {name: value.detach().cpu() for name, value in capture(self.state)[0].items()}


def made_up(method: catalog.Method, sizes: Mapping[str, int], device: torch.device) -> FoldData:
    """Noise; class one is brighter in the middle."""
    rng = np.random.default_rng(0)
    count, size = sizes["patients"], sizes["size"]
    shape = (count, sizes["frames"], size, size) if method.dimensions == 3 else (count, size, size)
    images = rng.integers(0, 156, shape, dtype=np.uint8)
    middle = slice(size // 3, -size // 3)
    images[1::2, ..., middle, middle] += 80
    masks = rng.integers(0, 3, (count, size, size), dtype=np.uint8)

    def array(values: np.ndarray) -> DeviceArray:
        return DeviceArray(torch.from_numpy(values).to(device))

    part = Subset(
        tuple(map(str, range(count))),
        array(images),
        (torch.arange(count) % 2).to(device),
        array(masks) if method.needs_masks else None,
    )
    return FoldData(part, part, part, torch.full((size, size), 0.4, device=device))


def measure(name: str, sizes: Mapping[str, int], device: torch.device) -> dict[str, object]:
    """What holds of one method."""
    found: dict[str, object] = {"seconds": {"as it comes": seconds(name, sizes, device, deterministic=False)}}
    with computing(device, usable_threads(), 0, deterministic=True):
        ordinary = trained(name, sizes, device)
        found["again"] = same(ordinary, trained(name, sizes, device))
        found["resumed"] = same(ordinary, resumed(name, sizes, device))
        if device.type == "cuda":
            recorded = trained(name, sizes, device, graph=True)
            found["recorded"] = same(recorded, trained(name, sizes, device, graph=True)) and same(
                recorded, resumed(name, sizes, device, graph=True)
            )
            found["as_eager"] = farthest(ordinary, recorded)
    found["seconds"]["deterministic"] = seconds(name, sizes, device, deterministic=True)  # type: ignore[index]
    return found


def trained(name: str, sizes: Mapping[str, int], device: torch.device, *, graph: bool = False) -> dict[str, Tensor]:
    """Where a training ends."""
    return Training(recipe_of(name, sizes, graph=graph), sizes, device).epochs(sizes["epochs"]).tensors()


def resumed(name: str, sizes: Mapping[str, int], device: torch.device, *, graph: bool = False) -> dict[str, Tensor]:
    """Where one ends that was stopped on its way."""
    recipe, half = recipe_of(name, sizes, graph=graph), sizes["epochs"] // 2
    begun = Training(recipe, sizes, device).epochs(half)
    after = Training(recipe, sizes, device, seed=1)
    restore(after.state, parse(to_bytes(*capture(begun.state))))
    return after.epochs(sizes["epochs"] - half).tensors()


def seconds(name: str, sizes: Mapping[str, int], device: torch.device, *, deterministic: bool) -> float:
    """Of the second epoch."""
    with computing(device, usable_threads(), 0, deterministic=deterministic):
        training = Training(recipe_of(name, sizes, graph=False), sizes, device).epochs(1)
        synchronise(device)
        began = perf_counter()
        training.epochs(1)
        synchronise(device)
        return round(perf_counter() - began, 3)


def recipe_of(name: str, sizes: Mapping[str, int], *, graph: bool) -> Recipe:
    """The default one, small."""
    settings = [
        f"augmentation.crop={sizes['size'] * 7 // 8}",
        f"training.batch={sizes['batch']}",
        f"training.epochs={sizes['epochs']}",
        "training.drop_last=false",
        "training.schedule=linear",
        f"training.cuda_graph={str(graph).lower()}",
    ]
    return load_recipe("default", method=name, settings=settings)


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    """Whether all tensors are, to the last bit."""
    return left.keys() == right.keys() and all(torch.equal(value, right[name]) for name, value in left.items())


def farthest(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> float:
    """The largest difference of a weight."""
    weights = [name for name in left if name.startswith("network.") and left[name].is_floating_point()]
    return max(float((left[name] - right[name]).abs().max()) for name in weights)


def holds(found: Mapping[str, object]) -> bool:
    """Whether a method does what it must."""
    return "failed" not in found and not any(value is False for value in found.values())


def main() -> None:
    """Try all of them and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="all", help="by commas")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    # Read when cuBLAS is first used, which the first training, the ordinary one, does.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = choose_device(options.device)
    names = list(catalog.METHODS) if options.methods == "all" else options.methods.split(",")
    sizes = SIZES[device.type]
    result = {"benchmark": "same_bits", "device": device_name(device), **sizes, "methods": {}}
    for name in names:
        try:
            found = measure(name, sizes, device)
        except Exception as error:  # the others are wanted all the same
            found = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        result["methods"][name] = found
        print(f"{name}: {found}", file=sys.stderr, flush=True)
        if options.out is not None:
            options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    if any(
        "failed" in found or any(value is False for value in found.values()) for found in result["methods"].values()
    ):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
