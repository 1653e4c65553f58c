"""What the codes of a DICOM Segmentation say of a segment: data only.

Schemes as DICOM names them: SCT (SNOMED CT) and its retired forms SRT, SNM3 and 99SDM, DCM, RADLEX, FMA.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["lung", "infection", "other", "unknown"]
Category = Literal["abnormal", "anatomy", "none"]

_SCHEME = {"SRT": "SRT", "SNM3": "SRT", "99SDM": "SRT", "SCT": "SCT", "DCM": "DCM", "RADLEX": "RADLEX", "FMA": "FMA"}
_LUNG_AXIS = "T-28"  # of SNOMED's topography: the lung, its lobes and segments

#: Lung, right, left; its lobes (each, and each side's) and segments; "entire" lung, right, left, both.
_LUNG = {
    "SCT": {
        "39607008", "3341006", "44029006", "31094006", "45653009", "40020002", "90572001", "42400003", "72481006",
        "266005", "44714003", "41224006", "72674008", "86598002", "181216001", "361967000", "361982005", "187543000",
    },
    "FMA": {"7195", "7309", "7310", "7333", "7337", "7370", "7371", "7383"},
    "RADLEX": {"RID1301", "RID1310", "RID1315", "RID1326", "RID1338"},
}  # fmt: skip
#: Pneumonia, that of an infection, COVID-19 and its pneumonia, consolidation; opacity, abnormal opacity, ground glass,
#: infiltrate; the same and crazy paving in RadLex.
_INFECTION = {
    "SCT": {"233604007", "312342009", "840539006", "882784691000119100", "95436008"},
    "DCM": {"112001", "112033", "112120", "112121"},
    "RADLEX": {"RID28531", "RID43255", "RID43256", "RID5350"},
}
#: Findings of the lung that are no infection: neoplasm, nodule, mass, effusion, malignancies, embolism, metastasis,
#: coin lesion, micronodule.
_OTHER = {
    "SCT": {
        "108369006", "27925004", "4147007", "60046008", "41699000", "363346000", "93880001", "254637007", "59282003",
        "94391008", "308689002",
    },
    "SRT": {"M-8FFFF", "M-03010", "M-03000", "D2-80100", "M-36700", "F-20172"},
    "DCM": {"112122"},
}  # fmt: skip
#: As category or as type: something abnormal, without saying what (abnormal structure, lesion, disease, inflammation).
_ABNORMAL = {
    "SCT": {"49755003", "52988006", "64572001", "409774005", "23583003", "19829001"},
    "SRT": {"M-01000", "M-01100", "DF-00000", "M-0100C", "M-40000", "D2-50000"},
}
#: Anatomical structure, tissue, body structure. As types they say nothing: Slicer writes tissue for every new segment.
_ANATOMY = {"SCT": {"91723000", "85756007", "123037004"}, "SRT": {"T-D0005", "T-D0050", "T-D000A"}}


def kind_of_code(scheme: str, value: str) -> Kind:
    """What a segmented property type is; ``unknown`` for a code that is not listed here."""
    scheme = _SCHEME.get(scheme.upper(), "")
    if value in _LUNG.get(scheme, ()) or (scheme == "SRT" and value.startswith(_LUNG_AXIS)):
        return "lung"
    if value in _INFECTION.get(scheme, ()):
        return "infection"
    return "other" if value in _OTHER.get(scheme, ()) else "unknown"


def category_of_code(scheme: str, value: str) -> Category:
    """Whether a category, or a type without more in it, means something abnormal or a part of the body."""
    scheme = _SCHEME.get(scheme.upper(), "")
    if value in _ABNORMAL.get(scheme, ()):
        return "abnormal"
    return "anatomy" if value in _ANATOMY.get(scheme, ()) else "none"
