"""HTML pages that need nothing but a browser: of a benchmark, with results of single scans.

Pages are made of sections, sections of parts; every text is escaped on its way in. Importing this package imports
neither torch nor matplotlib.
"""

from triplenet.report.page import Section, page, section

__all__ = ["Section", "page", "section"]
