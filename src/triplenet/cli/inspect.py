"""``triplenet inspect``: what is in a folder, zip or file, and what would be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triplenet.cli import console

if TYPE_CHECKING:
    from triplenet.scan.inspection import Inspection


def inspect(
    path: Annotated[Path, typer.Argument(help="DICOM file, folder, zip or DICOMDIR; NIfTI, NRRD or MetaImage.")],
    series: Annotated[str | None, typer.Option(help="UID of the series to use instead of the best one.")] = None,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Accept missing or unevenly spaced slices.")] = False,
    decode_all: Annotated[
        bool, typer.Option("--all", help="Decode every slice of what would be used, not a few.")
    ] = False,
    json: console.Json = False,
) -> None:
    """Say what is in there, which series would be used and why, whether it is a chest, and every problem with its code.

    Shows series UIDs and descriptions, which are needed to choose; no names, dates or numbers of patients.
    Exit code 1 if nothing in there can be used.
    """
    from triplenet.prepare.chest import chest_of
    from triplenet.scan.inspection import inspect as look

    found = look(path, series, allow_gaps=allow_gaps, decode_all=decode_all, examine=chest_of)
    if json:
        console.print_json(found.as_dict())
    else:
        _print(found)
    for text in (found.chest or {}).get("warnings", ()):
        console.say(f"warning: {text}")
    if not found.usable:
        problem = found.problems[0] if found.problems else {"code": "NO_CT_SERIES", "what": "nothing can be used"}
        console.say(f"error[{problem['code']}]: {problem['what']}: {path}")
        raise typer.Exit(1)


def _print(found: Inspection) -> None:
    from rich.table import Table

    if found.series:
        table = Table(
            "", "series", "description", "slices", "mm", "kernel", "score", "verdict", box=None, pad_edge=False
        )
        table.columns[-1].overflow = "fold"
        for entry in found.series:
            table.add_row(*_row(entry))
        console.out.print(table)
        for entry in found.series:
            console.out.print(f"  {entry['number']}: {entry['uid']}", markup=False)
    if found.scan is not None:
        _print_scan(found.scan, found.format)
    if found.chest is not None:
        _print_chest(found.chest)
    for reason, count in found.skipped.items():
        console.out.print(f"passed over: {count} {reason}", markup=False)
    for problem in found.problems:
        where = "" if problem["where"] is None else f": {problem['where']}"
        console.out.print(f"problem[{problem['code']}]: {problem['what']}{where}", markup=False)


def _row(entry: dict[str, Any]) -> list[str]:
    from rich.markup import escape

    thickness = entry.get("slice_thickness_mm")
    if entry["problem"] is not None:
        verdict = entry["problem"]["code"]
    else:
        verdict = "used" if entry["used"] else entry["excluded"] or "usable"
    cells = [
        "*" if entry["used"] else "",
        "" if entry["number"] is None else str(entry["number"]),
        entry["description"],
        str(entry["slices"]),
        "" if thickness is None else f"{thickness:g}",
        entry.get("kernel", ""),
        str(entry["score"]),
        verdict,
    ]
    return [escape(cell) for cell in cells]


def _print_scan(scan: dict[str, Any], kind: str | None) -> None:
    size = " x ".join(map(str, scan["shape"]))
    spacing = " x ".join(f"{side:g}" for side in scan["spacing_mm"])
    ways = dict(zip(("slices", "rows", "columns"), scan["directions"], strict=True))
    console.out.print(f"used: {kind}, {size} voxels (slices x rows x columns) of {spacing} mm", markup=False)
    console.out.print("  " + ", ".join(f"{axis} {way}" for axis, way in ways.items()), markup=False)
    slices, decoded = scan["shape"][0], scan["decoded"]
    every = "every slice was decoded" if decoded == slices else f"{decoded} of {slices} slices were decoded; all: --all"
    console.out.print(f"  {every}", markup=False)
    if scan["choice"]:
        console.out.print(f"  why: {scan['choice']}", markup=False)
    for note in scan["notes"]:
        console.out.print(f"  note: {note}", markup=False)


def _print_chest(chest: dict[str, Any]) -> None:
    right, left = (f"{chest[side] / 1000:.2f} l" for side in ("right_lung_ml", "left_lung_ml"))
    largest, height = f"{chest['largest_lung_mm2'] / 100:.0f} cm2", f"{chest['lung_height_mm']} mm"
    console.out.print(f"  lungs: right {right}, left {left}, largest slice {largest}, {height} high", markup=False)
