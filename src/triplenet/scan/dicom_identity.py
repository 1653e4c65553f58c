"""Whose a DICOM file is, in clear: for importers of public sets, whose PatientIDs are pseudonyms that tell the site.

Nothing else asks: ``Header`` has digests, so that no name and no UID of a patient gets into what is written.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from triplenet.errors import ScanError, UnreadableFile
from triplenet.scan.dicom_encoding import inflate, read_encoding
from triplenet.scan.dicom_header import DAMAGE, read_attributes
from triplenet.scan.input_files import Entry
from triplenet.scan.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class Identity:
    """What a file says of itself; empty texts where it does not."""

    patient: str
    """PatientID"""
    study: str
    """StudyInstanceUID"""
    series: str
    """SeriesInstanceUID"""


def read_identity(path: Path, limits: Limits = DEFAULT_LIMITS) -> Identity | None:
    """Whose a file is; None for one that is no DICOM file.

    :raises ScanError: a DICOM file that is damaged
    """
    entry = Entry(path.name, path, path.stat().st_size)
    try:
        with warnings.catch_warnings(), entry.open() as file:
            warnings.simplefilter("ignore")  # pydicom's remarks on harmless faults of a header
            encoding = read_encoding(file)
            if encoding is None:
                return None
            inflated = inflate(entry, encoding.start, limits) if encoding.deflated else None
            start = encoding.start if inflated is None else 0
            said = read_attributes(inflated or file, start, encoding, entry, limits)
            if not encoding.marked and "SeriesInstanceUID" not in said:
                return None
            if said.cut:
                raise EOFError("it ends inside its header")
            return Identity(said.text("PatientID"), said.uid("StudyInstanceUID"), said.uid("SeriesInstanceUID"))
    except ScanError:
        raise
    except DAMAGE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableFile(f"damaged DICOM file ({text})", where=path) from None
