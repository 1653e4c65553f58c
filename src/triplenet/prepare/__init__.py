"""Scan -> the sample a network reads, and the stores that hold a whole cohort of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triplenet.lazy_exports import lazy_exports
from triplenet.prepare.store import PreparedPatient, PreparedSet

if TYPE_CHECKING:
    from triplenet.prepare.preparation import prepare
else:
    __getattr__ = lazy_exports(__name__, {"prepare": "prepare.preparation"})

__all__ = ["PreparedPatient", "PreparedSet", "prepare"]
