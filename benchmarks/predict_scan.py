"""What it costs to search, classify and explain a scan, beside the floor and beside a lung network over all slices.

    python benchmarks/predict_scan.py [--slices 300] [--size 512] [--model FILE.onnx] [--repeats 3] [--out FILE]

Makes a phantom patient of so many slices in a temporary folder, once uncompressed and once as JPEG 2000 (lossless), and
runs ``triplenet predict`` on it, each time as a new process, as a user would. Without ``--model`` a Triple Net with
random weights is exported to ONNX at the paper's size; its answers mean nothing, its costs are the same. Prints one
JSON object. Seconds are the clock's, the shortest of the repeats; files are in the cache. For each way:

- ``process``: from the start of the process to its end; ``start_up``: what of it lies before and after the prediction
- ``stages``: seconds of each as the result tells them; ``lungs``, ``read slices``, ``network`` lie within others
- ``evaluations``: slices that the network saw
- ``peak_mb``: the largest resident memory of the process

``floor``: reading the bytes of the slices that were looked at, and so many evaluations of the network at the speed that
it has in a loop of its own. ``r231``: the network of the ``lungmask`` package (random weights) over all slices at its
own size, batch and preprocessing aside, with the same threads; left out where the package is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from triplenet import phantom
from triplenet.processes import usable_threads
from triplenet.scan import Geometry

R231_SIDE, R231_BATCH = 256, 20


def write_scan(folder: Path, slices: int, size: int) -> None:
    """A phantom patient with pneumonia, its slices spread over so many."""
    made = phantom.patient(seed=3, index=0, finding="typical", matrix=size, thickness_mm=1.0)
    rows = np.linspace(0, len(made.hu) - 1, slices).round().astype(int)
    affine = made.geometry.affine.copy()
    affine[:3, 0] *= len(made.hu) / slices
    changed = {"hu": made.hu[rows], "infection": made.infection[rows], "lung": made.lung[rows]}
    geometry = Geometry((slices, size, size), affine)
    phantom.write_dicom(replace(made, **changed, geometry=geometry), folder)


def compress(source: Path, target: Path) -> None:
    """The same slices as JPEG 2000."""
    target.mkdir()
    for path in sorted(source.rglob("*.dcm")):
        dataset = dcmread(path)
        dataset.compress(JPEG2000Lossless)
        dataset.save_as(target / path.name)


MODEL = """
import sys
from datetime import date
import torch
from triplenet import catalog, networks
from triplenet.export import export
from triplenet.model import ModelCard, save_model, task_card
torch.manual_seed(0)
task = catalog.task("binary")
card = ModelCard(method="triple", classes=task.classes, task=task_card(task), window_hu=(-1000.0, -500.0), size=256,
    crop=224, dimensions=2, recipe={}, data_sha256="0" * 64, fold=1, created=date(2020, 1, 1),
    versions={name: "0" for name in ("triplenet", "torch", "numpy", "python")})
