"""A model as one graph of tensor operations: grey image in, probabilities and heat map out, gradient included.

Grad-CAM differentiates the head. Tracing below autograd turns that gradient into ordinary operations, so that the
graph needs no autograd where it runs.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import NotImplementedType

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from triplenet.explanation.one_pass import Explained
from triplenet.export.description import BATCH, Port, input_ports
from triplenet.model import Model

# Named for each node by tracing: they would carry this machine's paths into the file.
_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


def trace(model: Model) -> torch.export.ExportedProgram:
    """The graph of ``Explained``, for any number of images at once."""
    examples = tuple(_example(port) for port in input_ports(model.card, model.network.channels))
    with quiet():
        graph = make_fx(
            Explained(model),
            tracing_mode="symbolic",
            decomposition_table={torch.ops.aten.convolution_backward.default: _input_gradient},
            _allow_non_fake_inputs=True,
        )(*examples)
        batch = torch.export.Dim(BATCH, min=1)
        program = torch.export.export(graph, examples, dynamic_shapes=tuple({0: batch} for _ in examples))
    for module in (program.graph_module, *program.graph_module.modules()):
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for name in _TRACES:
                    node.meta.pop(name, None)
    return program


def _example(port: Port) -> Tensor:
    sizes = [int(axis) for axis in port.axes[1:]]
    # A batch as long as another axis would be taken for the same size.
    batch = next(number for number in (2, 3, 5, 7) if number not in sizes)
    return torch.zeros(batch, *sizes, dtype=torch.uint8)


def _input_gradient(
    gradient: Tensor,
    images: Tensor,
    weight: Tensor,
    _bias: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor, None, None] | NotImplementedType:
    """The gradient of a convolution for its input is a transposed convolution, which every format knows."""
    if transposed or list(wanted) != [True, False, False]:
        return NotImplemented  # type: ignore[no-any-return]  # typeshed calls the value Any
    extra = [
        size - ((cells - 1) * step - 2 * margin + spread * (kernel - 1) + 1)
        for size, cells, step, margin, spread, kernel in zip(
            images.shape[2:], gradient.shape[2:], stride, padding, dilation, weight.shape[2:], strict=True
        )
    ]
    back: Tensor = torch.ops.aten.convolution(gradient, weight, None, stride, padding, dilation, True, extra, groups)
    return back, None, None


@contextmanager
def quiet() -> Iterator[None]:
    """Torch's exporter talks of what does not concern the user; errors still come as exceptions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
