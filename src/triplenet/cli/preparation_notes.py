"""What preparing noted of the scans (approximate HU, lossy, masks left out, ...), told once by whoever uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triplenet.cli import console

if TYPE_CHECKING:
    from triplenet.prepare import PreparedSet
    from triplenet.training import Run


def say_notes(prepared: PreparedSet) -> None:
    """A line a kind of note on standard error, with the number of scans."""
    from triplenet.prepare.notes import by_kind

    chosen = sum(patient.series_choice.startswith("chosen of") for patient in prepared.patients)
    if chosen:
        console.say(f"note, {_scans(chosen)}: one of several series was taken; which and why: table.csv")
    for note, count in by_kind(patient.notes for patient in prepared.patients):
        console.say(f"note, {_scans(count)}: {note}")


def say_notes_of(run: Run) -> None:
    """The same of the set that a run was trained on, where it still is."""
    from triplenet.errors import TripleNetError
    from triplenet.prepare import PreparedSet

    try:
        prepared = PreparedSet.open(run.folder / run.info.prepared)
    except TripleNetError:
        prepared = None
    if prepared is None or prepared.info.sha256 != run.info.data_sha256:
        console.say("note: the prepared set is not where the run found it, so what preparing noted is not told")
    else:
        say_notes(prepared)


def _scans(count: int) -> str:
    return f"{count} scan{'' if count == 1 else 's'}"
