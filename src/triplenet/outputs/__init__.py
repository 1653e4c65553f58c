"""A result in the formats others read."""

from triplenet.outputs.batch import WrittenResult, predict_batch
from triplenet.outputs.output_formats import DEFAULT, FORMATS, OutputFormat, check_formats, needed_by
from triplenet.outputs.result_folder import discard, discard_others, write, write_refusal
from triplenet.outputs.summary import Summary

__all__ = [
    "DEFAULT",
    "FORMATS",
    "OutputFormat",
    "Summary",
    "WrittenResult",
    "check_formats",
    "discard",
    "discard_others",
    "needed_by",
    "predict_batch",
    "write",
    "write_refusal",
]
