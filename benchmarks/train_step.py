"""How fast a training step is: with data, without, beside a plain loop and beside the machine's own limits.

    python benchmarks/train_step.py [--methods triple,baseline] [--modes eager,graph,compile,compile+graph]
                                    [--device cuda] [--out FILE]

Prints one JSON object; with ``--out`` it is also written after each method and mode, so that a stop loses only the one
begun. On a GPU the defaults are the paper's conditions (853 patients of 256 x 256, crop 224, 32 a step), on a processor
a small size; every number can be given. For each 2D method, and each way to compute its step (``eager``, ``compile``,
and the two as one CUDA graph, see ``training.cuda_graph``):

- ``step``: steps a second of the training loop: rows, both views' augmentation, forward, losses, backward, Adam
- ``without_data``: the same on one batch made beforehand. nnU-Net's rule: ``data_cost`` = without / with - 1 <= 0.05
- ``plain``: steps a second of the loop that one would write first: a Dataset that transforms image by image with PIL, a
  DataLoader with worker processes, fp32, eager, contiguous, Adam as it comes, the loss read at every step
- ``speed_up``: step / plain
- ``flops``: of a step, counted by torch (forward and backward, convolutions and products); ``share_of_matmul`` is what
  the step achieves of the rate that one large matrix product reaches here in the same precision
- ``step_gb``: what the operations of an eager step read and write, each tensor once an operation (``step_costs.py``),
  ``gb_per_s`` what the step achieves of that, ``bound_ms`` the time that so many bytes take at the bandwidth which the
  copy or the triad reached in this call, ``share_of_bound`` = bound / step. A compiled step moves less than is counted
- ``operations`` of an eager step; on a GPU ``launches`` (calls that give it work), ``kernels`` that it ran, and
  ``idle_share``: the share of a step's time in which it ran none
- ``peak_memory_gib``: on a GPU of our loop alone, on a processor of the whole process so far
- ``fold_minutes``: 1000 epochs of 853 patients at this speed; only on a GPU and at the paper's size

The variants take turns and the best of the repeats counts. How to read a slow result: look at ``data_cost`` first (the
data path), then at ``idle_share`` (the processor is what is waited for: record the step), then at ``share_of_bound``
(kernels that use the memory badly), then at the memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from step_costs import Traffic, bandwidth, launches, synchronise
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from triplenet import catalog, losses, networks
from triplenet.errors import BadRecipe
from triplenet.losses.targets import Targets
from triplenet.processes import usable_threads
from triplenet.training.arrays import BatchIndex, DeviceArray
from triplenet.training.average import Average
from triplenet.training.data import FoldData, Subset
from triplenet.training.device import check_compiler, choose_device, choose_precision, computing, device_name
from triplenet.training.fit import lay_out
from triplenet.training.optimiser import make_optimiser
from triplenet.training.recipe import Recipe, load_recipe
from triplenet.training.state import State
from triplenet.training.step import Measured, Precision, Step, Weights
from triplenet.training.step_graph import CudaRecorder, StepGraph
from triplenet.training.whole_step import StepInput, WholeStep, step_input

METHODS_2D = [name for name, method in catalog.METHODS.items() if method.dimensions == 2]
PAPER = {"patients": 853, "size": 256, "crop": 224, "batch": 32, "steps": 26}
SMALL = {"patients": 64, "size": 128, "crop": 112, "batch": 8, "steps": 6}
MATMUL = {"cuda": 8192, "cpu": 1024}
MODES = ("eager", "graph", "compile", "compile+graph")
PROFILED_STEPS = 5


def main() -> None:
    """Measure and print."""
    options = _arguments()
    device = choose_device(options.device)
    defaults = PAPER if device.type == "cuda" else SMALL
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    precision = choose_precision(options.precision, device)
    with computing(device, usable_threads(), 0):
        result = {
            "benchmark": "train_step",
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "workers": options.workers,
            "precision": precision,
            **{name: getattr(options, name) for name in defaults},
            "matmul_tflops": round(matmul_rate(device, precision) / 1e12, 4),
            **bandwidth(device),
            "methods": {name: {} for name in options.methods},
            "versions": {name: version(name) for name in ("torch", "numpy")} | {"python": platform.python_version()},
        }
        if device.type == "cuda":  # the profiler sees into a graph only if it was there before
            on_gpu(lambda steps: torch.ones(steps, device=device), 1.0, device)
        for mode in options.modes:
            for name in options.methods:
                try:
                    found = measure(name, mode, options, device, precision, result)
                except (BadRecipe, RuntimeError) as error:  # of a mode that this machine lacks, or has no memory for
                    found = {"failed": str(error).partition("\n")[0]}
                result["methods"][name][mode] = found
                print(f"{name}, {mode}: {found}", file=sys.stderr, flush=True)
                if options.out is not None:
                    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure(
    name: str, mode: str, options: argparse.Namespace, device: torch.device, precision: str, machine: dict[str, float]
) -> dict[str, float | str | None]:
    """One method's numbers.

    :param machine: what the machine's limits are
    """
    graph, compiled = "graph" in mode, "compile" in mode
    if graph and device.type != "cuda":
        raise BadRecipe("needs a CUDA GPU")
    if compiled:
        check_compiler(device)
        torch.compiler.reset()
    settings = [f"augmentation.crop={options.crop}", f"training.batch={options.batch}", "encoder.weights=none"]
    recipe = load_recipe("default", method=name, settings=[*settings, f"training.cuda_graph={str(graph).lower()}"])
    data = cohort(options.patients, options.size, device)
    peak = 0.0
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    ours = Ours(recipe, data, device, precision, compiled=compiled)
    if device.type == "cuda":  # before the plain loop lies beside it
        ours.run(5)
        synchronise(device)
        peak = torch.cuda.max_memory_allocated(device)
    variants: dict[str, Callable[[int], None]] = {"step": ours.run, "without_data": ours.run_without_data}
    if not options.no_plain and mode == "eager":
        variants["plain"] = Plain(recipe, data, device, options.workers).run
    best = best_of(variants, options.steps, options.repeats, device)
    return {
        **rates(best, options, device),
        **limits(ours, best["step"], machine, device),
        **({} if device.type == "cpu" else on_gpu(ours.run, best["step"], device)),
        "peak_memory_gib": round(
            peak / 2**30 if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2
        ),
    }


def best_of(
    variants: dict[str, Callable[[int], None]], steps: int, repeats: int, device: torch.device
) -> dict[str, float]:
    """Seconds a step of each variant."""
    best = dict.fromkeys(variants, math.inf)
    for repeat in range(repeats + 1):  # the first one warms up
        for variant, run in variants.items():
            synchronise(device)
            began = perf_counter()
            run(steps)
            synchronise(device)
            if repeat:
                best[variant] = min(best[variant], (perf_counter() - began) / steps)
    return best


def rates(best: dict[str, float], options: argparse.Namespace, device: torch.device) -> dict[str, float | str | None]:
    """Steps a second, and what follows from them."""
    found: dict[str, float | str | None] = {f"{name}_per_s": round(1 / seconds, 3) for name, seconds in best.items()}
    found["step_ms"] = round(1e3 * best["step"], 3)
    found["data_cost"] = round(best["step"] / best["without_data"] - 1, 4)
    found["speed_up"] = round(best["plain"] / best["step"], 3) if "plain" in best else None
    found["patients_per_s"] = round(options.batch / best["step"], 1)
    if device.type == "cuda" and all(getattr(options, name) == PAPER[name] for name in PAPER if name != "steps"):
        found["fold_minutes"] = round(1000 * (853 // options.batch) * best["step"] / 60, 2)
    return found


def limits(ours: Ours, seconds: float, machine: dict[str, float], device: torch.device) -> dict[str, float]:
    """The step beside what the arithmetic and the memory allow."""
    flops, traffic = ours.count()
    synchronise(device)
    bound = traffic.bytes / 1e9 / max(machine["copy_gb_per_s"], machine["triad_gb_per_s"])
    return {
        "step_gflops": round(flops / 1e9, 2),
        "share_of_matmul": round(flops / seconds / 1e12 / machine["matmul_tflops"], 4),
        "operations": traffic.operations,
        "step_gb": round(traffic.bytes / 1e9, 4),
        "gb_per_s": round(traffic.bytes / 1e9 / seconds, 2),
        "bound_ms": round(1e3 * bound, 3),
        "share_of_bound": round(bound / seconds, 4),
    }


def on_gpu(run: Callable[[int], object], seconds: float, device: torch.device) -> dict[str, float | str]:
    """Launches and idle time, where torch's profiler can tell."""
    try:
        found = launches(run, PROFILED_STEPS, device)
    except RuntimeError as error:
        return {"profiler": str(error).partition("\n")[0]}
    busy = found.pop("busy_s")
    # The profiler slows the processor down and not the kernels, so their time is held against the step's without it.
    return {**found, "busy_ms": round(1e3 * busy, 3), "idle_share": round(max(0.0, 1 - busy / seconds), 4)}


