"""The formats that a model can be exported to. Loads without torch.

A format is one module, which defines ``write(model_file, to, on_step) -> Written``, and one entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec

from triplenet.errors import MissingExtra, UnknownName


@dataclass(frozen=True)
class Format:
    """One kind of file."""

    name: str
    suffix: str
    title: str
    module: str
    """in ``triplenet.export``"""
    needs: tuple[str, ...] = ()
    """Packages beyond the core's."""
    extra: str = "export"
    """The extra that brings them."""


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format("safetensors", ".safetensors", "triplenet model file", "model_file"),
        Format("onnx", ".onnx", "ONNX graph", "onnx_graph", ("torch", "onnx", "onnxscript", "onnxruntime")),
        Format("torch", ".pt2", "torch.export program", "torch_program", ("torch",), extra="train"),
    )
}


def find_format(name: str) -> Format:
    """The format of this name.

    :raises UnknownName: there is none
    """
    if name in FORMATS:
        return FORMATS[name]
    there = f"choose one of {', '.join(FORMATS)} (OpenVINO reads ONNX files as they are)"
    near = get_close_matches(name, FORMATS, n=1)
    raise UnknownName("unknown format", where=repr(name), do=f"did you mean {near[0]!r}?" if near else there)


def format_of(suffix: str) -> Format | None:
    """The format whose files end so, if there is one."""
    return next((one for one in FORMATS.values() if one.suffix == suffix.lower()), None)


def check_installed(chosen: Format) -> None:
    """Raise MissingExtra unless the format's packages are there."""
    missing = [package for package in chosen.needs if find_spec(package) is None]
    if missing:
        raise MissingExtra(
            f"the {chosen.name} format needs {', '.join(missing)}",
            do=f"pip install 'triplenet[{chosen.extra}]'",
        )
