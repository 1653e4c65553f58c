"""HTML pages that need nothing but a browser, made of sections and those of parts; what they tell is others' affair.

Every text is escaped on its way in. Importing this package imports neither torch nor matplotlib.
"""

from triplenet.pages.page import Section, page, section

__all__ = ["Section", "page", "section"]
