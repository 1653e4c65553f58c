"""What an importer did not take and why, kept beside the table that it makes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from triplenet.cohort.table import write_cohort
from triplenet.datasets.import_notes import write_notes
from triplenet.files import read_csv, whole_folder, write_csv

PASSED_OVER = "passed-over.csv"
"""Columns path, relative to the data set's folder, and reason; only there where something was passed over"""


class PassedOver:
    """Files and folders of a data set that make no row."""

    def __init__(self, src: Path) -> None:
        self._src = src
        self._rows: list[dict[str, str]] = []

    def add(self, path: Path, reason: str) -> None:
        self._rows.append({"path": os.path.relpath(path, self._src), "reason": reason})

    def below(self, folder: Path) -> str:
        """The reasons within a folder, counted, in brackets; empty where nothing was passed over there."""
        start = "" if folder == self._src else os.path.relpath(folder, self._src) + os.sep
        reasons = Counter(row["reason"] for row in self._rows if row["path"].startswith(start))
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        return f" (passed over: {told})" if told else ""

    def write(self, folder: Path) -> None:
        """Write the list, if there is anything in it."""
        if self._rows:
            write_csv(folder / PASSED_OVER, self._rows)


def passed_over(folder: Path) -> Counter[str]:
    """How many files and folders an import passed over, by reason; of the folder that it made."""
    path = folder / PASSED_OVER
    return Counter(row["reason"] for row in read_csv(path)) if path.is_file() else Counter()


def write_volume_cohort(
    out: Path,
    rows: Sequence[Mapping[str, str]],
    left: PassedOver,
    *,
    notes: Sequence[str] = (),
    beside: Mapping[str, Sequence[Mapping[str, str]]] = MappingProxyType({}),
) -> Path:
    """A table of volumes that stay where they are, whole or not at all.

    :param notes: what should be known of it
    :param beside: further tables by the names of their files
    """
    with whole_folder(out) as folder:
        write_cohort(folder / "cohort.csv", rows)
        for name, table in beside.items():
            write_csv(folder / name, table)
        left.write(folder)
        write_notes(folder, notes)
    return out / "cohort.csv"
