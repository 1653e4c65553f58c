"""What every verb shares: where it prints, how it shows progress, how it fails.

Results go to standard output, everything else to standard error. With ``--json`` standard output holds one JSON
object and nothing else.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from triplenet.cli.printable import printable
from triplenet.files import jsonable

if TYPE_CHECKING:
    from triplenet.evaluation.tables import Table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Prevalences = Annotated[
    str, typer.Option(help="Shares of the positive class at which PPV and NPV are told, by commas.", metavar="0.05,0.1")
]
Widths = Annotated[
    str, typer.Option(help="Widths of intervals for which the patients needed are told, by commas.", metavar="0.1,0.05")
]

#: A batch finished with some items refused.
SOME_REFUSED = 3

# Into a pipe or a file a table is written as wide as it is, since there is no window that it must fit.
_WIDE = 200


class _SafeConsole(Console):
    """A console that shows what files say without obeying it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


out = _SafeConsole(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
err = _SafeConsole(stderr=True, highlight=False, soft_wrap=True)

Choice = TypeVar("Choice")


def print_json(value: Any) -> None:
    """One JSON object on standard output; NaN is written as null."""
    text = json.dumps(jsonable(value), ensure_ascii=False, indent=2, allow_nan=False)
    sys.stdout.write(printable(text) + "\n")


def print_table(table: Table) -> None:
    """A table of results on standard output, its notes below."""
    from rich.table import Table as Printed

    from triplenet.evaluation.tables import grid, headings

    groups = {column.group for column in table.columns}
    first, *titles = headings(table)
    title = table.title
    if len(groups) == 1 and "" not in groups:  # said once, not over every column
        titles = [column.heading for column in table.columns]
        title = f"{title} ({groups.pop()})"
    printed = Printed(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    printed.add_column(first, no_wrap=True)
    for heading in titles:
        printed.add_column(heading, justify="right", no_wrap=True)
    for row in grid(table):
        printed.add_row(*map(escape, row))
    out.print(printed)
    for note in table.notes:
        out.print(note, markup=False)
    out.print()


def names(text: str | None) -> list[str]:
    """What an option lists by commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def shares(text: str, option: str) -> tuple[float, ...]:
    """Numbers by commas.

    :raises BadParameter: they are none
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not numbers by commas", param_hint=option) from None


def one_of(text: str, known: Sequence[Choice], option: str) -> Choice:
    """The one of the known values that was typed.

    :raises BadParameter: it is none of them
    """
    for value in known:
        if value == text:
            return value
    raise typer.BadParameter(f"choose {', '.join(map(str, known[:-1]))} or {known[-1]}", param_hint=option)


def is_main() -> bool:
    """Whether this is the process that speaks, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A line for the person at the terminal, on standard error."""
    err.print(escape(text))


@contextmanager
def progress(text: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, nothing when standard error is piped or ``quiet``.

    Yields a function to be called with (done, total).
    """
    if quiet or not err.is_terminal:
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def steps(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Progress of several pieces of work after each other, a bar each; called with (text, done, total)."""
    if quiet or not err.is_terminal:
        yield lambda _text, _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)
