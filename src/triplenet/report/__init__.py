"""HTML pages that need nothing but a browser: of the demo and of a result.

Pages are made of sections, sections of parts; every text is escaped on its way in. Importing this package imports
neither torch nor matplotlib.
"""

from triplenet.report.charts import Curve
from triplenet.report.components import Estimate
from triplenet.report.demo import demo_page
from triplenet.report.outcome import Case, Demo, Look, MethodOutcome, NewScan
from triplenet.report.page import Section, page, section
from triplenet.report.result_page import result_page

__all__ = [
    "Case",
    "Curve",
    "Demo",
    "Estimate",
    "Look",
    "MethodOutcome",
    "NewScan",
    "Section",
    "demo_page",
    "page",
    "result_page",
    "section",
]
