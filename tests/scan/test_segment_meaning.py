"""What a segment is: a site's own words, then codes, then names."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from triplenet.errors import BadMask, BadSegmentNames, PathMissing
from triplenet.scan import NO_NAMES, SegmentNames, read_segment_names
from triplenet.scan.segment_meaning import Segment, described_in, segments_of, wanted

Code = tuple[str, str, str]
TISSUE: Code = ("SCT", "85756007", "Tissue")
ANATOMY: Code = ("SCT", "123037004", "Anatomical Structure")
ABNORMAL: Code = ("SCT", "49755003", "Morphologically Altered Structure")
LESION: Code = ("SCT", "52988006", "Lesion")
LUNG: Code = ("SCT", "39607008", "Lung")


def item(number: int, label: str, category: Code | None = None, kind: Code | None = None) -> Dataset:
    made = Dataset()
    made.SegmentNumber, made.SegmentLabel = number, label
    for keyword, triple in (
        ("SegmentedPropertyCategoryCodeSequence", category),
        ("SegmentedPropertyTypeCodeSequence", kind),
    ):
        if triple is not None:
            code = Dataset()
            code.CodingSchemeDesignator, code.CodeValue, code.CodeMeaning = triple
            setattr(made, keyword, [code])
    return made


def kinds(*items: Dataset, own: SegmentNames = NO_NAMES) -> list[str]:
    dataset = Dataset()
    dataset.SegmentSequence = list(items)
    return [segment.kind for segment in segments_of(described_in(dataset), own)]


@pytest.mark.parametrize(
    ("category", "kind", "meant"),
    [
        (ANATOMY, LUNG, "lung"),
        (None, ("SCT", "3341006", "Right lung"), "lung"),
        (None, ("SCT", "44029006", "Left lung"), "lung"),
        (None, ("SCT", "42400003", "Upper lobe of right lung"), "lung"),
        (None, ("SCT", "45653009", "Upper lobe of lung"), "lung"),
        (None, ("SRT", "T-28000", "Lung"), "lung"),
        (None, ("99SDM", "T-28820", "Upper lobe of lung"), "lung"),
        (None, ("FMA", "7195", "Lung"), "lung"),
        (None, ("RADLEX", "RID1301", "lung"), "lung"),
        (ABNORMAL, LESION, "infection"),
        (None, ("SRT", "M-01100", "Lesion"), "infection"),
        (ABNORMAL, ("SCT", "233604007", "Pneumonia"), "infection"),
        (None, ("SCT", "95436008", "Lung consolidation"), "infection"),
        (None, ("SCT", "840539006", "COVID-19"), "infection"),
        (None, ("DCM", "112120", "Ground glass opacity"), "infection"),
        (None, ("DCM", "112121", "Infiltrate"), "infection"),
        (None, ("RADLEX", "RID28531", "ground-glass opacity"), "infection"),
        (ABNORMAL, ("SCT", "27925004", "Nodule"), "other"),
        (ABNORMAL, ("SCT", "108369006", "Neoplasm"), "other"),
        (ABNORMAL, ("SCT", "60046008", "Pleural effusion"), "other"),
        (ANATOMY, ("SCT", "80891009", "Heart"), "other"),
        (None, ("99SITE", "7195", ""), "unknown"),  # a number of another scheme
        (None, ("99SITE", "1", "Ground glass"), "infection"),  # an unknown code says what it means
        (TISSUE, TISSUE, "unknown"),  # what Slicer writes where nobody chose
    ],
)
def test_codes_say_what_a_segment_is(category: Code | None, kind: Code, meant: str) -> None:
    assert kinds(item(1, "Segment_1", category, kind)) == [meant]


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("Lung", "lung"), ("LeftLung", "lung"), ("lung_upper_lobe_left", "lung"), ("RUL", "lung"), ("RML_1", "lung"),
        ("Poumon gauche", "lung"), ("Linke Lunge", "lung"), ("Oberlappen", "lung"), ("pulmón derecho", "lung"),
        ("polmone", "lung"), ("правое лёгкое", "lung"), ("左肺", "lung"), ("Healthy lung", "lung"),
        ("Lung without infection", "lung"), ("Non-infected lung", "lung"), ("Poumon sain", "lung"),
        ("Infection", "infection"), ("Pulmonary infiltrate", "infection"), ("Lung lesion", "infection"),
        ("LungInfection", "infection"), ("Infection no 1", "infection"), ("Bronchopneumonia", "infection"),
        ("GGO", "infection"), ("ground-glass", "infection"), ("Opacité en verre dépoli", "infection"),
        ("Milchglas links", "infection"), ("Lungenentzündung", "infection"), ("Verschattung", "infection"),
        ("neumonía", "infection"), ("vidrio deslustrado", "infection"), ("consolidación", "infection"),
        ("polmonite", "infection"), ("vetro smerigliato", "infection"), ("матовое стекло", "infection"),
        ("инфильтрат", "infection"), ("磨玻璃影", "infection"), ("Covid19Lesions", "infection"),
        ("Lung nodule", "other"), ("Pleural effusion", "other"), ("Pneumothorax", "other"), ("Heart", "other"),
        ("Lung vessels", "other"), ("Liver lesion", "other"), ("background", "other"), ("no infection", "other"),
        ("Ground truth", "unknown"), ("Segment_1", "unknown"), ("crib", "unknown"), ("", "unknown"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("codes", [(None, None), (TISSUE, TISSUE)])
def test_without_telling_codes_the_name_says_it(label: str, meant: str, codes: tuple[Code, Code]) -> None:
    assert kinds(item(1, label, *codes)) == [meant]


def test_under_a_lesions_code_a_nodule_and_a_lobe_are_lesions_but_no_lung() -> None:
    for label in ("Lung nodule", "RUL", "Segment_1", "Finding 1"):
        assert kinds(item(1, label, ABNORMAL, LESION)) == ["infection"]
    assert kinds(item(1, "Lung", ABNORMAL, LESION)) == ["lung"]
    assert kinds(item(1, "Pneumonia", ABNORMAL, LUNG)) == ["infection"]  # the lung's, by its category


def test_codes_overrule_names_and_names_tell_segments_of_one_code_apart() -> None:
    assert kinds(item(1, "Infection", ANATOMY, LUNG), item(2, "Lung", ABNORMAL, LESION)) == ["lung", "lung"]
    assert kinds(item(1, "RUL", ABNORMAL, LESION), item(2, "Infection", ABNORMAL, LESION)) == ["lung", "infection"]
    assert kinds(item(1, "Lung", ANATOMY, LUNG), item(2, "Infection", ANATOMY, LUNG)) == ["lung", "infection"]
    assert kinds(item(1, "a", ABNORMAL, LESION), item(2, "b", ABNORMAL, LESION)) == ["infection", "infection"]


def test_a_sites_own_names_and_codes_overrule_the_rest(tmp_path: Path) -> None:
    (tmp_path / "names.toml").write_text(
        'lung = ["Pôle"]\ninfection = ["schmutz", "99SITE:17"]\nother = ["infection artefact"]\n', encoding="utf-8"
    )
    own = read_segment_names(tmp_path / "names.toml")
    assert kinds(item(1, "Schmutzfleck"), item(2, "pole supérieur"), own=own) == ["infection", "lung"]
    assert kinds(item(1, "x", None, ("99SITE", "17", "")), own=own) == ["infection"]
    assert kinds(item(1, "Infection artefact"), own=own) == ["other"]
    assert kinds(item(1, "Schmutz", ANATOMY, LUNG), own=own) == ["infection"]


@pytest.mark.parametrize(
    "text", ["infection = 3", "infection = [1]", 'tumour = ["x"]', "infection = [", 'lung = [" "]']
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(BadSegmentNames):
        read_segment_names(tmp_path / "bad.toml")
    with pytest.raises(PathMissing):
        read_segment_names(tmp_path / "nothing.toml")


LEFT, RIGHT = Segment(1, "Left lung", "lung"), Segment(2, "Right lung", "lung")
GLASS, DENSE = Segment(3, "GGO", "infection"), Segment(4, "Consolidation", "infection")
HEART, ODD = Segment(5, "Heart", "other"), Segment(6, "Segment_6", "unknown")


def test_what_was_joined_and_what_was_left_out_is_said() -> None:
    found = wanted([LEFT, RIGHT, GLASS, DENSE], "infection", "x")
    assert found.values == {1: 0, 2: 0, 3: 1, 4: 1} and not found.guessed
    assert found.note == "infection is segment 3 'GGO' with 4 'Consolidation', without 1 'Left lung', 2 'Right lung'"
    assert wanted([LEFT, RIGHT, GLASS, HEART], "lung", "x").values == {1: 1, 2: 1, 3: 1, 5: 0}
    assert wanted([LEFT, RIGHT, GLASS, HEART], "mask", "x").values == {1: 1, 2: 1, 3: 2, 5: 0}
    assert wanted([GLASS], "infection", "x").note == ""


def test_one_unknown_segment_is_taken_as_a_guess_and_several_are_not() -> None:
    found = wanted([ODD], "infection", "x")
    assert found.values == {6: 1} and found.guessed and "does not say" in found.note
    for segments in ([ODD, Segment(7, "b", "unknown")], [LEFT, ODD]):
        with pytest.raises(BadMask, match="cannot be told"):
            wanted(segments, "infection", "x")


@pytest.mark.parametrize(
    ("segments", "column"), [([LEFT], "infection"), ([HEART], "lung"), ([GLASS], "lung"), ([HEART], "mask")]
)
def test_a_column_without_what_it_means_is_refused(segments: list[Segment], column: str) -> None:
    with pytest.raises(BadMask, match="it holds no"):
        wanted(segments, column, "x")  # type: ignore[arg-type]  # a column
