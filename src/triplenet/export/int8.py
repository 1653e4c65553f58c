"""An ONNX graph in 8-bit integers: smaller and faster, and with what that changes measured on a prepared set.

Static quantisation by ONNX Runtime. What each layer gives is looked at on training patients of the model's own fold;
what it costs is measured on the fold's test patients, which neither the training nor that has seen.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput, ExportFailed
from triplenet.evaluation.delong import area_covariance, auc_interval, difference_from_variance
from triplenet.export.check import Arrays, Bytes
from triplenet.model import ModelCard
from triplenet.prepare.store import PreparedSet

#: Training patients whose layers are looked at, and how many at once.
LOOKED_AT, BATCH = 128, 8
LAYERS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
INT8 = "int8"
"""Of the entry in the file that tells what it changed"""

Run = Callable[[dict[str, Bytes]], Arrays]


def check_int8(card: ModelCard, prepared: PreparedSet) -> None:
    """Refuse a model that cannot be quantised, or a set that is not for it.

    :raises BadInput: a 3D method, or images of another size or window, or not the model's classes
    """
    info = prepared.info
    if card.dimensions != 2:
        raise BadInput(f"{card.method} reads volumes; int8 is for methods that read slices", where="int8")
    if (info.size, tuple(info.window_hu)) != (card.size, tuple(card.window_hu)):
        raise BadInput(
            "the prepared set has another size or window than the model",
            where=prepared.folder,
            do="give the set that it was trained on",
        )


def quantise(graph: Path, card: ModelCard, prepared: PreparedSet, runner: Callable[[Path], Run]) -> dict[str, Any]:
    """Replace an exported graph by one in integers; gives what that changed, which the file tells, too.

    :param graph: as ``onnx_graph.write`` wrote it
    :param runner: path of a graph -> what runs it
    :raises ExportFailed: the graph in integers does not give numbers
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    fold = prepared.fold(card.fold)
    seen = prepared.rows(fold.train)[:LOOKED_AT]

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self.batches = _batches(prepared, seen)

        def get_next(self) -> dict[str, Bytes] | None:
            return next(self.batches, None)

    before = _answers(runner(graph), prepared, fold.test)
    with TemporaryDirectory(dir=graph.parent) as name, _quiet():
        folder = Path(name)
        quant_pre_process(graph, folder / "shapes.onnx", skip_symbolic_shape=True)
        quantize_static(
            folder / "shapes.onnx",
            folder / "int8.onnx",
            Reader(),
            op_types_to_quantize=LAYERS,
            per_channel=True,
            # Processors without 8-bit dot products add pairs up in 16 bits, which would overflow.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        after = _answers(runner(folder / "int8.onnx"), prepared, fold.test)
        if not all(np.isfinite(array).all() for array in after.values()):
            raise ExportFailed("the graph in 8-bit integers does not give numbers", do="export it without")
        change = _change(card, prepared, before, after)
        own, made = onnx.load(graph), onnx.load(folder / "int8.onnx")
        del made.metadata_props[:]
        made.metadata_props.extend(own.metadata_props)
        entry = made.metadata_props.add()
        entry.key, entry.value = INT8, json.dumps(change)
        made.producer_name, made.producer_version = own.producer_name, own.producer_version
        made.doc_string = own.doc_string
        graph.write_bytes(made.SerializeToString())
    return change


def in_words(change: dict[str, Any]) -> str:
    """What ``quantise`` tells, in a line."""
    of = f"on {change['patients']} test patients of fold {change['fold']}"
    if change["auc"] is None:
        auc = "AUC not defined"
    else:
        low, high = change["difference_low"], change["difference_high"]
        between = "" if low is None else f", 95 % interval {low:+.3f} to {high:+.3f}"
        auc = f"AUC {change['auc_before']:.3f} -> {change['auc']:.3f} ({change['difference']:+.3f}{between})"
    return f"{auc} {of}; a probability changes by up to {change['greatest_change']:.3f}"


def _batches(prepared: PreparedSet, rows: npt.NDArray[np.int64]) -> Iterator[dict[str, Bytes]]:
    for first in range(0, len(rows), BATCH):
        yield {"images": np.array(prepared.images[rows[first : first + BATCH]])[:, None]}


def _answers(run: Run, prepared: PreparedSet, patients: tuple[str, ...]) -> dict[str, npt.NDArray[np.float32]]:
    parts = [run(batch) for batch in _batches(prepared, prepared.rows(patients))]
    return {name: np.concatenate([part[name] for part in parts]) for name in ("probabilities", "heat")}


def _change(
    card: ModelCard,
    prepared: PreparedSet,
    before: dict[str, npt.NDArray[np.float32]],
    after: dict[str, npt.NDArray[np.float32]],
) -> dict[str, Any]:
    """AUC of disease against everything else, of the fold's test patients with a finding."""
    fold = prepared.fold(card.fold)
    labels = prepared.labels(card.task.task(card.classes))[prepared.rows(fold.test)]
    known = labels >= 0
    positive = list(card.positive) or [1]
    truth = np.isin(labels[known], positive)
    scores = np.stack([each["probabilities"][known][:, positive].sum(1) for each in (before, after)])
    areas, covariance = area_covariance(truth, scores)
    contrast = np.array([-1.0, 1.0])
    difference = difference_from_variance(float(contrast @ areas), float(contrast @ covariance @ contrast))
    interval = auc_interval(truth, scores[1])

    def told(value: float) -> float | None:
        return None if np.isnan(value) else round(value, 4)

    return {
        "fold": card.fold,
        "patients": int(known.sum()),
        "data_sha256": prepared.info.sha256,
        "auc_before": told(float(areas[0])),
        "auc": told(float(areas[1])),
        "auc_low": told(interval.low),
        "auc_high": told(interval.high),
        "difference": told(difference.value),
        "difference_low": told(difference.low),
        "difference_high": told(difference.high),
        "greatest_change": round(float(np.abs(after["probabilities"] - before["probabilities"]).max()), 4),
        "mean_change_of_heat": round(float(np.abs(after["heat"] - before["heat"]).mean()), 5),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantiser gives advice that is followed already."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)
