"""The page of a benchmark, and the call that ends in it.

Importing this package imports neither torch nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triplenet.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from triplenet.report.benchmark_report import benchmark
else:
    __getattr__ = lazy_exports(__name__, {"benchmark": "report.benchmark_report"})

__all__ = ["benchmark"]
