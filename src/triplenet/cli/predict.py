"""``triplenet predict``: scans -> explained results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triplenet.catalog import SMALLEST_LESION_MM
from triplenet.cli import console
from triplenet.cli.lung_finder import lung_finder
from triplenet.prepare.notes import SEPARATOR

LOG = "readers.log"
"""Beside the results of a batch: tracebacks of what nobody foresaw."""

if TYPE_CHECKING:
    from triplenet.inference import Record


def predict(
    scans: Annotated[
        list[Path], typer.Argument(metavar="SCAN...", help="DICOM folders, zips or files; NIfTI, NRRD, MetaImage.")
    ],
    model: Annotated[Path, typer.Option(help="The model file.")],
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
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda or auto.")] = "cpu",
    json: console.Json = False,
) -> None:
    """Classify scans and show where the model looked. Research software, not a medical device.

    A 2D method classifies one slice: without a mask or --slice, that with the largest infection that the model (or
    --finder) sees in a search of the scan; where no model segments, that with the largest lung area. The folders are
    numbered in the order of the scans given, since a file's name may be a patient's; nothing written tells whose scan
    it is, unless --identifiers. A scan that cannot be used does not stop the others: its folder says why, and the exit
    code is 3.
    """
    from triplenet import inference
    from triplenet import outputs as writing
    from triplenet.errors import TripleNetError
    from triplenet.files import sha256_of, write_text
    from triplenet.model import load_model
    from triplenet.prepare.notes import by_kind
    from triplenet.scan import NO_NAMES, read_segment_names
    from triplenet.training.device import choose_device

    if mask is not None and (infection is not None or lung is not None):
        raise typer.BadParameter("it goes without --infection and --lung", param_hint="--mask")
    if len(scans) > 1 and any(given is not None for given in (infection, lung, mask, slice_, series)):
        raise typer.BadParameter("masks, --slice and --series go with one scan only", param_hint="SCAN...")
    by = lung_finder(lung_by)
    if search not in ("coarse", "exhaustive", "lung"):
        raise typer.BadParameter("choose coarse, exhaustive or lung", param_hint="--search")
    names = NO_NAMES if segments is None else read_segment_names(segments)
    formats = writing.check_formats([name.strip() for name in outputs.split(",") if name.strip()])
    loaded = load_model(model, str(choose_device(device)))
    searcher = None if finder is None else load_model(finder, str(choose_device(device)))
    looking: dict[str, Any] = {"search": search, "smallest_lesion_mm": smallest_lesion_mm, "finder": searcher}
    digest = sha256_of(model)
    folders = [out / f"scan-{number:03d}" for number in range(1, len(scans) + 1)]
    if len(scans) == 1:
        try:
            result = inference.predict(
                scans[0],
                loaded,
                infection=infection,
                lung=lung,
                mask=mask,
                segments=names,
                slice_from_feet=slice_,
                series=series,
                lung_by=by,
                **looking,
                any_body_part=any_body_part,
                allow_gaps=allow_gaps,
                identifiers=identifiers,
                model_sha256=digest,
            )
        except TripleNetError:
            writing.discard(folders[0])
            raise
        outcomes = iter([inference.BatchItem(1, result)])
    else:
        outcomes = inference.predict_all(
            scans,
            loaded,
            lung_by=by,
            **looking,
            any_body_part=any_body_part,
            allow_gaps=allow_gaps,
            identifiers=identifiers,
            model_sha256=digest,
        )
    items: list[dict[str, Any]] = []
    logs: list[str] = []
    remarks: list[tuple[str, ...]] = []
    refused = 0
    with console.progress("scans", len(scans), quiet=json or len(scans) == 1) as advance:
        for outcome, folder, path in zip(outcomes, folders, scans, strict=True):
            item: dict[str, Any] = {"folder": folder.name}
            if outcome.result is not None:
                writing.write(outcome.result, folder, formats)
                items.append(item | {"result": outcome.result.record.model_dump(mode="json")})
                remarks.append(_remarks(outcome.result.record))
                if not json:
                    line = _line(outcome.result.record)
                    console.out.print(f"{folder}: {line}{f' ({path})' if identifiers else ''}", markup=False)
            elif outcome.refusal is not None and outcome.error is not None:
                refused += 1
                writing.write_refusal(outcome.refusal, folder)
                items.append(item | {"refusal": outcome.refusal.model_dump(mode="json")})
                console.say(f"error[{outcome.error.code}]: {folder.name}: {outcome.error}")
                if outcome.log:
                    log = outcome.log if identifiers else outcome.log.replace(str(path), folder.name)
                    logs.append(f"{folder.name}: {outcome.error.code}\n{log}\n")
                    write_text(out / LOG, "\n".join(logs))
                    console.say(f"what the reader left: {out / LOG}")
            advance(outcome.number, len(scans))
    writing.discard_others(out, keep=[folder.name for folder in folders])
    for text, count in by_kind(SEPARATOR.join(texts) for texts in remarks):
        console.say(text if len(scans) == 1 else f"{count} of {len(scans)} scans: {text}")
    if json:
        console.print_json({"scans": items, "refused": refused})
    if refused:
        raise typer.Exit(console.SOME_REFUSED)


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
    return f"{record.predicted} ({chances}); slice {here.from_feet} (0 feet, {here.of - 1} head), {here.rule}"
