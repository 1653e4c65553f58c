"""Ways to damage an input: bytes changed, words of a text changed, what is packed changed below its packing."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

Source = Callable[[random.Random], bytes]
"""Gives a damaged input; the same for the same state of the generator."""

_WORDS = (
    b"", b" ", b"0", b"-1", b"1", b"2", b"3", b"255", b"256", b"65535", b"65536", b"2147483648", b"4294967296",
    b"9223372036854775808", b"1e308", b"-1e308", b"1e-308", b"1e400", b"nan", b"inf", b"-inf", b"0.0", b"1.5",
    b"none", b"null", b"true", b"[]", b"{}", b"'", b'"', b"\\", b"..", b"../a", b"/etc/hostname", b"a/b", b"%s%n",
    b"%03d", b"LIST", b"\xff\xfe", b"\0", b"\r", b"\n", b"\n\n", b"\t", b",", b";", b"=", b":", b":=", b"=1+1",
    b"\xe2\x80\xae", b"\xf0\x9f\x98\x80",
)  # fmt: skip
_NUMBERS = (0, 1, 2, 3, 7, 8, 12, 15, 16, 17, 32, 64, 127, 128, 255, 256, 1000, 4095, 4096, 32767, 32768, 65535)
_LARGE = (2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_LONG = (64, 300, 1000, 4096, 16384, 100_000)


@dataclass(frozen=True)
class Bytes:
    """Bytes changed, cut out, doubled or moved, half of the time behind ``focus``, else in the first 1,500."""

    data: bytes
    focus: int = 0

    def __call__(self, rng: random.Random) -> bytes:
        values = bytearray(self.data)
        for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
            if values:
                first = self.focus if rng.random() < 0.5 else 0
                last = len(values) if first or rng.random() < 0.3 else min(len(values), 1500)
                _change(values, rng.randrange(min(first, last - 1), last), rng)
        return bytes(values)


@dataclass(frozen=True)
class Text:
    """Words, lines and their order changed in the first ``length`` bytes; one time in five any bytes."""

    data: bytes
    length: int

    def __call__(self, rng: random.Random) -> bytes:
        if rng.random() < 0.2:
            return Bytes(self.data)(rng)
        text, rest = self.data[: self.length], self.data[self.length :]
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            text = _reworded(text, rng)
        return text + rest


@dataclass(frozen=True)
class Below:
    """What another way gives, packed again, so that the damage lies below the packing; one time in four on it."""

    source: Source
    pack: Callable[[bytes], bytes]

    def __call__(self, rng: random.Random) -> bytes:
        packed = self.pack(self.source(rng))
        return Bytes(packed)(rng) if rng.random() < 0.25 else packed


def below_gzip(data: bytes) -> Below:
    """A gzip file whose content is damaged."""
    return Below(Bytes(data), lambda content: gzip.compress(content, mtime=0))


def text(data: bytes, end: bytes = b"") -> Text:
    """A file that is text up to and with ``end``, or as a whole."""
    return Text(data, data.index(end) + len(end) if end else len(data))


def _change(values: bytearray, at: int, rng: random.Random) -> None:
    length = rng.choice((1, 1, 2, 4, 8, 64))
    match rng.randrange(9):
        case 0:
            values[at : at + length] = rng.randbytes(len(values[at : at + length]))
        case 1:
            values[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
        case 2:
            values[at] ^= 1 << rng.randrange(8)
        case 3:
            del values[at : at + length]
        case 4:
            values[at:at] = values[at : at + length]
        case 5:
            values[at : at + length] = rng.choice((b"\0", b"\xff")) * length
        case 6:  # a number of two bytes, in either order: sizes, precisions, lengths
            values[at : at + 2] = struct.pack(rng.choice("<>") + "H", rng.choice(_NUMBERS))
        case 7:
            values[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(_LARGE))
        case _:
            del values[rng.randrange(len(values)) :]


def _reworded(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    match rng.randrange(8):
        case 0:
            del lines[at]
        case 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        case 2:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            word = rng.choice((b"x", b"9", b"gzip", b"-", b" ", b"(", b"[", b'"', b"\xc3\xa9"))
            place = rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + word * (rng.choice(_LONG) // len(word)) + lines[at][place:]
        case _:
            lines[at] = _one_word(lines[at], rng)
    return b"\n".join(lines)


def _one_word(line: bytes, rng: random.Random) -> bytes:
    """A line with one of its words, numbers or signs made another one."""
    edges = [n for n in range(1, len(line)) if line[n - 1 : n].isalnum() != line[n : n + 1].isalnum()]
    edges = [0, *edges, len(line)]
    k = rng.randrange(max(1, len(edges) - 1))
    first, last = edges[k], edges[min(k + 1, len(edges) - 1)]
    return line[:first] + rng.choice(_WORDS) + line[last:]
