"""What was found about the runs of a benchmark, kept as JSON until something that decides it changes."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from triplenet.files import write_json

T = TypeVar("T", bound=BaseModel)


def read_kept(path: Path, kind: type[T], fingerprint: str) -> T | None:
    """What an earlier call found; None where there is nothing, or something else decides it now."""
    try:
        kept = kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return kept if getattr(kept, "fingerprint", None) == fingerprint else None


def write_kept(path: Path, answer: BaseModel) -> None:
    """Keep it.

    :raises OutputFailed: no room, no permission
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, answer.model_dump(mode="json"))
