"""A model for elsewhere: the same answers, heat map included, without this package. Loads without torch."""

from triplenet.export.export_formats import FORMATS, Format, find_format, format_of
from triplenet.export.export_model import Exported, export

__all__ = ["FORMATS", "Exported", "Format", "export", "find_format", "format_of"]
