"""``triplenet explain``: where a run's model looked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triplenet.cli import console
from triplenet.cli.preparation_notes import say_notes

if TYPE_CHECKING:
    from triplenet.explanation.reader_study import ReaderStudy


def explain(
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="The run's folder; of a reader study one of each method; with --read more sheets."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to make.")] = None,
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
    style: Annotated[
        str,
        typer.Option(
            help="absolute (no heat, plain image), own-maximum (each map divided by its own maximum) or paper (half "
            "image, half JET)."
        ),
    ] = "absolute",
    identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Pseudonyms in file names and on the pictures too.")
    ] = False,
    reader_study: Annotated[
        int | None,
        typer.Option(
            "--reader-study",
            min=1,
            metavar="N",
            help="Instead write N cases as blinded, shuffled panels, with a sheet for readers' answers and a key.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of a reader study's cases and order, and of its intervals.")] = 0,
    read: Annotated[
        list[Path] | None, typer.Option("--read", help="Instead tell what a filled-in sheet of a reader study says.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="With --read: the study's key.csv.")] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda or auto.")] = "cpu",
    json: console.Json = False,
) -> None:
    """Show the heat maps of a run's patients: a picture each, a panel a class, and explanations.csv.

    Pictures are numbered as the patients stand in the prepared set's table.csv; explanations.csv says which pseudonym
    has which number. Of a 3D method's volume the frame of the slice with the mask is shown where it is among the
    frames, else the frame with the most heat.

    A reader study: explain RUN [RUN...] --reader-study 30 --out KIT; the readers get a copy of KIT/readers each;
    explain --read anna.csv bert.csv --key KIT/key.csv gives their accuracy without and with the maps, which map they
    prefer, and how far they agree.
    """
    if read:
        if key is None:
            raise typer.BadParameter("say where the study's key.csv is", param_hint="--key")
        if out is not None or reader_study is not None:
            raise typer.BadParameter("--read writes nothing: leave out --out and --reader-study", param_hint="--read")
        _tell([*read, *(run or ())], key, seed, json)
        return
    if not run:
        raise typer.BadParameter("name the run's folder", param_hint="RUN")
    if out is None:
        raise typer.BadParameter("name the folder to make", param_hint="--out")
    if key is not None:
        raise typer.BadParameter("only --read takes a key", param_hint="--key")
    from triplenet import catalog
    from triplenet.explanation import STYLES, explain_run
    from triplenet.explanation.cases import PARTITIONS, open_prepared
    from triplenet.explanation.map_kinds import OWN, find_map
    from triplenet.explanation.reader_study import write_reader_study
    from triplenet.files import refuse_existing
    from triplenet.training import open_run

    chosen = next((one for one in PARTITIONS if one == partition), None)
    if chosen is None:
        raise typer.BadParameter(f"choose one of {', '.join(PARTITIONS)}", param_hint="--partition")
    if style not in STYLES:
        raise typer.BadParameter(f"choose one of {', '.join(STYLES)}", param_hint="--style")
    refuse_existing(out)
    if reader_study is not None:
        if patients or limit or class_ or identifiers or map_ != OWN:
            raise typer.BadParameter(
                "a reader study draws its patients, hides who they are and shows each method's own map: leave out "
                "--patients, --limit, --class, --identifiers and --map",
                param_hint="--reader-study",
            )
        with console.progress("maps", None, quiet=json) as advance:
            study = write_reader_study(
                run,
                out,
                reader_study,
                partition=chosen,
                prepared=prepared,
                style=style,
                seed=seed,
                device=device,
                on_progress=advance,
            )
        _say_study(study, json)
        return
    if len(run) > 1:
        raise typer.BadParameter("one run at a time, but for --reader-study", param_hint="RUN")
    opened = open_run(run[0])
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
                "cost": None if made.cost is None else made.cost.as_dict(),
                "cases": rows,
            }
        )
        return
    console.out.print(
        f"{opened.info.method}, fold {opened.info.fold}: {made.patients} {partition} patients explained, "
        f"{made.right} of {made.labelled} predicted right",
        markup=False,
    )
    if made.cost is not None:
        console.out.print(f"{kind.title}: {made.cost}", markup=False)
    console.out.print(f"written to {out}", markup=False)


def _say_study(study: ReaderStudy, json: bool) -> None:
    if json:
        console.print_json(
            {
                "out": str(study.folder),
                "classes": study.classes,
                "methods": study.methods,
                "cases": study.cases,
                "panels": study.panels,
            }
        )
        return
    console.out.print(f"{study.cases} cases, {len(study.methods)} methods: {study.panels} panels", markup=False)
    console.out.print(
        f"written to {study.folder}: give each reader a copy of the folder readers, and keep key.csv", markup=False
    )


def _tell(sheets: list[Path], key: Path, seed: int, json: bool) -> None:
    from triplenet.evaluation.reader_answers import read_answers
    from triplenet.evaluation.reader_tables import reader_tables

    results = read_answers(sheets, key, seed=seed)
    if json:
        console.print_json(results.as_dict())
        return
    for table in reader_tables(results):
        console.print_table(table)
