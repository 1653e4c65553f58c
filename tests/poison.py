"""A reader that two files end: put on a child process's path as ``sitecustomize.py``, which Python runs first."""

POISON, RIDDLE = b"poison", b"riddle"
SITE = """
import ctypes
from pathlib import Path
from triplenet.scan import nifti
real = nifti.NiftiHeader
def poisoned(path, *rest):
    content = Path(path).read_bytes()
    if content == b"poison":
        ctypes.string_at(0)
    if content == b"riddle":
        raise ZeroDivisionError(str(path))
    return real(path, *rest)
nifti.NiftiHeader = poisoned
"""


def poison_readers(folder, monkeypatch):
    """Make the processes that are begun from now on crash at POISON and fail at RIDDLE."""
    import os
    import sys

    (folder / "sitecustomize.py").write_text(SITE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
