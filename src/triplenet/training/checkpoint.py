"""The training state on disk: whole or not at all, with a checksum, the last two kept. No pickle.

``epoch-000012.safetensors`` holds the tensors and, in its header, the rest as JSON; ``epoch-000012.json``, written
after it, holds its SHA-256. A state whose two files do not agree is as if it were not there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from triplenet.errors import BadRun
from triplenet.files import whole_file, write_json

KEPT = 2
STATE = "state"
_NAME = re.compile(r"epoch-(\d{6,})\.(safetensors|json)")


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch."""

    epoch: int
    """The last one done, counted from 0."""
    tensors: dict[str, Tensor]
    state: dict[str, JsonValue]
    content: bytes
    """as it is in the file"""


def save_checkpoint(folder: Path, epoch: int, tensors: Mapping[str, Tensor], state: Mapping[str, JsonValue]) -> None:
    """Write the state after an epoch, then remove all but the last two.

    :raises OutputFailed: no room, no permission; the earlier states are untouched
    """
    content = to_bytes(tensors, state)
    name = f"epoch-{epoch:06d}"
    with whole_file(folder / f"{name}.safetensors") as temporary:
        temporary.write_bytes(content)
    write_json(folder / f"{name}.json", {"epoch": epoch, "sha256": hashlib.sha256(content).hexdigest()})
    for old in _epochs(folder)[KEPT:]:
        _remove(folder, old)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The latest whole state, None if there is none. A torn or corrupted one is removed and the one before taken.

    :raises BadRun: a file cannot be read at all
    """
    for epoch in _epochs(folder):
        checkpoint = _read(folder, epoch)
        if checkpoint is not None:
            return checkpoint
        _remove(folder, epoch)
    return None


def to_bytes(tensors: Mapping[str, Tensor], state: Mapping[str, JsonValue]) -> bytes:
    """What a state's file holds."""
    return save(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        metadata={STATE: json.dumps(dict(state), allow_nan=False)},
    )


def parse(content: bytes) -> Checkpoint:
    """A state from what its file holds.

    :raises SafetensorError, KeyError, ValueError: it is not one
    """
    header = int.from_bytes(content[:8], "little")
    state = json.loads(json.loads(content[8 : 8 + header])["__metadata__"][STATE])
    return Checkpoint(state["done"] - 1, load(content), state, content)


def last_epoch(folder: Path) -> int | None:
    """The epoch of the latest state by its name, unchecked."""
    return next(iter(_epochs(folder)), None)


def remove_checkpoints(folder: Path) -> None:
    """Remove the whole folder's states and what a killed process left of one."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) or path.name.startswith(".tmp-"):
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _epochs(folder: Path) -> list[int]:
    """Those of which some file is there, latest first."""
    if not folder.is_dir():
        return []
    matches = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted({int(match[1]) for match in matches if match}, reverse=True)


def _read(folder: Path, epoch: int) -> Checkpoint | None:
    path = folder / f"epoch-{epoch:06d}.safetensors"
    try:
        content = path.read_bytes()
        expected = json.loads(path.with_suffix(".json").read_bytes())["sha256"]
        if hashlib.sha256(content).hexdigest() != expected:
            return None
        return parse(content)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadRun(f"cannot be read ({error.strerror or error})", where=path) from error
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _remove(folder: Path, epoch: int) -> None:
    # The checksum first: without it the tensors count as absent.
    for suffix in ("json", "safetensors"):
        (folder / f"epoch-{epoch:06d}.{suffix}").unlink(missing_ok=True)
