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
    from triplenet.outputs import WrittenResult
    from triplenet.outputs.summary import Summary


def predict(
    model: Annotated[Path, typer.Option(help="The model file, or its export as ONNX.")],
    out: Annotated[
        Path,
        typer.Option(help="Gets a folder a scan: scan-001, scan-002, ..., and of several results.csv; see --restart."),
    ],
    scans: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SCAN...", help="DICOM folders, zips or files; NIfTI, NRRD, MetaImage."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="TABLE.csv",
            help="The scans as a table: scan; infection, lung or mask; series, slice. A cohort table is one.",
        ),
    ] = None,
    studies: Annotated[
        Path | None, typer.Option(help="A folder, each study below which is a scan: DICOM folders, zips, volumes.")
    ] = None,
    outputs: Annotated[
        str,
        typer.Option(
            help="What to write, by commas: json, csv, png, html, nifti; the DICOM objects seg, pm, sc, gsps, sr, kos;"
            " or a profile of several: archive, pacs, all, or one of --site."
        ),
    ] = "json,png",
    site: Annotated[
        Path | None, typer.Option(help="A TOML file whose table [site] has output profiles of your own.")
    ] = None,
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
        typer.Option("--every-slice", help="Classify every slice, too: slices.csv, heat.nii.gz."),
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
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Scans at once, a process and a model each; by default one a processor, for 8 scans each."
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Do the work on a Ray cluster with a shared file system; or local."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Do all of a batch anew, also what an earlier command has done.")
    ] = False,
    json: console.Json = False,
) -> None:
    """Classify scans and show where the model looked. Research software, not a medical device.

    A 2D method classifies one slice: without a mask or --slice, that with the largest infection that the model (or
    --finder) sees in a search of the scan; where no model segments, that with the largest lung area. The folders are
    numbered in the order of the scans given, since a file's name may be a patient's; nothing written tells whose scan
    it is, unless --identifiers. A scan that cannot be used does not stop the others: its folder says why, and the exit
    code is 3. The same command again goes on where it was stopped, and redoes what has changed. results.csv has a line
    a scan. A scan alone is no batch: it is always classified, has no table, and its refusal is an error (1).
    """
    from triplenet.inference.aggregation import AGGREGATES
    from triplenet.inference.runtime import RUNTIMES
    from triplenet.inference.search import SEARCHES
    from triplenet.outputs import predict_batch
    from triplenet.prepare.notes import by_kind
    from triplenet.scan import NO_NAMES, read_segment_names

    if mask is not None and (infection is not None or lung is not None):
        raise typer.BadParameter("it goes without --infection and --lung", param_hint="--mask")
    if sum((bool(scans), table is not None, studies is not None)) != 1:
        raise typer.BadParameter("give scans, or --from, or --studies", param_hint="SCAN...")
    alone = scans is not None and len(scans) == 1
    if not alone and any(given is not None for given in (infection, lung, mask, slice_, series)):
        raise typer.BadParameter("masks, --slice and --series go with one scan, or into --from", param_hint="SCAN...")
    with console.progress("scans", None, quiet=json or alone) as advance:
        done: list[WrittenResult] = []

        def on_written(written: WrittenResult) -> None:
            done.append(written)
            _say(written, quiet=json, identifiers=identifiers)
            advance(len(done), written.of)

        written = predict_batch(
            scans,
            model,
            out,
            table=table,
            studies=studies,
            outputs=console.names(outputs),
            site=site,
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
            jobs=jobs,
            ray=ray,
            restart=restart,
            on_note=lambda text: console.say(f"note: {text}"),
            on_written=on_written,
        )
    for text, count in by_kind(SEPARATOR.join(_remarks(one.summary)) for one in written if not one.summary.refused):
        console.say(text if alone else f"{count} of {len(written)} scans: {text}")
    if kept := [one for one in written if one.kept]:
        refusals = sum(one.summary.refused for one in kept)
        of_them = f", {refusals} of them refused" if refusals else ""
        console.say(f"{len(kept)} of {len(written)} scans were done already{of_them} (--restart does them anew)")
    refused = sum(one.summary.refused for one in written)
    if json:
        console.print_json({"scans": [_item(one) for one in written], "refused": refused})
    if refused:
        raise typer.Exit(console.SOME_REFUSED)


def _say(written: WrittenResult, *, quiet: bool, identifiers: bool) -> None:
    summary = written.summary
    of = f" ({written.scan})" if identifiers else ""
    if summary.refused:
        console.say(f"error[{summary.code}]: {written.folder.name}: {summary.reason}{of}")
        if written.log is not None:
            console.say(f"what the reader left: {written.log}")
    elif not quiet:
        console.out.print(f"{written.folder}: {_line(summary)}{of}", markup=False)


def _item(written: WrittenResult) -> dict[str, Any]:
    """The result as it lies in the folder; in short where its JSON was not asked for."""
    record, refusal = written.record, written.refusal
    told: dict[str, Any] = {"folder": written.folder.name, "kept": written.kept}
    if refusal is not None:
        return told | {"refusal": refusal.model_dump(mode="json")}
    if record is not None:
        return told | {"result": record.model_dump(mode="json")}
    return told | {"summary": written.summary.model_dump(mode="json")}


def _remarks(summary: Summary) -> tuple[str, ...]:
    """What a person has to know of a result, warnings first; all of it stands in the result too."""
    texts = (*(f"warning: {text}" for text in summary.warnings), *(f"note: {text}" for text in summary.notes))
    return tuple(text.replace(SEPARATOR, ", ") for text in texts)


def _line(summary: Summary) -> str:
    chances = ", ".join(f"{name} {probability:.3f}" for name, probability in summary.probabilities.items())
    where = "" if summary.slices is None else f" (0 feet, {summary.slices - 1} head)"
    line = f"{summary.predicted} ({chances}); slice {summary.slice}{where}, {summary.rule}"
    if summary.infected_ml is None:
        return line
    share = "" if summary.infected_share is None else f", {summary.infected_share.estimate:.1%} of the lung"
    return f"{line}; infection {summary.infected_ml.estimate:.0f} ml{share}, by {summary.measured_by}"
