"""The codes that a report speaks in, and those of its source's procedure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.sr.coding import Code

from triplenet.inference.result import ModelInfo
from triplenet.outputs.long_string import long_string

OWN_SCHEME = "99TRIPLENET"
FINDING = Code("121071", "DCM", "Finding")
PROBABILITY = Code("122157", "DCM", "Probability")
VISUAL_EXPLANATION = Code("130401", "DCM", "Visual explanation")
COMMENT = Code("121106", "DCM", "Comment")
DEVICE = Code("121007", "DCM", "Device")
PRESENT, ABSENT = Code("52101004", "SCT", "Present"), Code("272519000", "SCT", "Absent")
VOLUME = Code("118565006", "SCT", "Volume")
SHARE = Code("INFECTED_SHARE", OWN_SCHEME, "Share of the lung's volume")
MILLILITRE, PERCENT, NO_UNITS = Code("mL", "UCUM", "mL"), Code("%", "UCUM", "percent"), Code("1", "UCUM", "no units")
CT_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
"""Where the source does not say what was done"""


def class_code(model: ModelInfo, name: str) -> Code:
    """A class of the model's task, which is known by its name there and nowhere else."""
    digest = hashlib.sha256(f"{model.task}/{name}".encode()).hexdigest()
    return Code(digest[:16].upper(), OWN_SCHEME, long_string(name))


def own_scheme() -> Dataset:
    """Who is responsible for our codes."""
    item = Dataset()
    item.CodingSchemeDesignator = OWN_SCHEME
    item.CodingSchemeName = "Classes and measures of triplenet"
    item.CodingSchemeResponsibleOrganization = "triplenet"
    return item


def procedures(source: Dataset) -> list[Code]:
    """What was done, by the source's own codes, else a CT."""
    return list(dict.fromkeys(_told(source))) or [CT_PROCEDURE]


def _told(source: Dataset) -> Iterator[Code]:
    for item in source.get("ProcedureCodeSequence") or ():
        value, scheme, meaning = (
            item.get(keyword) for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        )
        if value and scheme and meaning:
            yield Code(value, scheme, meaning, item.get("CodingSchemeVersion") or None)
