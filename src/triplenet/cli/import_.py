"""``triplenet import``: a downloaded public data set -> a cohort table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triplenet.cli import console

if TYPE_CHECKING:
    from triplenet.cohort import Cohort


def import_dataset(
    dataset: Annotated[
        str,
        typer.Argument(
            help="ricord, ricord-covid, mosmed, covid19-ct-seg, covid-19-20, cc-ccii, medseg, covid-ct-md, covid-ct, "
            "stoic, or folders: one a finding."
        ),
    ],
    src: Annotated[Path, typer.Argument(help="The folder it was unpacked into.")],
    out: Annotated[Path, typer.Argument(help="The folder to make, with cohort.csv.")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all processors by default.")] = None,
    json: console.Json = False,
) -> None:
    """Turn a downloaded public data set into a cohort table.

    Scans that cannot be used are left out and listed in rejected.csv; the exit code is then 3. What else lies in the
    data set is counted and listed in passed-over.csv.
    """
    from triplenet.cohort import read_cohort
    from triplenet.datasets import GROUPS, PASSED_OVER, import_notes, passed_over
    from triplenet.datasets import import_dataset as run
    from triplenet.files import read_csv

    def counted(cohort: Cohort) -> str:
        groups = len(_groups(cohort))
        if groups == len(cohort):
            return _count(groups, "patient")
        return f"{_count(len(cohort), 'scan')} of {_count(groups, GROUPS.get(dataset, 'group'))}"

    with console.progress(f"importing {dataset}", None, quiet=json) as advance:
        path = run(dataset, src, out, jobs=jobs, on_progress=advance)
    cohort = read_cohort(path)
    findings = dict(sorted(cohort.findings().items()))
    refused = out / "rejected.csv"
    rejected = len(read_csv(refused)) if refused.is_file() else 0
    left = passed_over(out)
    notes = import_notes(out)
    known = len(_groups(cohort)) == len(cohort) or GROUPS.get(dataset) == "patient"
    if json:
        console.print_json(
            {
                "cohort": str(path),
                "scans": len(cohort),
                "patients": len(_groups(cohort)) if known else None,
                "findings": findings,
                "rejected": rejected,
                "passed_over": dict(left.most_common()),
                "notes": list(notes),
            }
        )
    else:
        counts = ", ".join(f"{finding} {count}" for finding, count in findings.items())
        console.out.print(f"{counted(cohort)} in {path} ({counts or 'none with a finding'})", markup=False)
    for note in notes:
        console.say(f"note, {note}")
    for reason, count in left.most_common():
        console.say(f"note, {count} passed over: {reason}")
    if left:
        console.say(f"which: see {out / PASSED_OVER}")
    if rejected:
        console.say(f"{rejected} refused: see {refused}")
        raise typer.Exit(console.SOME_REFUSED)


def _groups(cohort: Cohort) -> set[tuple[str, str]]:
    """Those who stay together in a fold."""
    return {("group", row.group) if row.group else ("patient", row.patient) for row in cohort}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
