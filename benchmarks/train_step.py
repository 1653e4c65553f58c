"""How fast a training step is: with data, without, beside a plain loop and beside the processor's own limit.

    python benchmarks/train_step.py [--methods triple,baseline] [--device cuda] [--out FILE]

Prints one JSON object. On a GPU the defaults are the paper's conditions (853 patients of 256 x 256, crop 224, 32 a
step), on a processor a small size; every number can be given. For each 2D method:

- ``step``: steps a second of the training loop: rows, both views' augmentation, forward, losses, backward, Adam
- ``without_data``: the same on one batch made beforehand. nnU-Net's rule: ``data_cost`` = without / with - 1 <= 0.05
- ``plain``: steps a second of the loop that one would write first: a Dataset that transforms image by image with PIL, a
  DataLoader with worker processes, fp32, eager, contiguous, Adam as it comes, the loss read at every step
- ``speed_up``: step / plain
- ``flops``: of a step, counted by torch (forward and backward, convolutions and products); ``share_of_matmul`` is what
  the step achieves of the rate that one large matrix product reaches here in the same precision
- ``peak_memory_gib``: on a GPU of our loop alone, on a processor of the whole process so far
- ``fold_minutes``: 1000 epochs of 853 patients at this speed; only on a GPU and at the paper's size

The variants take turns and the best of the repeats counts. How to read a slow result: look at ``data_cost`` first (the
data path), then at ``share_of_matmul`` (kernels too small, or not compiled), then at the memory.
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
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from triplenet import catalog, losses, networks
from triplenet.losses.targets import Targets
from triplenet.processes import usable_threads
from triplenet.training.arrays import Positions, Resident
from triplenet.training.average import Average
from triplenet.training.data import FoldData, Part
from triplenet.training.device import choose_device, choose_precision, computing, device_name
from triplenet.training.distributed import ALONE
from triplenet.training.fit import lay_out
from triplenet.training.loop import samples
from triplenet.training.recipe import Recipe, load_recipe
from triplenet.training.state import State
from triplenet.training.step import Precision, Step

METHODS_2D = [name for name, method in catalog.METHODS.items() if method.dimensions == 2]
PAPER = {"patients": 853, "size": 256, "crop": 224, "batch": 32, "steps": 26}
SMALL = {"patients": 64, "size": 128, "crop": 112, "batch": 8, "steps": 6}
MATMUL = {"cuda": 8192, "cpu": 2048}


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
            "compiled": options.compile,
            **{name: getattr(options, name) for name in defaults},
            "matmul_tflops": round(matmul_rate(device, precision) / 1e12, 4),
            "methods": {},
            "versions": {name: version(name) for name in ("torch", "numpy")} | {"python": platform.python_version()},
        }
        for name in options.methods:
            result["methods"][name] = measure(name, options, device, precision, result["matmul_tflops"] * 1e12)
            print(f"{name}: {result['methods'][name]}", file=sys.stderr)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


def measure(
    name: str, options: argparse.Namespace, device: torch.device, precision: str, matmul: float
) -> dict[str, float | None]:
    """One method's numbers."""
    settings = [f"augmentation.crop={options.crop}", f"training.batch={options.batch}", "encoder.weights=none"]
    recipe = load_recipe("default", method=name, settings=settings)
    data = cohort(options.patients, options.size, device)
    if options.compile:
        torch.compiler.reset()
    peak = 0.0
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    ours = Ours(recipe, data, device, precision, compiled=options.compile)
    if device.type == "cuda":  # before the plain loop lies beside it
        ours.run(1)
        synchronise(device)
        peak = torch.cuda.max_memory_allocated(device)
    variants: dict[str, Callable[[int], None]] = {"step": ours.run, "without_data": ours.run_without_data}
    if not options.no_plain:
        variants["plain"] = Plain(recipe, data, device, options.workers).run
    best = dict.fromkeys(variants, math.inf)
    for repeat in range(options.repeats + 1):  # the first one warms up
        for variant, run in variants.items():
            synchronise(device)
            began = perf_counter()
            run(options.steps)
            synchronise(device)
            if repeat:
                best[variant] = min(best[variant], (perf_counter() - began) / options.steps)
    flops = ours.flops()
    rates = {variant: 1 / seconds for variant, seconds in best.items()}
    found: dict[str, float | None] = {f"{variant}_per_s": round(rate, 3) for variant, rate in rates.items()}
    found["data_cost"] = round(rates["without_data"] / rates["step"] - 1, 4)
    found["speed_up"] = round(rates["step"] / rates["plain"], 3) if "plain" in rates else None
    found["patients_per_s"] = round(rates["step"] * options.batch, 1)
    found["step_gflops"] = round(flops / 1e9, 2)
    found["share_of_matmul"] = round(flops * rates["step"] / matmul, 4)
    if device.type == "cuda":
        found["peak_memory_gib"] = round(peak / 2**30, 2)
        if all(getattr(options, name) == PAPER[name] for name in ("patients", "size", "crop", "batch")):
            found["fold_minutes"] = round(1000 * (853 // options.batch) / rates["step"] / 60, 2)
    else:
        found["peak_memory_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    return found


def cohort(patients: int, size: int, device: torch.device) -> FoldData:
    """Blurred noise as images, two lungs with a spot as masks: what they show does not change the speed."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (patients, size // 8, size // 8), dtype=np.uint8)
    images = coarse.repeat(8, axis=1).repeat(8, axis=2)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    mask = (np.abs(np.abs(columns) - 0.22) < 0.15).astype(np.uint8)
    mask[(rows**2 + (columns - 0.2) ** 2) < 0.01] = 2
    part = Part(
        tuple(f"p{number}" for number in range(patients)),
        Resident(torch.from_numpy(images).to(device)),
        (torch.arange(patients) % 2).to(device),
        Resident(torch.from_numpy(np.stack([mask] * patients)).to(device)),
    )
    return FoldData(part, part, part, torch.full((size, size), 0.5, device=device))


class Ours:
    """The training loop of the package, step by step."""

    def __init__(self, recipe: Recipe, data: FoldData, device: torch.device, precision: str, *, compiled: bool) -> None:
        method = catalog.method(recipe.method)
        self.recipe, self.data, self.views = recipe, data, method.views
        network = networks.build(recipe.method).to(device).train()
        lay_out(network, device)
        optimiser = torch.optim.Adam(network.parameters(), recipe.training.learning_rate, fused=device.type == "cuda")
        self.state = State(network, optimiser, torch.Generator(device).manual_seed(0), Average("none"))
        objective = losses.objective(recipe.method, recipe.loss).to(device)
        kind: Precision = "bf16" if precision == "bf16" else "fp32"
        self.step = Step(network, objective, optimiser, precision=kind, compiled=compiled)
        self.eager = Step(network, objective, optimiser, precision=kind)
        self.weights = objective.weights(0.5)
        self.held = self._batch(Positions.of(range(recipe.training.batch), device))

    def run(self, steps: int) -> None:
        """With data."""
        order = torch.randperm(len(self.data.train), generator=self.state.generator, device=self.state.generator.device)
        positions = Positions.of(order.tolist(), self.state.generator.device)
        batch = self.recipe.training.batch
        for number in range(steps):
            start = number * batch % (len(positions) - batch + 1)
            self._step(*self._batch(positions[start : start + batch]))

    def run_without_data(self, steps: int) -> None:
        """The same batch each time."""
        for _ in range(steps):
            self._step(*self.held)

    def flops(self) -> float:
        """Of one step."""
        with FlopCounterMode(display=False) as counter:
            self.eager(*self.held, self.weights)  # what is compiled is not counted
        return float(counter.get_total_flops())

    def _batch(self, patients: Positions) -> tuple[Tensor, Targets]:
        seen, labels = samples(self.data, patients, len(patients), self.recipe, self.views, self.state.generator, ALONE)
        return seen.images, Targets(labels, seen.masks, seen.images)

    def _step(self, images: Tensor, targets: Targets) -> None:
        self.step(images, targets, self.weights)


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
        everybody = Positions.of(range(len(data.train)), data.mean_image.device)
        masks = data.train.masks
        assert masks is not None
        self.images = [Image.fromarray(one) for one in data.train.images.take(everybody).cpu().numpy()]
        self.masks = [Image.fromarray(one) for one in masks.take(everybody).cpu().numpy()]
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


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="all", help="by commas; all the 2D ones by default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
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
    options.methods = METHODS_2D if options.methods == "all" else options.methods.split(",")
    return options


if __name__ == "__main__":
    main()
