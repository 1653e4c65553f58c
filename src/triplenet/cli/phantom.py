"""``triplenet phantom``: a synthetic cohort to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triplenet.cli import console


def phantom(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    patients: Annotated[int | None, typer.Option(min=1, max=9999, help="How many; 20 by default.")] = None,
    like: Annotated[
        str | None, typer.Option(help="Instead of --patients: paper, the 1,279 patients of its Table 1 by finding.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    format: Annotated[str, typer.Option(help="Of the scans: dicom or nifti.")] = "dicom",
    matrix: Annotated[int, typer.Option(min=64, max=1024, help="Rows and columns of a slice.")] = 512,
    thickness: Annotated[
        float | None,
        typer.Option(min=0.5, max=10.0, help="Of the slices, mm; by default as the simulated sites do it, 1 to 5."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all processors by default.")] = None,
    json: console.Json = False,
) -> None:
    """Write synthetic chest CTs with all four findings, their masks and their cohort table. Nobody is shown.

    After a stop, at whatever moment, the same command goes on.
    """
    from triplenet.cohort import read_cohort
    from triplenet.phantom import FORMATS, LIKE, PATIENTS, write_cohort

    chosen = next((name for name in FORMATS if name == format), None)
    if chosen is None:
        raise typer.BadParameter(f"choose {' or '.join(FORMATS)}", param_hint="--format")
    if like is not None and like not in LIKE:
        raise typer.BadParameter(f"choose {' or '.join(LIKE)}", param_hint="--like")
    if like is not None and patients is not None:
        raise typer.BadParameter("it goes without --patients", param_hint="--like")
    number = (patients or PATIENTS) if like is None else sum(LIKE[like].values())
    with console.progress("making patients", number, quiet=json) as advance:
        table = write_cohort(
            out,
            patients=patients,
            like=like,
            seed=seed,
            format=chosen,
            jobs=jobs,
            matrix=matrix,
            thickness_mm=thickness,
            on_progress=advance,
        )
    findings = dict(sorted(read_cohort(table).findings().items()))
    if json:
        console.print_json(
            {
                "cohort": str(table),
                "patients": number,
                "like": like,
                "seed": seed,
                "format": chosen,
                "findings": findings,
            }
        )
    else:
        shares = ", ".join(f"{count} {finding}" for finding, count in findings.items())
        console.out.print(f"{number} synthetic patients in {table} ({shares})", markup=False)
