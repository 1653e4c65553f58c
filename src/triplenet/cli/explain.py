"""``triplenet explain``: where a run's model looked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triplenet.cli import console
from triplenet.cli.preparation_notes import say_notes


def explain(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    partition: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    prepared: Annotated[Path | None, typer.Option(help="Where the run's prepared set is now, if it was moved.")] = None,
    patients: Annotated[str | None, typer.Option(help="Only these, by commas.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N.")] = None,
    class_: Annotated[
        str | None, typer.Option("--class", help="The class to explain; by default the predicted one.")
    ] = None,
    map_: Annotated[
        str, typer.Option("--map", help="own, class, grad-cam, hirescam, occlusion ...: the kind of heat map.")
    ] = "own",
    style: Annotated[str, typer.Option(help="absolute (no heat, plain image) or paper (half image, half JET).")] = (
        "absolute"
    ),
    identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Pseudonyms in file names and on the pictures too.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda or auto.")] = "cpu",
    json: console.Json = False,
) -> None:
    """Show the heat maps of a run's patients: a picture each, a panel a class, and explanations.csv.

    Pictures are numbered as the patients stand in the prepared set's table.csv; explanations.csv says which pseudonym
    has which number. Of a 3D method's volume the frame of the slice with the mask is shown where it is among the
    frames, else the frame with the most heat.
    """
    from triplenet import catalog
    from triplenet.explanation import STYLES, explain_run
    from triplenet.explanation.cases import PARTITIONS, open_prepared
    from triplenet.explanation.map_kinds import find_map
    from triplenet.files import refuse_existing
    from triplenet.training import open_run

    chosen = next((one for one in PARTITIONS if one == partition), None)
    if chosen is None:
        raise typer.BadParameter(f"choose one of {', '.join(PARTITIONS)}", param_hint="--partition")
    if style not in STYLES:
        raise typer.BadParameter(f"choose one of {', '.join(STYLES)}", param_hint="--style")
    refuse_existing(out)
    opened = open_run(run)
    kind = find_map(map_)
    same = not kind.caption(catalog.method(opened.info.method).explanation).depends_on_class
    if class_ in opened.info.classes and same:
        first = f"the first map of {opened.info.method}" if kind.name == "own" else kind.title
        console.say(f"note: {first} is the same for every class")
    data = open_prepared(opened, prepared)
    say_notes(data)
    with console.progress("patients", None, quiet=json) as advance:
        made = explain_run(
            opened,
            out,
            chosen,
            prepared=data,
            patients=console.names(patients),
            limit=limit,
            class_=class_,
            map_=map_,
            style=style,
            identifiers=identifiers,
            device=device,
            on_progress=advance,
        )
    if json:
        hidden = () if identifiers else ("patient",)
        rows = [{name: value for name, value in row.items() if name not in hidden} for row in made.rows]
        console.print_json(
            {
                "out": str(out),
                "method": opened.info.method,
                "partition": partition,
                "patients": made.patients,
                "labelled": made.labelled,
                "right": made.right,
                "panels": made.panels,
                "cases": rows,
            }
        )
        return
    console.out.print(
        f"{opened.info.method}, fold {opened.info.fold}: {made.patients} {partition} patients explained, "
        f"{made.right} of {made.labelled} predicted right",
        markup=False,
    )
    console.out.print(f"written to {out}", markup=False)
