"""The page of what the suite has found: docs/conformance.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from conformance import peers
from conformance.faults import FAULTS, FOR_EYES
from conformance.judges import JUDGES
from conformance.subjects import KINDS
from triplenet import __version__
from triplenet.outputs import FORMATS

EQUAL, NOTHING, FAILED = "equal", "none written", "failed"
_TITLES = {name: one.title for name, one in FORMATS.items()} | {
    "dicom": "all DICOM objects of a result together",
    "source": "the slices of the source",
}
_DATE = "Written on "
_PACKAGES = ("dcmqi", "dicomweb-client", "highdicom", "jsonschema", "nibabel", "pydicom", "pynetdicom", "SimpleITK")
_DEBIAN = ("chromium", "dcmtk", "dicom3tools", "orthanc", "orthanc-dicomweb", "pixelmed-apps")
_HEAD = """# What others say of the outputs

This page is written by `make conformance` (`tests/conformance`): each output of each kind of source is judged by
programs that did not write it, and read back by readers that did not. No slice of a source is like another, so that a
flip cannot hide. Where a judge makes a remark that stays, the list below says why; no other one, error or warning,
passes.
"""
_FAULTS = """## Deliberate faults

A suite that cannot fail says nothing. Of each format these faults are made in what was written, one at a time, and the
judges are asked in the order of the table above until one sees it. A fault that nobody sees fails the suite.
"""


@dataclass
class Findings:
    """What the tests have told."""

    verdicts: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Source, format, judge -> what was found"""
    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    """Format, fault -> who has seen it"""
    missing: list[str] = field(default_factory=list)
    """Why tests were left out for want of a program"""

    def in_order(self) -> Findings:
        """The same in the order of the suite, whichever process was first."""

        def place(key: tuple[str, str, str]) -> tuple[int, int, int, str]:
            source, format_, judge = key
            known = (_place(KINDS, source), _place(JUDGES, judge), _place(_TITLES, format_))
            return (*known, judge)

        verdicts = {key: self.verdicts[key] for key in sorted(self.verdicts, key=place)}
        faults = {
            (format_, fault): self.faults[format_, fault]
            for format_, named in FAULTS.items()
            for fault in named
            if (format_, fault) in self.faults
        }
        return Findings(verdicts, faults, self.missing)

    def add(self, properties: Iterable[tuple[str, object]], outcome: str, why: str) -> None:
        """What one test has told, the last word of each."""
        told = False
        for name, value in properties:
            told = True
            if name == "conformance":
                source, format_, judge, verdict = value  # type: ignore[misc]
                self.verdicts[source, format_, judge] = verdict
            elif name == "fault":
                format_, fault, judge = value  # type: ignore[misc]
                self.faults[format_, fault] = judge
        if outcome == "skipped" and not told:
            self.missing.append(why)


def _place(known: Iterable[str], name: str) -> int:
    """Where it stands; what is not known stands after all that is."""
    names = list(known)
    return names.index(name) if name in names else len(names)


def written(findings: Findings) -> str:
    """The page, of a whole run."""
    found = findings.in_order()
    today = f"{_DATE}{datetime.now(UTC):%Y-%m-%d} by triplenet {__version__}, Python {sys.version.split()[0]}."
    parts = [
        _HEAD,
        today,
        "",
        _versions(),
        _objects(found),
        _sources(found),
        _cannot(found),
        _allowed(),
        _faults(found),
    ]
    return "\n".join(parts).rstrip() + "\n"


def same(page: str, earlier: str) -> bool:
    """Whether nothing but the day has changed."""
    return _undated(page) == _undated(earlier)


def _undated(page: str) -> list[str]:
    return [line for line in page.splitlines() if not line.startswith(_DATE)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def _versions() -> str:
    rows = [(name, _package(name), "PyPI") for name in _PACKAGES]
    rows += [(name, _debian(name), "Debian") for name in _DEBIAN]
    return _table(("judge's package", "version", "from"), rows)


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _debian(name: str) -> str:
    command = ["dpkg-query", "--show", "--showformat=${Version}", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return done.stdout or "not installed"


def _judges(found: Findings) -> list[str]:
    return list(dict.fromkeys(judge for _, _, judge in found.verdicts))


def _formats(found: Findings) -> list[str]:
    there = {format_ for _, format_, _ in found.verdicts}
    return [name for name in _TITLES if name in there]


def _count(verdicts: Sequence[str]) -> str:
    """How many of those that were there are equal."""
    asked = [one for one in verdicts if one in (EQUAL, FAILED)]
    good = sum(one == EQUAL for one in asked)
    if not asked:
        return "" if not verdicts else "–"
    return str(good) if good == len(asked) else f"**{good} of {len(asked)}**"


def _objects(found: Findings) -> str:
    """Judges and formats, with the number of sources."""
    rows = []
    formats = _formats(found)
    for judge in _judges(found):
        cells = [
            _count([verdict for (_, one, by), verdict in found.verdicts.items() if (one, by) == (format_, judge)])
            for format_ in formats
        ]
        rows.append([judge, *cells])
    legend = "".join(f"- `{name}`: {_TITLES[name]}\n" for name in formats)
    words = (
        "Each number is of sources whose outputs the judge found right; an empty cell is a question that it is not\n"
        "asked.\n"
    )
    return f"## Objects and judges\n\n{words}\n{_table(['', *(f'`{one}`' for one in formats)], rows)}\n{legend}"


def _sources(found: Findings) -> str:
    """Sources and formats, with the number of judges."""
    formats = _formats(found)
    rows = []
    for source in dict.fromkeys(one for one, _, _ in found.verdicts):
        cells = [
            _count([verdict for (of, one, _), verdict in found.verdicts.items() if (of, one) == (source, format_)])
            for format_ in formats
        ]
        rows.append([source, *cells])
    words = (
        "Each number is of judges that found it right; – is an output that is not written of such a source (no\n"
        "outline without a finding, or across the source's own slices; no NIfTI of uneven slices).\n"
    )
    return f"## Sources and objects\n\n{words}\n{_table(['', *(f'`{one}`' for one in formats)], rows)}"


def _cannot(found: Findings) -> str:
    rows = [
        (judge, source, why)
        for (source, _, judge), why in found.verdicts.items()
        if why not in (EQUAL, NOTHING, FAILED)
    ]
    return "## What a judge cannot be asked\n\n" + _table(("judge", "source", "it"), dict.fromkeys(rows))


def _allowed() -> str:
    lists: Mapping[str, Mapping[str, str]] = {
        "dciodvfy": peers.DCIODVFY,
        "dcentvfy": peers.DCENTVFY,
        "PixelMed": peers.PIXELMED,
    }
    rows = [(name, f"`{remark}`", why) for name, remarks in lists.items() for remark, why in remarks.items()]
    return "## Remarks that stay\n\n" + _table(("by", "remark", "why"), rows)


def _faults(found: Findings) -> str:
    counts = []
    for format_ in dict.fromkeys(one for one, _ in found.faults):
        seen = [judge for (one, _), judge in found.faults.items() if one == format_]
        survivors = [fault for (one, fault), judge in found.faults.items() if (one, judge) == (format_, "nobody")]
        counts.append((f"`{format_}`", str(len(seen)), ", ".join(survivors) or "none"))
    rows = [(f"`{format_}`", fault, judge) for (format_, fault), judge in found.faults.items()]
    without = "".join(f"`{name}` has none here: it is {why}.\n" for name, why in FOR_EYES.items())
    parts = [_FAULTS, _table(("format", "faults", "survivors"), counts), without]
    return "\n".join([*parts, _table(("format", "fault", "seen first by"), rows)])
