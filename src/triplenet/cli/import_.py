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
    from triplenet.cohort.importers.folders import PASSED_OVER

    with console.progress(f"importing {dataset}", None, quiet=json) as advance:
        path = run(dataset, src, out, jobs=jobs, on_progress=advance)
    cohort = read_cohort(path)
    findings = dict(sorted(cohort.findings().items()))
    rejected = _rows(out / "rejected.csv")
    passed_over = _rows(out / PASSED_OVER)
    groups = {patient.group or patient.patient for patient in cohort}
    if json:
        console.print_json(
            {
                "cohort": str(path),
                "rows": len(cohort),
                "patients": len(groups),
                "findings": findings,
                "rejected": rejected,
                "passed_over": passed_over,
            }
        )
    else:
        counts = ", ".join(f"{finding} {count}" for finding, count in findings.items())
        rows = (
            f"{len(cohort)} patients"
            if len(groups) == len(cohort)
            else f"{len(cohort)} slices of {len(groups)} patients"
        )
        console.out.print(f"{rows} in {path} ({counts or 'none with a finding'})", markup=False)
    if passed_over:
        console.say(f"note: {passed_over} files were passed over: see {out / PASSED_OVER}")
    if rejected:
        console.say(
            f"{rejected} {'pictures were' if rejected > 1 else 'picture was'} refused: see {out / 'rejected.csv'}"
        )
        raise typer.Exit(console.SOME_REFUSED)


def _rows(path: Path) -> int:
    """Rows of a list that is there only when it has any."""
    import csv

    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as stream:
        return len(list(csv.DictReader(stream)))
