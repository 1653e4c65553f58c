"""``triplenet predict``: scans -> explained results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triplenet.catalog import HIGH_OPACITY_HU, SMALLEST_LESION_MM
from triplenet.cli import console
from triplenet.cli.lung_finder import lung_finder
from triplenet.prepare.notes import SEPARATOR

if TYPE_CHECKING:
    from triplenet.inference import Record
    from triplenet.outputs import WrittenResult


def predict(
    scans: Annotated[
        list[Path], typer.Argument(metavar="SCAN...", help="DICOM folders, zips or files; NIfTI, NRRD, MetaImage.")
    ],
    model: Annotated[Path, typer.Option(help="The model file, or its export as ONNX.")],
    out: Annotated[
        Path, typer.Option(help="Gets a folder a scan: scan-001, scan-002, ...; earlier ones there are replaced.")
    ],
    outputs: Annotated[str, typer.Option(help="What to write, by commas: json, png.")] = "json,png",
    infection: Annotated[Path | None, typer.Option(help="Infection mask, binary: the slice is chosen by it.")] = None,
    lung: Annotated[Path | None, typer.Option(help="Lung mask, binary.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Both in one: 0 background, 1 lung, 2 infection.")] = None,
    segments: Annotated[
        Path | None, typer.Option(help="A TOML file that says what your DICOM segments are: lung, infection, other.")
    ] = None,
    slice_: Annotated[
        int | None, typer.Option("--slice", min=0, help="Classify this slice, counted from the feet from 0.")
    ] = None,
    series: Annotated[str | None, typer.Option(help="UID of the DICOM series to use; see inspect.")] = None,
    search: Annotated[
        str,
        typer.Option(
            help="How the slice is found without a mask: coarse steps and then around the best, exhaustive, or lung."
        ),
    ] = "coarse",
    smallest_lesion_mm: Annotated[
        float, typer.Option(min=0.5, max=200, help="Every lesion so long along the axis is looked at.")
    ] = SMALLEST_LESION_MM,
    finder: Annotated[
        Path | None, typer.Option(help="A model that searches for the slice, for one that does not segment itself.")
    ] = None,
    aggregate: Annotated[
        str, typer.Option(help="What is said of the scan by its best slices: best, mean, noisy-or, weighted.")
    ] = "best",
    best_slices: Annotated[int, typer.Option(min=1, max=1000, help="How many slices those are.")] = 5,
    every_slice: Annotated[
        bool,
        typer.Option("--every-slice", help="Classify every slice, too: slices.csv and the heat as heat.nii.gz."),
    ] = False,
    high_opacity_hu: Annotated[
        float, typer.Option(min=-1000, max=3000, help="Infection denser than this is high opacity.")
    ] = HIGH_OPACITY_HU,
    lung_by: Annotated[
        str, typer.Option(help="What finds the lung where no mask is given: thresholds, or the package lungmask.")
    ] = "thresholds",
    any_body_part: Annotated[
        bool, typer.Option("--any-body-part", help="Go on with a scan that does not look like a chest.")
    ] = False,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Accept missing slices, with a note.")] = False,
    identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Write each scan's path and series UID into its result.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where torch computes: cpu, cuda or auto.")] = "cpu",
    runtime: Annotated[
        str, typer.Option(help="torch, or for an ONNX file onnxruntime, openvino; auto goes by the file.")
    ] = "auto",
    json: console.Json = False,
) -> None:
    """Classify scans and show where the model looked. Research software, not a medical device.

    A 2D method classifies one slice: without a mask or --slice, that with the largest infection that the model (or
    --finder) sees in a search of the scan; where no model segments, that with the largest lung area. The folders are
    numbered in the order of the scans given, since a file's name may be a patient's; nothing written tells whose scan
    it is, unless --identifiers. A scan that cannot be used does not stop the others: its folder says why, and the exit
    code is 3.
    """
    from triplenet.inference.aggregation import AGGREGATES
    from triplenet.inference.runtime import RUNTIMES
    from triplenet.inference.search import SEARCHES
    from triplenet.outputs import check_formats, predict_batch
    from triplenet.prepare.notes import by_kind
    from triplenet.scan import NO_NAMES, read_segment_names

    if mask is not None and (infection is not None or lung is not None):
        raise typer.BadParameter("it goes without --infection and --lung", param_hint="--mask")
    if len(scans) > 1 and any(given is not None for given in (infection, lung, mask, slice_, series)):
        raise typer.BadParameter("masks, --slice and --series go with one scan only", param_hint="SCAN...")
    with console.progress("scans", len(scans), quiet=json or len(scans) == 1) as advance:
        done: list[WrittenResult] = []

        def on_written(written: WrittenResult) -> None:
            done.append(written)
            _say(written, quiet=json, identifiers=identifiers)
            advance(len(done), len(scans))

        predict_batch(
            scans,
            model,
            out,
            outputs=check_formats(console.names(outputs)),
            infection=infection,
            lung=lung,
            mask=mask,
            segments=NO_NAMES if segments is None else read_segment_names(segments),
            slice_from_feet=slice_,
            series=series,
            search=console.one_of(search, SEARCHES, "--search"),
            smallest_lesion_mm=smallest_lesion_mm,
            finder=finder,
            aggregate=console.one_of(aggregate, AGGREGATES, "--aggregate"),
            best_slices=best_slices,
            every_slice=every_slice,
            high_opacity_hu=high_opacity_hu,
            lung_by=lung_finder(lung_by),
            any_body_part=any_body_part,
            allow_gaps=allow_gaps,
            identifiers=identifiers,
            device=device,
            runtime=console.one_of(runtime, RUNTIMES, "--runtime"),
            on_written=on_written,
        )
    remarks = [_remarks(written.record) for written in done if written.record is not None]
    for text, count in by_kind(SEPARATOR.join(texts) for texts in remarks):
        console.say(text if len(scans) == 1 else f"{count} of {len(scans)} scans: {text}")
    refused = sum(written.record is None for written in done)
    if json:
        console.print_json({"scans": [_item(written) for written in done], "refused": refused})
    if refused:
        raise typer.Exit(console.SOME_REFUSED)


def _say(written: WrittenResult, *, quiet: bool, identifiers: bool) -> None:
    if written.record is not None:
        if not quiet:
            of = f" ({written.scan})" if identifiers else ""
            console.out.print(f"{written.folder}: {_line(written.record)}{of}", markup=False)
    elif written.error is not None:
        console.say(f"error[{written.error.code}]: {written.folder.name}: {written.error}")
        if written.log is not None:
            console.say(f"what the reader left: {written.log}")


def _item(written: WrittenResult) -> dict[str, Any]:
    name, said = ("refusal", written.refusal) if written.record is None else ("result", written.record)
    return {"folder": written.folder.name} | ({} if said is None else {name: said.model_dump(mode="json")})


def _remarks(record: Record) -> tuple[str, ...]:
    """What a person has to know of a result, warnings first; all of it stands in the result too."""
    chosen = record.scan.choice
    series = (f"note: one of several series was taken ({chosen})",) if chosen.startswith("chosen of") else ()
    texts = (
        *(f"warning: {text}" for text in record.warnings),
        *series,
        *(f"note: {text}" for text in record.scan.notes),
    )
    return tuple(text.replace(SEPARATOR, ", ") for text in texts)


def _line(record: Record) -> str:
    chances = ", ".join(f"{one.name} {one.probability:.3f}" for one in record.classes)
    here = record.slice
    line = f"{record.predicted} ({chances}); slice {here.from_feet} (0 feet, {here.of - 1} head), {here.rule}"
    if record.measures is None:
        return line
    both = record.measures.both
    share = "" if both.infected_share is None else f", {both.infected_share.estimate:.1%} of the lung"
    return f"{line}; infection {both.infection_ml.estimate:.0f} ml{share}, by {record.measures.by}"
