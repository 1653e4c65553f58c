"""Scan -> the sample a network reads, and the stores that hold a whole cohort of them."""

from triplenet.prepare.store import PreparedPatient, PreparedSet

__all__ = ["PreparedPatient", "PreparedSet"]
