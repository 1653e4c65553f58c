"""``triplenet prepare``: a cohort table -> a prepared set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triplenet.catalog import TASKS, WINDOWS
from triplenet.cli import console
from triplenet.cli.lung_finder import lung_finder
from triplenet.cli.preparation_notes import say_notes


def prepare(
    cohort: Annotated[list[Path], typer.Argument(help="The cohort table, a CSV; several are taken together.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    window: Annotated[str, typer.Option(help=f"LOWER,UPPER in HU, or one of {', '.join(WINDOWS)}.")] = "paper",
    size: Annotated[int, typer.Option(min=32, max=1024, help="Height and width of the images.")] = 256,
    frames: Annotated[int, typer.Option(min=0, max=512, help="Slices a patient for the 3D methods; 0 for none.")] = 0,
    frame_size: Annotated[int, typer.Option(min=32, max=512, help="Height and width of those.")] = 224,
    frame_sampling: Annotated[str, typer.Option(help="nearest: whole slices; linear: mixed from two.")] = "nearest",
    frame_lungs: Annotated[
        bool, typer.Option("--frame-lungs", help="Also the frames' lung masks, for 3D methods that read one.")
    ] = False,
    derive_lung: Annotated[
        bool, typer.Option("--derive-lung", help="Make a lung mask where none is given; see --lung-by.")
    ] = False,
    lung_by: Annotated[
        str, typer.Option(help="What finds the lung where no mask is given: thresholds, or the package lungmask.")
    ] = "thresholds",
    any_body_part: Annotated[
        bool, typer.Option("--any-body-part", help="Go on with a scan that does not look like a chest.")
    ] = False,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Accept missing slices, with a note.")] = False,
    task: Annotated[
        list[str] | None, typer.Option(help="A TOML file with a task of your own, so that its findings are known.")
    ] = None,
    folds: Annotated[
        str,
        typer.Option(help="order: the paper's numerical order; stratified: shuffled by seed; site: leave sites out."),
    ] = "order",
    allow_leakage: Annotated[
        bool, typer.Option("--allow-leakage", help="Go on with duplicate images on two sides of a fold; recorded.")
    ] = False,
    skip_bad_masks: Annotated[
        bool, typer.Option("--skip-bad-masks", help="A mask that cannot be used costs its patient, not the whole set.")
    ] = False,
    segments: Annotated[
        Path | None, typer.Option(help="A TOML file that says what your DICOM segments are: lung, infection, other.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the stratified folds.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all processors by default.")] = None,
    json: console.Json = False,
) -> None:
    """Choose each patient's slice and write the prepared set that training reads."""
    from triplenet.cohort import SCHEMES, combine, load_task, read_cohort
    from triplenet.prepare.notes import by_kind
    from triplenet.prepare.preparation import prepare as prepare_cohort
    from triplenet.scan import NO_NAMES, read_segment_names

    if frame_sampling not in ("nearest", "linear"):
        raise typer.BadParameter("choose nearest or linear", param_hint="--frame-sampling")
    if frame_lungs and not frames:
        raise typer.BadParameter("it goes with --frames", param_hint="--frame-lungs")
    scheme = next((one for one in SCHEMES if one == folds), None)
    if scheme is None:
        raise typer.BadParameter(f"choose {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}", param_hint="--folds")
    tasks = [*TASKS.values(), *(load_task(name) for name in task or ())]
    table = combine([read_cohort(path, tasks=tasks, missing_masks=skip_bad_masks) for path in cohort])
    with console.progress("preparing", len(table), quiet=json) as advance:
        made = prepare_cohort(
            table,
            out,
            window=_window(window),
            size=size,
            frames=frames,
            frame_size=frame_size,
            frame_sampling="linear" if frame_sampling == "linear" else "nearest",
            frame_lungs=frame_lungs,
            derive_lung=derive_lung,
            lung_by=lung_finder(lung_by),
            any_body_part=any_body_part,
            allow_gaps=allow_gaps,
            folds=scheme,
            allow_leakage=allow_leakage,
            skip_bad_masks=skip_bad_masks,
            segments=NO_NAMES if segments is None else read_segment_names(segments),
            seed=seed,
            jobs=jobs,
            on_progress=advance,
        )
    info = made.info
    given = {
        "infection": sum(patient.infection is not None for patient in table),
        "none": sum(patient.no_infection for patient in table),
        "lung": sum(patient.lung is not None for patient in table),
        "mask": sum(patient.mask is not None for patient in table),
        "second_infection": sum(patient.second_infection is not None for patient in table),
        "second_none": sum(patient.no_second_infection for patient in table),
        "series": sum(patient.series is not None for patient in table),
    }
    notes = by_kind(patient.notes for patient in made.patients)
    rules = {rule: sum(p.rule == rule for p in made.patients) for rule in ("infection", "lung", "only")}
    if json:
        console.print_json(
            {
                "prepared": str(out),
                "patients": info.patients,
                "rejected": info.rejected,
                "slice_by": rules,
                "derived_lungs": info.derived_lungs,
                "given": given,
                "notes": [{"note": note, "scans": count} for note, count in notes],
                "folds": {fold.number: [len(fold.train), len(fold.validation), len(fold.test)] for fold in made.folds},
                "leakage": info.leakage,
                "sha256": info.sha256,
            }
        )
    else:
        chosen = ", ".join(f"{count} by {rule}" for rule, count in rules.items() if count)
        console.out.print(f"{info.patients} patients in {out} (slice chosen: {chosen})", markup=False)
        for fold in made.folds:
            sizes = f"{len(fold.train)} train, {len(fold.validation)} validation, {len(fold.test)} test"
            console.out.print(f"  fold {fold.number}: {sizes}", markup=False)
        lungs = f"{given['lung']} lung masks, {info.derived_lungs} derived by {lung_by}"
        masks = (
            f"{given['infection']} infection masks, {given['none']} said to have none, {given['mask']} labelled masks"
        )
        if given["second_infection"] or given["second_none"]:
            masks += f"; of a second reader {given['second_infection']}, and {given['second_none']} said to have none"
        console.out.print(f"  read: {len(table)} scans; {masks}; {lungs}; {given['series']} series named", markup=False)
    say_notes(made)
    if info.rejected:
        scans = "scan was" if info.rejected == 1 else "scans were"
        console.say(f"{info.rejected} {scans} refused: see {out / 'rejected.csv'}")
        raise typer.Exit(console.SOME_REFUSED)


def _window(text: str) -> tuple[float, float]:
    if text in WINDOWS:
        return WINDOWS[text]
    try:
        lower, upper = (float(part) for part in text.split(","))
    except ValueError:
        lower = upper = 0.0
    if not lower < upper:
        raise typer.BadParameter(f"{text!r} is not LOWER,UPPER in HU", param_hint="--window")
    return lower, upper
