"""The card in a model that was exported as ONNX, without a library for ONNX.

``onnx`` would read the whole graph, and is an extra of exporting; a runtime tells such entries only once it has built
the graph, OpenVINO not at all. The entries lie at the top level of the file, and what lies between is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from triplenet.errors import BadModel, PathMissing
from triplenet.model.card import ModelCard
from triplenet.model.storage import LARGEST_FILE, card_of

# Of ModelProto and of its StringStringEntryProto, and the two kinds of values that both have.
_METADATA, _KEY, _VALUE = 14, 1, 2
_VARINT, _BYTES = 0, 2
_LARGEST_ENTRY = 4 << 20
_LONGEST_VARINT = 10


def read_onnx_card(path: Path | str) -> ModelCard:
    """The card of an exported ONNX file.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged, or no export of a triplenet model
    """
    return card_of(read_onnx_entries(path), Path(path))


def read_onnx_entries(path: Path | str) -> dict[str, str]:
    """What an ONNX file tells of itself, by name.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged
    """
    path = Path(path)
    if not path.is_file():
        raise PathMissing("no such model file", where=path)
    if path.stat().st_size > LARGEST_FILE:
        raise BadModel(f"the file is larger than {LARGEST_FILE} bytes", where=path)
    try:
        with path.open("rb") as stream:
            return dict(_entries(stream, path.stat().st_size))
    except (ValueError, OSError) as error:
        raise BadModel(f"not an ONNX file, or damaged ({error})", where=path) from error


def _entries(stream: IO[bytes], size: int) -> Iterator[tuple[str, str]]:
    """The metadata of a ModelProto: key, value."""
    for field, length in _fields(stream, size):
        if field != _METADATA:
            stream.seek(length, 1)
            continue
        if length > _LARGEST_ENTRY:
            raise ValueError(f"an entry of {length} bytes")
        end = stream.tell() + length
        texts = {part: stream.read(count).decode() for part, count in _fields(stream, end)}
        yield texts.get(_KEY, ""), texts.get(_VALUE, "")


def _fields(stream: IO[bytes], end: int) -> Iterator[tuple[int, int]]:
    """Number and length of each field of bytes up to ``end``; whoever asks reads or skips its bytes."""
    while stream.tell() < end:
        tag = _varint(stream)
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _varint(stream)
        elif kind == _BYTES:
            length = _varint(stream)
            if stream.tell() + length > end:
                raise ValueError("a field reaches beyond the end")
            yield field, length
        else:
            raise ValueError(f"a field of kind {kind}")


def _varint(stream: IO[bytes]) -> int:
    value = 0
    for shift in range(_LONGEST_VARINT):
        byte = stream.read(1)
        if not byte:
            raise ValueError("it ends within a number")
        value |= (byte[0] & 127) << (7 * shift)
        if byte[0] < 128:
            return value
    raise ValueError("a number without an end")