folder = sys.argv[1]
save_model(folder + "/m.safetensors", networks.build("triple", classes=2).eval(), torch.full((256, 256), 0.3), card)
export(folder + "/m.safetensors", folder + "/m.onnx")
"""


def make_model(folder: Path) -> Path:
    """A Triple Net with random weights as ONNX."""
    subprocess.run([sys.executable, "-c", MODEL, str(folder)], check=True)
    return folder / "m.onnx"


def predict(scan: Path, model: Path, out: Path, repeats: int, *more: str) -> dict[str, Any]:
    """The command as a user gives it: the fastest of so many times."""
    command = [sys.executable, "-m", "triplenet", "predict", str(scan), "--model", str(model), "--out", str(out), *more]
    best: dict[str, Any] = {}
    for _ in range(repeats):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(f"{' '.join(command)} failed")
        record = json.loads((out / "scan-001" / "result.json").read_text(encoding="utf-8"))
        stages = {name: round(ms / 1000, 3) for name, ms in record["timings_ms"].items()}
        parts = sum(value for name, value in stages.items() if name not in ("lungs", "read slices", "network"))
        if not best or seconds < best["process"]:
            best = {
                "process": round(seconds, 2),
                "start_up_and_write": round(seconds - parts, 2),
                "stages": stages,
                "evaluations": record["search"]["evaluations"] if record["search"] else None,
                "peak_mb": round(usage.ru_maxrss / 1024),
                "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            }
    return best


def network_speed(model: Path, runtime: str, count: int = 48) -> float:
    """Seconds an evaluation, in a loop and nothing else."""
    from triplenet.inference import load_runtime

    ready = load_runtime(model, runtime=runtime)  # type: ignore[arg-type]
    batch = ready.batch
    images = np.random.default_rng(0).integers(0, 256, (batch, ready.card.size, ready.card.size), dtype=np.uint8)
    ready.answer(images)
    start = time.perf_counter()
    for _ in range(count // batch):
        ready.answer(images)
    return (time.perf_counter() - start) / count


def r231_seconds(slices: int, threads: int) -> float | None:
    """The lungmask network over so many slices; measured on a part of them."""
    if find_spec("lungmask") is None or find_spec("torch") is None:
        return None
    import torch
    from lungmask.resunet import UNet

    torch.set_num_threads(threads)
    network = UNet(n_classes=3, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False).eval()
    images = torch.rand(R231_BATCH, 1, R231_SIDE, R231_SIDE)
    with torch.inference_mode():
        network(images[:2])
        start = time.perf_counter()
        for _ in range(2):
            network(images)
    return (time.perf_counter() - start) / (2 * R231_BATCH) * slices


def read_bytes(folder: Path, count: int) -> float:
    """Seconds to read the bytes of so many files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())[:count]
    start = time.perf_counter()
    for path in files:
        path.read_bytes()
    return time.perf_counter() - start


def measure(slices: int, size: int, repeats: int, given: Path | None) -> dict[str, Any]:
    """Everything, in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw, packed, out = folder / "raw", folder / "j2k", folder / "out"
        # In a process of its own: what this one holds would count as its children's peak.
        made = [sys.executable, __file__, "--slices", str(slices), "--size", str(size), "--make", str(folder)]
        subprocess.run(made, check=True)
        model = given or make_model(folder)
        found: dict[str, Any] = {
            "raw": predict(raw, model, out, repeats),
            "jpeg2000": predict(packed, model, out, repeats),
            "raw, exhaustive": predict(raw, model, out, 1, "--search", "exhaustive"),
        }
        runtimes = ["onnxruntime", *(["openvino"] if find_spec("openvino") else [])]
        speeds = {runtime: round(network_speed(model, runtime), 4) for runtime in runtimes}
        if "openvino" in speeds:
            found["raw, openvino"] = predict(raw, model, out, repeats, "--runtime", "openvino")
        looked = found["raw"]["evaluations"] or 1
        floor = read_bytes(raw, looked) + looked * speeds["onnxruntime"]
        r231 = r231_seconds(slices, usable_threads())
        done = found["raw"]["process"]
        return {
            "slices": slices,
            "size": size,
            "threads": usable_threads(),
            "model": "given" if given else "triple, random weights",
            **found,
            "seconds_an_evaluation": speeds,
            "floor": round(floor, 2),
            "ratio_to_floor": round(done / floor, 2),
            "r231_all_slices": None if r231 is None else round(r231, 1),
            "r231_ratio": None if r231 is None else round(r231 / done, 1),
            "exhaustive_ratio": round(found["raw, exhaustive"]["process"] / done, 1),
            "versions": {name: version(name) for name in ("triplenet", "numpy", "onnxruntime")},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.make is not None:
        write_scan(asked.make / "raw", asked.slices, asked.size)
        compress(asked.make / "raw", asked.make / "j2k")
        return
    text = json.dumps(measure(asked.slices, asked.size, asked.repeats, asked.model), indent=1)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
