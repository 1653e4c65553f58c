"""``triplenet export``: a model for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triplenet.cli import console


def export(
    source: Annotated[Path, typer.Argument(metavar="RUN|MODEL", help="A finished run's folder, or a model file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
    format_: Annotated[
        str | None, typer.Option("--format", help="safetensors, onnx or torch; by default as the file's name ends.")
    ] = None,
    int8: Annotated[
        Path | None,
        typer.Option(
            metavar="PREPARED", help="ONNX in 8-bit integers, with the change in AUC measured on this prepared set."
        ),
    ] = None,
    json: console.Json = False,
) -> None:
    """Write a model in another format. An ONNX or torch file takes grey slices and gives probabilities and heat map.

    Mean image, crop and the gradient of Grad-CAM are inside. The file is run beside the model before it is kept.
    """
    from triplenet.export import FORMATS, find_format, format_of
    from triplenet.export import export as export_model

    by_name = format_of(out.suffix)
    if format_ is None and by_name is None:
        raise typer.BadParameter(f"give one: {', '.join(FORMATS)}", param_hint="--format")
    if format_ is not None and by_name not in (None, find_format(format_)):
        raise typer.BadParameter(f"{out.name} does not end as a file of the format {format_}", param_hint="--out")
    with console.steps(quiet=json) as advance:
        exported = export_model(source, out, format_, int8=int8, on_step=lambda text: advance(text, 0, 1))
    if json:
        console.print_json(exported.as_dict())
        return
    lines = [
        f"{exported.format.title} of {exported.card.method}: {exported.bytes / 1e6:.1f} MB, "
        f"SHA-256 {exported.sha256[:16]}..."
    ]
    for heading, ports in (("in ", exported.inputs), ("out", exported.outputs)):
        lines += [f"  {heading} {port}: {port.what}" for port in ports]
    if exported.differences:
        greatest = max(exported.differences, key=exported.differences.__getitem__)
        lines.append(
            f"  greatest difference from the model on random images: {exported.differences[greatest]:.1e} ({greatest})"
        )
    lines += [f"  {name.replace('_', ' ')}: {fact}" for name, fact in exported.facts.items()]
    for line in (*lines, f"written to {out}"):
        console.out.print(line, markup=False)
