"""``triplenet import``: a downloaded public data set -> a cohort table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triplenet.cli import console


def import_dataset(
    dataset: Annotated[
        str, typer.Argument(help="mosmed, covid19-ct-seg, covid-ct-md, covid-ct, medseg, or folders: one a finding.")
    ],
    src: Annotated[Path, typer.Argument(help="The folder it was unpacked into.")],
    out: Annotated[Path, typer.Argument(help="The folder to make, with cohort.csv.")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all processors by default.")] = None,
    json: console.Json = False,
) -> None:
    """Turn a downloaded public data set into a cohort table.

    Pictures that cannot be used are left out and listed in rejected.csv; the exit code is then 3.
    """
    from triplenet.cohort import read_cohort
    from triplenet.cohort.importers import import_dataset as run

    with console.progress(f"importing {dataset}", None, quiet=json) as advance:
        path = run(dataset, src, out, jobs=jobs, on_progress=advance)
    cohort = read_cohort(path)
    findings = dict(sorted(cohort.findings().items()))
    rejected = _rejected(out / "rejected.csv")
    if json:
        console.print_json({"cohort": str(path), "patients": len(cohort), "findings": findings, "rejected": rejected})
    else:
        counts = ", ".join(f"{finding} {count}" for finding, count in findings.items())
        console.out.print(f"{len(cohort)} patients in {path} ({counts})", markup=False)
    if rejected:
        console.say(
            f"{rejected} {'pictures were' if rejected > 1 else 'picture was'} refused: see {out / 'rejected.csv'}"
        )
        raise typer.Exit(console.SOME_REFUSED)


def _rejected(path: Path) -> int:
    """Rows of the list of what was refused, which is there only when something was."""
    import csv

    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as stream:
        return len(list(csv.DictReader(stream)))
