"""HTML pages that need nothing but a browser: of a benchmark, with results of single scans.

Pages are made of sections, sections of parts; every text is escaped on its way in. Importing this package imports
neither torch nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triplenet.lazy_exports import lazy_exports
from triplenet.report.page import Section, page, section

if TYPE_CHECKING:
    from triplenet.report.benchmark_report import benchmark
else:
    __getattr__ = lazy_exports(__name__, {"benchmark": "report.benchmark_report"})

__all__ = ["Section", "benchmark", "page", "section"]
