"""What the segments of a DICOM Segmentation are: lung, infection, or something else. Codes first, then names.

A site's own names are added by a TOML file that the variable ``TRIPLENET_SEGMENTS`` names:

    lung = ["pole superieur"]        # words or beginnings of words, in any letters
    infection = ["foyer"]
    other = ["cathether"]
"""

from __future__ import annotations

import os
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydicom import Dataset
from pydicom.sr._snomed_dict import mapping as _retired

from triplenet.errors import BadMask

Kind = Literal["lung", "infection", "other", "unknown"]
VARIABLE = "TRIPLENET_SEGMENTS"

#: SNOMED CT; the retired SRT codes are looked up in pydicom's table, FMA's and the sides' SRT codes stand here.
_LUNG = frozenset(
    {
        "39607008", "3341006", "44029006", "31094006", "45653009", "90572001", "72481006", "40020002", "44714003",
        "266005", "41224006", "72674008", "181216001", "361967000", "361982005", "T-28000", "T-28100", "T-28500",
        "T-28200", "T-28300", "T-28400", "T-28600", "T-28700", "T-28800", "7195", "7309", "7310", "7333", "7337",
        "7370", "7371", "7383",
    }
)  # fmt: skip
_INFECTION = frozenset({"233604007", "840539006", "882784691000119100", "95436008", "409622000", "312342009"})
#: Findings of the lung that are no infection, and whatever else is drawn on a chest.
_OTHER = frozenset({"108369006", "27925004", "4147007", "60046008", "41699000", "363346000", "93880001", "254637007"})
_ABNORMAL = frozenset({"49755003", "M-01000", "19130008", "64572001"})  # categories: abnormal structure, disease
_ANATOMY = frozenset({"91723000", "T-D0050", "85756007", "123037004", "T-D000A"})

#: Words, or beginnings of words, without accents. English, German, French, Spanish, Italian, Portuguese, Dutch,
#: Polish, Russian, Chinese and Japanese.
_NAMES: Mapping[Kind, tuple[str, ...]] = {
    "other": (
        "heart", "herz", "coeur", "corazon", "cuore", "aorta", "trachea", "airway", "bronch", "vessel", "artery",
        "vein", "liver", "spine", "rib", "bone", "body", "background", "fissure", "mediastin", "esophag", "oesophag",
        "spleen", "stomach",
    ),
    "infection": (
        "infect", "infekt", "infez", "lesion", "lasion", "ground", "ggo", "milchglas", "verre depoli", "vidrio",
        "vetro", "opaci", "consolid", "konsolid", "pneumon", "neumon", "polmonit", "covid", "abnormal", "infiltr",
        "crazy paving", "lesione", "zmian", "zapalen", "инфекц", "пневмон", "консолид", "матов", "поражен", "感染",
        "病灶", "肺炎", "磨玻璃", "実変", "すりガラス",
    ),
    "lung": (
        "lung", "pulmo", "poumon", "lunge", "polmon", "pulmon", "longen", "pluc", "легк", "лёгк", "肺", "lobe", "lobus",
        "lobo", "rul", "rml", "rll", "lul", "lll", "lingula",
    ),
}  # fmt: skip
#: Findings that are no infection; under a lesion's code all the same a lesion.
_FINDINGS = (
    "nodul", "mass", "tumo", "neoplas", "cancer", "carcino", "metast", "effusion", "erguss", "epanchement", "derrame",
    "versamento", "emphys", "enfisem", "calcif", "atelect", "pleura",
)  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """One segment with what it is."""

    number: int
    label: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.number} {self.label!r}"


def segments_of(dataset: Dataset) -> tuple[Segment, ...]:
    """The segments of a DICOM Segmentation; a label map's background (number 0) is none.

    :raises BadMask: the file of own names cannot be read
    """
    found = []
    for item in dataset.SegmentSequence:
        number = int(item.SegmentNumber)
        if number > 0:
            found.append(Segment(number, str(item.get("SegmentLabel", "")), _kind(item)))
    return tuple(found)


