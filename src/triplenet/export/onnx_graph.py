"""``onnx``: one file that ONNX Runtime runs alone, heat map included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import triplenet
from triplenet.errors import ExportFailed
from triplenet.export.check import Arrays, Bytes, differences
from triplenet.export.description import BATCH, Port, Written, input_ports, output_ports
from triplenet.export.program import quiet, trace
from triplenet.model import Model, load_model
from triplenet.processes import usable_threads

if TYPE_CHECKING:
    import onnx

#: Read by ONNX Runtime 1.17 and later; torch's exporter writes it without a conversion.
OPSET = 20


def write(model_file: Path, to: Path, on_step: Callable[[str], None]) -> Written:
    """Write the graph and run the written file beside the model.

    :raises ExportFailed: it differs, or is not valid
    """
    import onnx

    on_step("tracing")
    model = load_model(model_file)
    program = trace(model)
    on_step("converting")
    with quiet():
        converted = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
    if converted is None:
        raise ExportFailed("torch made no ONNX graph of this model", where=model_file)
    inputs = input_ports(model.card, model.network.channels)
    outputs = output_ports(model.card, tuple(_output_names(program)))
    for value, port in zip(
        (*converted.model.graph.inputs, *converted.model.graph.outputs), (*inputs, *outputs), strict=True
    ):
        value.name = port.name
    proto = converted.model_proto
    _describe(proto, model, inputs, outputs)
    on_step("writing")
    to.write_bytes(proto.SerializeToString())
    try:
        onnx.checker.check_model(to, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportFailed(f"the ONNX graph is not valid ({error})", where=model_file) from error
    on_step("comparing")
    return Written(inputs, outputs, differences(model, runner(to)), {"opset": str(OPSET)})


def _output_names(program: torch.export.ExportedProgram) -> list[str]:
    names: list[str] = program.call_spec.out_spec.context  # a dictionary's keys
    return names


def _describe(proto: onnx.ModelProto, model: Model, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> None:
    """Say in the file what it is, and nothing of the machine that it was made on."""
    card = model.card
    graph = proto.graph
    graph.name = card.method
    # Sizes between the nodes follow from those at the ends; nodes carry the exporter's notes on its own code.
    del graph.value_info[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value, port in zip((*graph.input, *graph.output), (*inputs, *outputs), strict=True):
        value.doc_string = port.what
        del value.metadata_props[:]
        for dimension, axis in zip(value.type.tensor_type.shape.dim, port.axes, strict=True):
            if axis == BATCH:
                dimension.dim_param = BATCH
            else:
                dimension.dim_value = int(axis)
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    proto.producer_name, proto.producer_version = "triplenet", triplenet.__version__
    proto.doc_string = card.intended_use
    del proto.metadata_props[:]
    facts = {
        "method": card.method,
        "classes": list(card.classes),
        "positive": list(card.task.positive),
        "window_hu": list(card.window_hu),
        "size": card.size,
        "crop": card.crop,
        "frames": card.frames,
        "axes": {port.name: list(port.axes) for port in (*inputs, *outputs)},
        "meaning": {port.name: port.what for port in (*inputs, *outputs)},
        "intended_use": card.intended_use,
        "triplenet": card.model_dump(mode="json"),
    }
    for name, fact in facts.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = name, fact if isinstance(fact, str) else json.dumps(fact)


def runner(path: Path) -> Callable[[dict[str, Bytes]], Arrays]:
    """What runs a graph in ONNX Runtime: inputs by name -> outputs by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: dict[str, Bytes]) -> Arrays:
        return {name: np.asarray(array) for name, array in zip(names, session.run(None, inputs), strict=True)}

    return run