def cohort(patients: int, size: int, device: torch.device) -> FoldData:
    """Blurred noise as images, two lungs with a spot as masks: what they show does not change the speed."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (patients, size // 8, size // 8), dtype=np.uint8)
    images = coarse.repeat(8, axis=1).repeat(8, axis=2)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    mask = (np.abs(np.abs(columns) - 0.22) < 0.15).astype(np.uint8)
    mask[(rows**2 + (columns - 0.2) ** 2) < 0.01] = 2
    part = Subset(
        tuple(f"p{number}" for number in range(patients)),
        DeviceArray(torch.from_numpy(images).to(device)),
        (torch.arange(patients) % 2).to(device),
        DeviceArray(torch.from_numpy(np.stack([mask] * patients)).to(device)),
    )
    return FoldData(part, part, part, torch.full((size, size), 0.5, device=device))


class Ours:
    """The training loop of the package, step by step."""

    def __init__(self, recipe: Recipe, data: FoldData, device: torch.device, precision: str, *, compiled: bool) -> None:
        method = catalog.method(recipe.method)
        self.recipe, self.data, self.views = recipe, data, method.views
        network = networks.build(recipe.method).to(device).train()
        lay_out(network, device)
        optimiser = make_optimiser(network, recipe.training, device)
        self.state = State(network, optimiser, torch.Generator(device).manual_seed(0), Average("none"))
        objective = losses.objective(recipe.method, recipe.loss).to(device)
        kind: Precision = "bf16" if precision == "bf16" else "fp32"
        # With and without data are two recordings.
        graphs = [StepGraph(CudaRecorder(device)) for _ in range(2)] if recipe.training.cuda_graph else []
        step = Step(
            network, objective, optimiser, precision=kind, compiled=compiled, graph=graphs[0] if graphs else None
        )
        eager = Step(network, objective, optimiser, precision=kind)
        self.whole, self.eager = (
            WholeStep(one, data.mean_image, recipe.augmentation, self.views) for one in (step, eager)
        )
        self.weights = objective.weights(0.5)
        self.held = self._given(BatchIndex.of(range(recipe.training.batch), device))
        seen, labels = self.whole.samples(self.held)
        targets = Targets(labels, seen.masks, seen.images)

        def on_held(_given: StepInput, weights: Weights) -> Measured:
            return step(seen.images, targets, weights)

        self._with_data = partial(graphs[0], self.whole) if graphs else self.whole
        self._without_data = partial(graphs[1], on_held) if graphs else on_held

    def run(self, steps: int) -> None:
        """With data."""
        order = torch.randperm(len(self.data.train), generator=self.state.generator, device=self.state.generator.device)
        positions = BatchIndex.of(order.tolist(), self.state.generator.device)
        batch = self.recipe.training.batch
        for number in range(steps):
            start = number * batch % (len(positions) - batch + 1)
            self._with_data(self._given(positions[start : start + batch]), self.weights)

    def run_without_data(self, steps: int) -> None:
        """The same batch each time."""
        for _ in range(steps):
            self._without_data(self.held, self.weights)

    def count(self) -> tuple[float, Traffic]:
        """Floating-point operations and memory traffic of one step, as it is neither compiled nor recorded."""
        with FlopCounterMode(display=False) as counter, Traffic() as traffic:
            self.eager(self.held, self.weights)
        return float(counter.get_total_flops()), traffic

    def _given(self, patients: BatchIndex) -> StepInput:
        return step_input(self.data, patients, len(patients), self.views, self.state.generator)


class Plain:
    """The loop that one would write first."""

    def __init__(self, recipe: Recipe, data: FoldData, device: torch.device, workers: int) -> None:
        self.recipe, self.device = recipe, device
        method = catalog.method(recipe.method)
        self.network = networks.build(recipe.method).to(device).train()
        self.optimiser = torch.optim.Adam(self.network.parameters(), recipe.training.learning_rate)
        self.objective = losses.objective(recipe.method, recipe.loss).to(device)
        dataset = Transformed(data, recipe, method.views)
        self.loader = DataLoader(
            dataset,
            recipe.training.batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
        )
        self.batches = self._endless()

    def run(self, steps: int) -> None:
        """Some steps of an endless training, with torch's own settings: on a GPU convolutions in TF32."""
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = True
        for _ in range(steps):
            images, masks, labels = (part.to(self.device) for part in next(self.batches))
            images, masks = images.transpose(0, 1).flatten(0, 1), masks.transpose(0, 1).flatten(0, 1)
            targets = Targets(labels.repeat(len(images) // len(labels)), masks, images)
            self.optimiser.zero_grad()
            total = self.objective(self.network(images), targets, 0.5)["total"]
            total.backward()
            self.optimiser.step()
            total.item()
        torch.backends.cudnn.allow_tf32 = before

    def _endless(self) -> Iterator[list[Tensor]]:
        while True:
            yield from self.loader


class Transformed(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """One patient: each view rotated, cropped, flipped and brightened by PIL."""

    def __init__(self, data: FoldData, recipe: Recipe, views: int) -> None:
        everybody = BatchIndex.of(range(len(data.train)), data.mean_image.device)
        masks = data.train.masks
        assert masks is not None
        self.images = [Image.fromarray(one) for one in data.train.images.fetch(everybody).cpu().numpy()]
        self.masks = [Image.fromarray(one) for one in masks.fetch(everybody).cpu().numpy()]
        self.labels = data.train.labels.cpu()
        self.mean = data.mean_image.cpu().numpy()
        self.recipe, self.views = recipe.augmentation, views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, patient: int) -> tuple[Tensor, Tensor, Tensor]:
        views = [self._view(patient) for _ in range(self.views)]
        images, masks = zip(*views, strict=True)
        return torch.stack(images), torch.stack(masks), self.labels[patient]

    def _view(self, patient: int) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng(int(torch.randint(2**31, ()).item()))
        recipe, image, mask = self.recipe, self.images[patient], self.masks[patient]
        grey = np.asarray(image, np.float32) / 255 * generator.uniform(1 - recipe.brightness, 1 + recipe.brightness)
        image = Image.fromarray(np.minimum(grey, 1) - self.mean)
        angle = generator.uniform(-recipe.rotation_degrees, recipe.rotation_degrees)
        image = image.rotate(angle, Image.Resampling.BILINEAR)
        mask = mask.rotate(angle, Image.Resampling.NEAREST)
        top, left = generator.integers(0, image.height - recipe.crop + 1, 2)
        box = (int(left), int(top), int(left) + recipe.crop, int(top) + recipe.crop)
        image, mask = image.crop(box), mask.crop(box)
        if generator.random() < recipe.flip:
            image, mask = (one.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for one in (image, mask))
        return torch.from_numpy(np.array(image))[None], torch.from_numpy(np.array(mask))


def matmul_rate(device: torch.device, precision: str) -> float:
    """Operations a second of a large matrix product in the precision of the network's passes."""
    size = MATMUL[device.type]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    best = math.inf
    for _ in range(10):
        synchronise(device)
        began = perf_counter()
        torch.mm(left, right)
        synchronise(device)
        best = min(best, perf_counter() - began)
    return 2 * size**3 / best


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="all", help="by commas; all the 2D ones by default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--modes", default="eager", help=f"by commas of {', '.join(MODES)}")
    for name, text in (
        ("patients", "of the cohort"),
        ("size", "of the images"),
        ("crop", "of what the network sees"),
        ("batch", "patients a step"),
        ("steps", "of a repeat"),
    ):
        parser.add_argument(f"--{name}", type=int, help=text)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="of the plain DataLoader")
    parser.add_argument("--no-plain", action="store_true", help="leave the plain loop out")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.modes = options.modes.split(",")
    if not set(options.modes) <= set(MODES):
        parser.error(f"--modes: known are {', '.join(MODES)}")
    options.methods = METHODS_2D if options.methods == "all" else options.methods.split(",")
    return options


if __name__ == "__main__":
    main()
