"""One self-contained HTML page: style and pictures inside, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from triplenet import __version__
from triplenet.catalog import INTENDED_USE
from triplenet.pages.markup import Markup, element, join

# The browser itself is told to load nothing, whatever the page may say.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
#: Makes tables of the class ``sortable`` sort by a click on a heading. The page says all without it.
SORTING = "sort.js"


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading of its own."""

    anchor: str
    """Its id, for the table of contents"""
    title: str
    body: Markup


def section(anchor: str, title: str, *body: Markup) -> Section:
    """A section of several pieces."""
    return Section(anchor, title, join(body))


def page(
    title: str,
    sections: Sequence[Section],
    *,
    eyebrow: str = "",
    lead: Sequence[str] = (),
    notice: str = INTENDED_USE,
    script: str | None = None,
) -> str:
    """A whole HTML document.

    :param eyebrow: a short line above the title: what kind of page this is
    :param lead: paragraphs under the title: the answer first
    :param notice: what must not be overlooked, marked
    :param script: a file of this package, the only one that the browser is allowed to run
    """
    code = None if script is None else (files("triplenet.pages") / script).read_text(encoding="utf-8")
    body = element(
        "body",
        element("a", "Skip to the content", href="#main", class_="skip"),
        _header(title, sections, eyebrow, lead, notice),
        element("main", [_drawn(section) for section in sections], id="main"),
        element("footer", element("div", f"Made with triplenet {__version__}. {INTENDED_USE}", class_="wrap")),
        None if code is None else Markup(f"<script>{code}</script>"),
    )
    return "<!doctype html>\n" + join(element("html", _head(title, code), body, lang="en")) + "\n"


def _head(title: str, code: str | None) -> Markup:
    """What the browser is told, and the style.

    :param code: the only script that may run
    """
    policy = _POLICY
    if code is not None:
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
        policy += f"; script-src 'sha256-{digest}'"
    style = (files("triplenet.pages") / "page.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        # Before anything that could load something.
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        Markup(f"<style>\n{style}</style>"),
    )


def _header(title: str, sections: Sequence[Section], eyebrow: str, lead: Sequence[str], notice: str) -> Markup:
    """Title, answer, notice and table of contents."""
    contents = [
        element("li", element("a", section.title, href=f"#{section.anchor}"))
        for section in sections
        if section.anchor and section.title
    ]
    return element(
        "header",
        element(
            "div",
            element("p", eyebrow, class_="eyebrow") if eyebrow else None,
            element("h1", title),
            [element("p", text, class_="lead") for text in lead],
            element("div", element("p", notice), class_="notice", role="note") if notice else None,
            element("nav", element("ul", contents), aria_label="On this page") if len(contents) > 1 else None,
            class_="wrap",
        ),
    )


def _drawn(section: Section) -> Markup:
    """A section with its heading."""
    heading = f"{section.anchor}-title"
    return element(
        "section",
        element("div", element("h2", section.title, id=heading), section.body, class_="wrap"),
        id=section.anchor,
        aria_labelledby=heading,
    )
