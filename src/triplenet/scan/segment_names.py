"""What the name of a segment says it is, in several languages; a site adds its own names and codes in a TOML file.

lung = ["pole superieur"]          # words, or beginnings of words, in any letters
infection = ["foyer", "99SITE:17"] # or codes: scheme, colon, value
other = ["catheter"]
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from triplenet.errors import BadSegmentNames, PathMissing
from triplenet.scan.segment_codes import Kind
from triplenet.toml_text import NotToml, read_toml

Named = Literal["lung", "lobe", "infection", "finding", "other", "unknown"]
"""``lobe``: a part of the lung, which may be where a lesion lies; ``finding``: of the lung, but no infection"""

#: English, French, German, Spanish, Italian, Portuguese, Dutch, Polish, Russian, Chinese, Japanese; no accents.
#: Anywhere in a word, as German joins them: Lungenentzuendung.
_INFECTION = (
    "infect", "infekt", "infez", "infecc", "infecc", "neumoni", "pneumop", "polmonit", "entzund", "ontstek", "zapalen",
    "inflamm", "infiamm", "covid", "sars", "consolid", "konsolid", "condensation", "addensament", "infiltr",
    "groundglass", "ground glass", "milchglas", "verre depoli", "vidrio", "vidro fosco", "vetro", "matglas",
    "crazy pav", "verschatt", "инфекц", "пневмони", "консолид", "матов", "инфильтр", "уплотнен", "затемнен",
    "воспал", "ковид", "感染", "病灶", "病变", "病変", "肺炎", "磨玻璃", "实变", "実変", "すりガラス", "浸润", "浸潤",
)  # fmt: skip
_ABBREVIATED = ("ggo", "ggos", "mga")
#: Abnormal, without saying what: an infection unless the name tells another organ or finding.
_ABNORMAL = (
    "lesion", "lesione", "lasion", "lesao", "lesoe", "laesie", "opaci", "abnormal", "patholog", "patolog", "zmian",
    "поражен", "патолог", "очаг",
)  # fmt: skip
_FINDINGS = (
    "nodul", "mass", "tumo", "neoplas", "cancer", "krebs", "carcino", "karzino", "metast", "effusion", "erguss",
    "epanchement", "derrame", "versamento", "emphys", "enfisem", "calcif", "verkalk", "atelect", "atelekt", "pleura",
    "pneumothora", "neumotora", "pneumotora", "fibros", "edem", "oedem", "odem", "cyst", "embol", "опухол", "узел",
    "узл", "выпот", "эмфиз", "ателект", "结节", "結節",
)  # fmt: skip
_OTHER = (
    "heart", "herz", "coeur", "corazon", "cuore", "cardi", "kardi", "aort", "trache", "traque", "airway", "bronch",
    "bronqu", "vessel", "vascul", "gefass", "vaisseau", "vaso", "vasi", "arter", "vein", "vene", "vena", "liver",
    "leber", "foie", "higado", "fegato", "kidney", "niere", "brain", "gehirn", "spine", "vertebra", "wirbel", "rib",
    "ribs", "bone", "knochen", "body", "background", "hintergrund", "fissur", "mediastin", "esophag", "oesophag",
    "spleen", "stomach", "muscle", "diaphragm", "thorax", "сердц", "аорт", "трахе", "бронх", "сосуд", "печен",
    "позвон", "ребр", "кост",
)  # fmt: skip
_LOBES = ("lobe", "lobus", "lobo", "lobul", "oberlappen", "mittellappen", "unterlappen", "lingul", "肺叶")
_LOBES_SHORT = ("rul", "rml", "rll", "lul", "lll")
_LUNG = ("lung", "pulmo", "poumon", "polmon", "longen", "pluc", "легк", "легоч", "leftlung", "rightlung")
_LUNG_ANYWHERE = ("肺",)
_NOT = re.compile(
    r"\b(?:no(?!\s*\d)|non|not|without|excl\w*|minus|uninfected|healthy|normal|sans|hors|sain\w*|ohne|nicht|gesund\w*"
    r"|sin|sano|sana|senza|zonder|bez|без|не|вне|здоров\w*)\b"
)


@dataclass(frozen=True)
class SegmentNames:
    """Names and codes of a site, asked before the built-in ones."""

    lung: tuple[str, ...] = ()
    infection: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    def kind_of(self, texts: Iterable[str], codes: Iterable[tuple[str, str]]) -> Kind:
        """What the site says of a segment with this label and these codes (scheme, value)."""
        plain = [plain_text(text) for text in texts]
        written = {f"{scheme}:{value}".casefold() for scheme, value in codes}
        tables: tuple[tuple[Kind, tuple[str, ...]], ...] = (
            ("other", self.other), ("infection", self.infection), ("lung", self.lung),
        )  # fmt: skip
        for kind, words in tables:
            if any(word.casefold() in written for word in words):
                return kind
            if any(_begins(text, plain_text(word)) for text in plain for word in words if ":" not in word):
                return kind
        return "unknown"


NO_NAMES = SegmentNames()


def read_segment_names(path: Path | str) -> SegmentNames:
    """A site's names from a TOML file with lists of texts under ``lung``, ``infection`` and ``other``.

    :raises PathMissing: there is no such file
    :raises BadSegmentNames: it is no TOML, or holds something else
    """
    path = Path(path)
    if not path.is_file():
        raise PathMissing("no such file of segment names", where=path)
    try:
        values = read_toml(path)
    except (OSError, NotToml) as error:
        raise BadSegmentNames(f"the segment names are no TOML text ({error})", where=path) from None
    kinds = tuple(SegmentNames.__annotations__)
    strange = sorted(set(values) - set(kinds))
    if strange:
        raise BadSegmentNames(f"segment names under {strange[0]!r}", where=path, do=f"use {', '.join(kinds)}")
    for kind, words in values.items():
        if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
            raise BadSegmentNames(f"the segment names under {kind} are no list of texts", where=path)
    return SegmentNames(**{kind: tuple(word.strip() for word in words) for kind, words in values.items()})


def kind_of_name(text: str) -> Named:
    """What a segment's label or the meaning of its code says."""
    plain = plain_text(text)
    infected = _has_any(plain, _INFECTION) or _is_any(plain, _ABBREVIATED)
    abnormal = _has_any(plain, _ABNORMAL)
    lung: Named = "unknown"
    if any(_begins(plain, word) for word in _LUNG) or _has_any(plain, _LUNG_ANYWHERE):
        lung = "lung"
    elif any(_begins(plain, word) for word in _LOBES) or _is_any(plain, _LOBES_SHORT):
        lung = "lobe"
    if _NOT.search(plain) and (infected or abnormal):
        return "other" if lung == "unknown" else "lung"  # "Lung without infection"
    if infected:
        return "infection"
    if _has_any(plain, _FINDINGS):
        return "finding"
    if any(_begins(plain, word) for word in _OTHER):
        return "other"
    return "infection" if abnormal else lung


@lru_cache(maxsize=1024)
def plain_text(text: str) -> str:
    """Words in small letters without accents, a space between them: ``LeftLung_1`` is ``left lung 1``."""
    apart = re.sub(r"(?<=[^\W\d_])(?<![A-ZА-Я])(?=[A-ZА-Я])", " ", text)
    apart = unicodedata.normalize("NFKD", apart.casefold())
    letters = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return " ".join(re.split(r"[\s_\-./,;:()\[\]]+", letters)).strip()


def _has_any(plain: str, parts: Iterable[str]) -> bool:
    return any(part in plain for part in parts)


def _is_any(plain: str, words: Iterable[str]) -> bool:
    """Whether one of the words stands in the text as it is, perhaps with a number behind it."""
    return any(re.search(rf"(?<!\w){word}\d*(?!\w)", plain) for word in words)


def _begins(plain: str, word: str) -> bool:
    """Whether a word of the text begins so."""
    return bool(re.search(rf"(?<![^\W\d_]){re.escape(word)}", plain))
