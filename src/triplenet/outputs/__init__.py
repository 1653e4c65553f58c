"""A result in the formats others read."""

from triplenet.outputs.result_folder import FORMATS, check_formats, discard, discard_others, write, write_refusal

__all__ = ["FORMATS", "check_formats", "discard", "discard_others", "write", "write_refusal"]
