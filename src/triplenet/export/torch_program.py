"""``torch``: a program of ``torch.export`` (.pt2), run by torch without this package.

The file is a zip of JSON and raw tensors. Torch would pickle the example inputs into it, so they are left out; a file
with a pickle in it is not handed out.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from triplenet.errors import ExportFailed
from triplenet.export.check import Arrays, Bytes, differences
from triplenet.export.description import Written, input_ports, output_ports
from triplenet.export.program import quiet, trace
from triplenet.model import load_model

#: The model card's name in the file; ``torch.export.load(path, extra_files={CARD: ""})`` reads it.
CARD = "triplenet.json"
# Protocol 2 and later begin with the first, a zip within the zip (torch.save) with the second.
_PICKLED = (b"\x80", b"PK\x03\x04")


def write(model_file: Path, to: Path, on_step: Callable[[str], None]) -> Written:
    """Write the program and run the written file beside the model.

    :raises ExportFailed: it differs, or torch wrote a pickle
    """
    on_step("tracing")
    model = load_model(model_file)
    program = trace(model)
    program.example_inputs = None
    on_step("writing")
    with quiet():
        torch.export.save(program, to, extra_files={CARD: model.card.model_dump_json()})
    refuse_pickles(to)
    on_step("comparing")
    loaded = torch.export.load(to).module()

    def run(inputs: dict[str, Bytes]) -> Arrays:
        with torch.no_grad():
            outputs: dict[str, torch.Tensor] = loaded(*map(torch.from_numpy, inputs.values()))
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    found = differences(model, run)
    return Written(
        inputs=input_ports(model.card, model.network.channels),
        outputs=output_ports(model.card, tuple(found)),
        differences=found,
        facts={"torch": str(torch.__version__)},
    )


def refuse_pickles(path: Path) -> None:
    """Raise ExportFailed when an entry of the zip is a pickle, other than the raw values of a tensor."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if "/weights/weight_" in entry.filename or "/constants/tensor_" in entry.filename:
                continue
            with archive.open(entry) as stream:
                if stream.read(4).startswith(_PICKLED):
                    raise ExportFailed(
                        f"torch {torch.__version__} writes pickles into this format",
                        where=entry.filename.partition("/")[2],
                        do="use a newer torch, or the format onnx",
                    )
