"""``triplenet benchmark``: methods x folds x seeds on a prepared set -> runs, tables, figures, a report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triplenet.catalog import MAP_PATIENTS, PAPERS_METHODS, TASKS
from triplenet.cli import console

if TYPE_CHECKING:
    from triplenet.benchmark import Benchmark
    from triplenet.evaluation.tables import Table
    from triplenet.report.benchmark_report import SlicesBy


def benchmark(
    prepared: Annotated[Path, typer.Argument(help="The prepared set's folder.")],
    out: Annotated[Path, typer.Option(help="The benchmark's folder: a new one, or one to go on with.")],
    task: Annotated[str, typer.Option(help=f"One of {', '.join(TASKS)}, or a TOML file.")],
    methods: Annotated[
        str, typer.Option(help=f"all, none, or by commas of {', '.join(PAPERS_METHODS)} and installed ones.")
    ] = "all",
    folds: Annotated[str, typer.Option(help="By commas.", metavar="1,2,3")] = "1,2,3",
    seeds: Annotated[str, typer.Option(help="By commas; each trains everything once.", metavar="0,1")] = "0",
    recipe: Annotated[str, typer.Option(help="default, quick, paper, or a TOML file.")] = "default",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[METHOD:]SECTION.KEY=VALUE",
            help="A recipe setting, of all methods or of one; may be repeated.",
        ),
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            metavar="NAME=METHOD:SECTION.KEY=VALUE,...",
            help="A row of its own: METHOD with other settings; may be repeated.",
        ),
    ] = None,
    comparators: Annotated[
        str | None,
        typer.Option(help="Rows outside the paper, by commas: opacity, segmentation; or all that can be."),
    ] = None,
    features: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.npz",
            help="Vectors by patient from any model: a logistic probe as a row outside the paper; may be repeated.",
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="The encoders' first weights: a file, imagenet, or none for random ones.")
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch ImageNet weights from torchvision's address if need be.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trainings at once; by default what the machine has room for.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, or cuda.")] = "auto",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits on a GPU too, more slowly.")
    ] = False,
    ray: Annotated[
        str | None, typer.Option(help="Train on a Ray cluster: its address, or local.", metavar="ADDRESS")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The method that the others are compared with; by default the baseline.")
    ] = None,
    strata: Annotated[
        str | None, typer.Option(help="Columns of the cohort to part the patients by; by default site.")
    ] = None,
    temperature: Annotated[
        bool,
        typer.Option("--temperature", help="Probabilities at a temperature fitted on each run's validation patients."),
    ] = False,
    slices: Annotated[
        str,
        typer.Option(help="mask, or mask,searched: classify on the slices of a search too; needs --cohort."),
    ] = "mask",
    cohort: Annotated[
        list[Path] | None, typer.Option(help="The table that was prepared, for the scans to search; may be repeated.")
    ] = None,
    score_maps: Annotated[
        bool, typer.Option("--score-maps/--no-score-maps", help="Compare the heat maps with the lesions.")
    ] = True,
    map_patients: Annotated[
        int, typer.Option(min=0, help="Test patients a run about whose maps the network is asked; 0: none.")
    ] = MAP_PATIENTS,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw the figures.")] = True,
    identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Pseudonyms in the report instead of the patients' numbers.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Train anew what is damaged or was made otherwise.")
    ] = False,
    json: console.Json = False,
) -> None:
    """Compare methods by the paper's evaluation: every method on every fold, tables, statistics, figures, a report.

    After a stop, at whatever moment, the same command goes on. A run that fails is shown as failed, and the exit code
    is 3.
    """
    from triplenet.cli.progress_display import follow
    from triplenet.relative_paths import argument_shown
    from triplenet.report.benchmark_report import benchmark as run_benchmark

    made = run_benchmark(
        prepared,
        out,
        task,
        methods=console.names(methods),
        folds=_numbers(folds, "--folds"),
        seeds=_numbers(seeds, "--seeds"),
        recipe=recipe,
        settings=settings or (),
        variants=variants or (),
        comparators=() if comparators is None else console.names(comparators),
        features=features or (),
        encoder=encoder,
        allow_download=allow_download,
        workers=workers,
        device=device,
        deterministic=deterministic,
        ray=ray,
        reference=reference,
        strata=None if strata is None else console.names(strata),
        temperature=temperature,
        slices=_slices(slices),
        cohort=cohort or (),
        score_maps=score_maps,
        map_patients=map_patients,
        figures=figures,
        identifiers=identifiers,
        restart=restart,
        command=shlex.join(["triplenet", *map(argument_shown, sys.argv[1:])]),
        following=partial(follow, quiet=json),
    )
    if json:
        console.print_json(made.as_dict())
    else:
        _say(made.benchmark, made.tables)
    if made.benchmark.failures:
        raise typer.Exit(console.SOME_REFUSED)


def _say(found: Benchmark, tables: Sequence[Table]) -> None:
    from triplenet.benchmark.benchmark_files import REPORT
    from triplenet.benchmark.benchmark_tables import parts

    for job, failure in found.failures.items():
        console.say(f"failed: {job}: error[{failure.code}]: {failure.text}")
    if tables:
        console.print_table(parts(tables[0])[0])  # the others are wider than a terminal
    console.out.print(
        f"{len(found.runs)} run{'' if len(found.runs) == 1 else 's'}, {len(found.kept)} of them finished earlier, "
        f"{len(found.failures)} failed; "
        f"look at {found.folder / REPORT}",
        markup=False,
    )


def _slices(text: str) -> list[SlicesBy]:
    from triplenet.report.benchmark_report import SLICES

    chosen = [one for one in SLICES if one in console.names(text)]
    if set(console.names(text)) != set(chosen) or "mask" not in chosen:
        raise typer.BadParameter("give mask, or mask,searched", param_hint="--slices")
    return chosen


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not whole numbers by commas", param_hint=option) from None
