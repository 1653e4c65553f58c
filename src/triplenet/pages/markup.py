"""HTML put together from elements, so that nothing reaches a page without being escaped.

A child or an attribute that is a plain string is text; only ``Markup`` is taken as it is, and only this module and
the charts make it from text.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

_QUALITY = 92
_VOID = frozenset({"img", "br", "hr", "meta", "col", "input"})


class Markup(str):
    """HTML that is safe to put into a page."""

    __slots__ = ()


Child = str | Markup | None
Attribute = str | int | bool | None


def element(name: str, /, *children: Child | Iterable[Child], **attributes: Attribute) -> Markup:
    """One element.

    :param children: text or markup, or iterables of them; None is left out
    :param attributes: ``class_`` is class, ``aria_label`` is aria-label; True is a bare attribute, None and False none
    """
    pieces = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written = key.rstrip("_").replace("_", "-")
        pieces.append(f" {written}" if value is True else f' {written}="{html.escape(str(value), quote=True)}"')
    opening = f"<{name}{''.join(pieces)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Child | Iterable[Child], by: str = "") -> Markup:
    """Children one after the other."""
    return Markup(by.join(_flat(children)))


def _flat(children: Iterable[Child | Iterable[Child]]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield str(child)
        elif isinstance(child, str):
            yield html.escape(child, quote=False)
        else:
            yield from _flat(child)


def picture(
    pixels: npt.NDArray[np.uint8] | Image.Image, alt: str, *, class_: str | None = None, jpeg: bool = False
) -> Markup:
    """A picture inside the page: (H, W) grey or (H, W, 3) sRGB, uint8.

    :param alt: what it shows, for those who do not see it
    :param jpeg: a quarter of the bytes, with the small errors of JPEG; else PNG
    """
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels))
    buffer = BytesIO()
    if jpeg:
        image.save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)  # colours as sharp as the grey
    else:
        image.save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return element(
        "img",
        src=f"data:image/{'jpeg' if jpeg else 'png'};base64,{data}",
        alt=alt,
        width=image.width,
        height=image.height,
        class_=class_,
        decoding="sync",  # a page that is photographed or printed at once has no black pictures
    )
