"""A page needs nothing but itself, shows every text as text, and can be read by everyone."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise, product

import numpy as np
import pytest

from triplenet.explanation.panel import Tile
from triplenet.pages import page, section
from triplenet.pages.components import (
    commands,
    decimal,
    heat_scale,
    pairs,
    probability_bars,
    table,
    tile_figure,
)
from triplenet.pages.markup import Markup, element, join, picture

EVIL = '<script src="http://evil.example/x.js">alert("1")</script> & \'$x_2$\''
VOID = {"meta", "img", "br", "hr", "link", "input", "path", "use"}


class Reader(HTMLParser):
    """What a browser would find: tags in order, attributes, ids, text."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.open, self.faults = [], [], [], [], []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, wanted):
        return [value for _, name, value in self.attributes if name == wanted]


@pytest.fixture(scope="module")
def everything():
    """A page with every kind of part, and a hostile text wherever a text can go."""
    body = (
        table(["", EVIL], [(EVIL, [element("td", EVIL, class_="number")])], label=EVIL, caption=EVIL),
        pairs({EVIL: EVIL}, EVIL),
        probability_bars({EVIL: 0.25}),
        heat_scale([EVIL]),
        commands([EVIL]),
        picture(np.zeros((4, 4), np.uint8), EVIL),
        tile_figure(Tile(np.zeros((4, 4, 3), np.uint8), (EVIL,), EVIL), EVIL),
    )
    return page(EVIL, [section("one", EVIL, *body), section("two", "Two")], eyebrow=EVIL, lead=[EVIL], notice=EVIL)


def test_a_hostile_text_is_text_everywhere(everything):
    found = Reader(everything)
    assert "script" not in found.tags
    assert "".join(found.texts).count('alert("1")') >= 14
    assert EVIL in found.values("alt")
    assert EVIL in found.values("aria-label")


def test_nothing_is_loaded_from_anywhere(everything):
    # The hostile text names an address, as text; nothing that a browser follows may.
    found = Reader(everything)
    for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
        for value in found.values(name):
            assert value.startswith(("data:image/png;base64,", "#")), (name, value[:60])
    assert not {"link", "iframe", "object", "embed", "script", "base", "form"} & set(found.tags)
    style = everything[everything.index("<style>") : everything.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    for value in found.values("style") + found.values("clip-path"):
        assert "url(" not in value or "url(#" in value
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]


def test_the_browser_is_told_to_load_nothing(everything):
    policy = next(value for value in Reader(everything).values("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert everything.index("Content-Security-Policy") < everything.index("<style>")


def test_the_document_is_well_formed_and_its_ids_are_unique(everything):
    found = Reader(everything)
    assert (found.faults, found.open) == ([], [])
    assert everything.startswith("<!doctype html>\n<html lang=")
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    for target in found.values("href"):
        assert target.startswith("data:") or target[1:] in found.values("id")


def test_whoever_cannot_see_it_is_told_what_is_shown(everything):
    found = Reader(everything)
    pictures = [value for tag, name, value in found.attributes if tag == "img" and name == "alt"]
    assert len(pictures) == found.tags.count("img")
    assert all(pictures)
    assert found.tags.count("h1") == 1
    levels = [int(tag[1]) for tag in found.tags if tag in ("h1", "h2", "h3")]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    headers = [name for tag, name, _ in found.attributes if tag == "th"]
    assert headers.count("scope") == found.tags.count("th")


def variables(style: str) -> list[dict[str, str]]:
    """The colours of the light, the dark and the printed page."""
    return [
        dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    levels = []
    for colour in (one, other):
        rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        levels.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(levels) / min(levels)


def test_text_and_lines_stand_out_in_light_dark_and_print():
    themes = variables((files("triplenet.pages") / "page.css").read_text(encoding="utf-8"))
    assert len(themes) == 3
    for theme in themes:
        for ink, ground in product(("--ink", "--quiet", "--accent"), ("--page", "--panel")):
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
        assert contrast(theme["--ink"], theme["--mark"]) >= 4.5


def test_pages_can_be_imported_without_torch_and_matplotlib():
    code = (
        "import sys, triplenet.pages, triplenet.report, triplenet.outputs; "
        "heavy = {'torch', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- markup ---------------------------------------------------------------------------------------------------------


def test_text_is_escaped_and_markup_is_not():
    assert element("p", "a < b", Markup("<b>c</b>")) == "<p>a &lt; b<b>c</b></p>"
    assert element("p", None, ["x", ["y"]]) == "<p>xy</p>"
    assert join("<", "&") == "&lt;&amp;"


def test_attributes_are_escaped_and_may_be_left_out():
    made = element("td", class_='a"b', aria_hidden="true", hidden=True, title=None, lang=False)
    assert made == '<td class="a&quot;b" aria-hidden="true" hidden></td>'
    assert element("br") == "<br>"


def test_a_picture_is_inside_the_page_pixel_by_pixel():
    import base64
    from io import BytesIO

    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    made = picture(pixels, "noise")
    data = re.search(r'src="data:image/png;base64,([^"]+)"', made)[1]
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(data)))), pixels)
    assert 'width="7" height="5"' in made
    assert 'decoding="sync"' in made  # it is there as soon as the page is


# --- parts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "text"), [(0.125, "0.12"), (-1.5, "\u22121.50"), (None, "–"), (1, "1.00")])
def test_numbers_have_fixed_places_and_a_true_minus(value, text):
    assert decimal(value) == text