def wanted(segments: Sequence[Segment], column: Literal["infection", "lung"], where: object) -> tuple[set[int], str]:
    """The numbers of the segments that a column means, and a note of what was joined and left out.

    A single segment whose meaning nobody can tell is what the column says; several are refused, since all of them or
    none could be meant.

    :raises BadMask: none of them is meant, or it cannot be told which
    """
    kinds = {"infection": ("infection",), "lung": ("lung", "infection")}[column]
    meant = [segment for segment in segments if segment.kind in kinds]
    unknown = [segment for segment in segments if segment.kind == "unknown"]
    if not meant and len(segments) == 1 and unknown:
        return {segments[0].number}, f"segment {segments[0]} is taken for {column}, which its name does not say"
    if not any(segment.kind == column for segment in meant):
        what = "what its segments are cannot be told" if unknown else f"it holds no {column}"
        raise BadMask(
            f"the segmentation is no {column} mask: {what} ({', '.join(map(str, segments))})",
            where=where,
            do=f"give another one, or name its segments in the file that {VARIABLE} names",
        )
    left = [segment for segment in segments if segment not in meant]
    if len(segments) == 1:
        return {meant[0].number}, ""
    note = f"{column} is segment {' with '.join(map(str, meant))}"
    return {segment.number for segment in meant}, note + (f", without {', '.join(map(str, left))}" if left else "")


def _kind(item: Dataset) -> Kind:
    code, _ = _code(item, "SegmentedPropertyTypeCodeSequence")
    if code in _LUNG:
        return "lung"
    if code in _INFECTION:
        return "infection"
    if code in _OTHER:
        return "other"
    category, _ = _code(item, "SegmentedPropertyCategoryCodeSequence")
    by_name = _named(str(item.get("SegmentLabel", "")), _code(item, "SegmentedPropertyTypeCodeSequence")[1])
    if category in _ABNORMAL:
        # "Lung nodule" under a lesion's code is a lesion. No lesion is called just "Lung" or "Heart": some writers give
        # every segment the same code.
        return by_name if by_name in ("lung", "other") else "infection"
    if category in _ANATOMY and (code or by_name == "lung"):
        return "lung" if by_name == "lung" else "other"
    return "other" if by_name == "finding" else by_name


def _code(item: Dataset, keyword: str) -> tuple[str, str]:
    """Value (SNOMED CT where pydicom knows it) and meaning of a code; empty where there is none."""
    sequence = item.get(keyword)
    if not sequence:
        return "", ""
    value = str(sequence[0].get("CodeValue", "") or sequence[0].get("LongCodeValue", ""))
    return _retired["SRT"].get(value, value), str(sequence[0].get("CodeMeaning", ""))


def _named(*texts: str) -> Kind | Literal["finding"]:
    own = _own_names(os.environ.get(VARIABLE, ""))
    for text in texts:
        plain = _plain(text)
        for kind, words in own.items():
            if _has(plain, words):
                return kind
        if _has(plain, _FINDINGS):
            return "finding"
        for kind, words in _NAMES.items():
            if _has(plain, words):
                return kind
    return "unknown"


def _has(plain: str, words: Sequence[str]) -> bool:
    """Whether a word, or its beginning, stands in a text."""
    return any(re.search(rf"(?<![^\W\d_]){re.escape(_plain(word))}", plain) for word in words)


def _plain(text: str) -> str:
    """Small letters without accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).replace("_", " ")


@lru_cache(maxsize=4)
def _own_names(path: str) -> Mapping[Kind, tuple[str, ...]]:
    if not path:
        return {}
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadMask(f"the file of segment names cannot be read ({error})", where=path, do=f"see {VARIABLE}") from None
    kinds: tuple[Kind, ...] = ("other", "infection", "lung")
    strange = sorted(set(values) - set(kinds))
    if strange or not all(
        isinstance(words, list) and all(isinstance(w, str) for w in words) for words in values.values()
    ):
        raise BadMask("segment names are lists of texts under lung, infection and other", where=path)
    return {kind: tuple(values[kind]) for kind in kinds if kind in values}
