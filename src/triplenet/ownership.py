"""Whose a temporary file is: its name says which process made it, so that the next one knows what was abandoned."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

_OWNER = re.compile(r"([0-9a-f]{8})-([0-9]+)-([0-9a-f]{8})-")
_FOREIGN_S = 7 * 24 * 3600.0
"""After so long untouched, also what a process elsewhere made is abandoned."""


def owner() -> str:
    """The name of this process, as it stands in the names of its temporary files; tells nobody which machine it was."""
    pid = os.getpid()
    return f"{_machine()}-{pid}-{_life(pid)}"


def is_abandoned(path: Path, name: str) -> bool:
    """Whether the process that made a temporary file is gone.

    A process of another machine or container, whose number means nothing here, is believed to live for a week after it
    last touched the file.

    :param name: begins with an ``owner``
    """
    match = _OWNER.match(name)
    if match is None:
        return False
    machine, pid, life = match.groups()
    if machine == _machine():
        return _life(int(pid)) != life
    try:
        return time.time() - path.lstat().st_mtime > _FOREIGN_S
    except OSError:
        return False


@cache
def _machine() -> str:
    """Where process numbers mean the same: one machine, one container of it."""
    facts = [socket.gethostname()]
    with suppress(OSError):
        facts.append(Path("/etc/machine-id").read_text())
    with suppress(OSError):
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    return _short("\n".join(facts))


def _life(pid: int) -> str:
    """When a process began, so that a later one with its number is not taken for it; of a dead one something else."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        # The name stands in brackets and may hold anything; the start is the 22nd field.
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return _short("unknown" if not Path("/proc/self/stat").exists() else f"gone {pid}")
    return _short("gone" if state in "ZX" else f"{boot}{fields[18]}")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
