"""What a page says of one new scan: its data, no more, and nobody's name."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from inference.test_searched_slice import TWO, held, patient
from pages.test_page import Reader
from prepare.synthetic import chest
from toy_model import MARKED_HU, marker
from triplenet.explanation.panel import Tile
from triplenet.inference import predict
from triplenet.inference.result import ChestInfo
from triplenet.outputs import write
from triplenet.outputs.result_page import new_scan, result_body, result_page
from triplenet.pages import page, section
from triplenet.pages.components import tile_figure
from triplenet.scan import Scan, Source


@pytest.fixture(scope="module")
def result():
    hu, _, infection, geometry = chest(lesion=(4, 40, 28, 5))
    hu = np.where(infection > 0, MARKED_HU, hu).astype(np.int16)
    return predict(Scan(hu, geometry, Source("nifti", "Doe-Jane.nii")), marker(), infection=infection)


def words(document):
    """The text a reader sees."""
    return re.sub(r"\s+", " ", " ".join(Reader(document).texts)).replace("\u202f", " ")


def page_of(result):
    return page("One scan", [section("result", "Result", result_body(result))])


def test_a_new_scan_is_shown_with_its_answer_and_without_a_name(result):
    document = page("A page", [new_scan(result, finding="typical", truth="positive")])
    assert Reader(document).faults == []
    text = words(document)
    assert "A new scan" in text
    assert f"Predicted class: {result.record.predicted}" in text
    assert "It was made as typical, which the model was not told" in text
    assert "The scan is truly positive" in text
    assert "the slice was chosen by: infection mask" in text
    assert "Infection probability (attention map)" in text
    assert "infection mask given" in text
    assert "Jane" not in document


def test_of_a_scan_whose_truth_nobody_knows_none_is_told(result):
    text = words(page("A page", [new_scan(result)]))
    assert "truly" not in text
    assert "was made as" not in text


def test_a_result_is_told_with_its_slice_and_share_inside_the_mask(result):
    document = page_of(result)
    assert Reader(document).faults == []
    text = words(document)
    assert "Slice 4 (0 at the feet, 5 at the head)" in text
    assert "Chosen by infection mask" in text
    assert "100 % of the heat map's sum" in text
    assert "not a probability of infection" not in text  # this map is one
    alts = [unescape(alt) for alt in Reader(document).values("alt")]
    assert any("windowed as the model reads it" in alt for alt in alts)
    assert any("with its heat map" in alt for alt in alts)
    assert "Jane" not in document


def test_the_evidence_for_the_class_stands_beside_the_attention():
    hu, geometry = patient(*TWO)
    found = predict(held(hu, geometry), marker(evidence=True), slice_from_feet=20)
    document = page_of(found)
    assert Reader(document).faults == []
    text = words(document)
    assert text.index("Infection probability (attention map)") < text.index("Class evidence for class positive")
    assert "what speaks for the class" in text and "Evidence for positive highest 0.50" in text
    alts = [unescape(alt) for alt in Reader(document).values("alt")]
    assert sum("The same slice with its heat map" in alt for alt in alts) == 2


def test_the_numbers_of_a_result_are_those_of_its_record(result):
    facts = result.record.explanation.model_copy(update={"area_above_half_mm2": 1234.0, "max": 0.75})
    record = result.record.model_copy(update={"explanation": facts})
    assert "highest 0.75" in words(page_of(replace(result, record=record)))
    assert "12.3 cm² at or above 0.5" in words(page_of(replace(result, record=record)))


def test_the_deciding_slices_and_the_infected_volume_are_told():
    hu, geometry = patient(*TWO)
    found = predict(held(hu, geometry), marker(), aggregate="mean")
    text = words(page_of(found))
    both = found.record.measures.both
    assert f"{both.infection_ml.estimate:.1f} ml" in text and "by the segmentation of Triple Net" in text
    assert f"{found.record.measures.slices} of {len(hu)} slices seen" in text
    assert "Decided by the 5 best slices, their mean; the probability of disease is" in text
    assert "of the lung is infection above" in text
    alone = words(page_of(predict(held(hu, geometry), marker(method="baseline"), slice_from_feet=20)))
    assert "Decided by" not in alone and "Infection " not in alone


def test_the_likeliest_class_stands_first(result):
    low, high = (
        one.model_copy(update={"probability": chance})
        for one, chance in zip(result.record.classes, (0.2, 0.8), strict=True)
    )
    text = words(page_of(replace(result, record=result.record.model_copy(update={"classes": (low, high)}))))
    assert text.index(f"{high.name} 0.80") < text.index(f"{low.name} 0.20")


def test_a_result_says_which_series_and_whose_lung(result):
    text = words(page_of(result))
    assert "Series the only volume there is" in text
    assert "Lung derived by thresholds, not drawn by a reader" in text
    choice = "chosen of 2 series: axial, chest, 300 slices; series 2 scored 60 but: NOT_HU"
    record = result.record
    record = record.model_copy(
        update={
            "scan": record.scan.model_copy(update={"choice": choice}),
            "slice": record.slice.model_copy(update={"lung_derived": False}),
        }
    )
    text = words(page_of(replace(result, record=record)))
    assert f"Series {choice}" in text
    assert "Lung as in the mask given" in text


def test_the_lung_of_the_slice_and_that_of_the_scan_are_told_apart(result):
    record = result.record
    here = record.slice.model_copy(update={"lung_mm2": 12345.0})
    text = words(page_of(replace(result, record=record.model_copy(update={"slice": here}))))
    assert "not drawn by a reader, 123.5 cm² in this slice with its infection" in text
    assert "Lungs of the scan" not in text  # of which one slice was read
    chest = ChestInfo(right_lung_ml=2100, left_lung_ml=1850, largest_lung_mm2=24000, lung_height_mm=240, by="lungmask")
    text = words(page_of(replace(result, record=record.model_copy(update={"slice": here, "chest": chest}))))
    assert "123.5 cm² in this slice with its infection" in text
    assert "Lungs of the scan 2.10 l right, 1.85 l left, at most 240.0 cm² in a slice, by lungmask" in text


def test_the_picture_of_a_case_has_its_lines_below_it():
    tile = Tile(np.zeros((4, 4, 3), np.uint8), ("positive 0.82, right", "a < b"), "Triple Net")
    found = Reader(tile_figure(tile, "Triple Net, of patient 4"))
    assert found.texts == ["Triple Net", "positive 0.82, right", "a < b"]
    assert found.tags.count("br") == 2
    assert found.values("alt") == ["Triple Net, of patient 4"]


# --- the page of its own --------------------------------------------------------------------------


def leaves(value, *path):
    """Every number and word of a JSON value, with where it stands."""
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, *path, str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def told(document):
    """Names and texts of the table of the whole record."""
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', document[document.index("<details>") :])
    return {unescape(name): unescape(text) for name, text in rows}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A result with all parts of a record, and its page."""
    hu, geometry = patient(*TWO)
    found = predict(held(hu, geometry), marker(evidence=True), aggregate="mean")
    folder = tmp_path_factory.mktemp("html") / "out"
    write(found, folder, ["html"])
    assert [path.name for path in folder.iterdir()] == ["result.html"]
    return found, (folder / "result.html").read_text(encoding="utf-8")


def test_the_page_of_a_result_needs_nothing_but_itself(written):
    reader = Reader(written[1])
    assert (reader.faults, reader.open) == ([], [])
    assert {value.split(",")[0] for value in reader.values("src")} == {"data:image/png;base64"}
    assert all(value.startswith("#") and value[1:] in reader.values("id") for value in reader.values("href"))
    assert not {"script", "link", "iframe"} & set(reader.tags)
    assert any("default-src 'none'" in value for value in reader.values("content"))


def test_the_page_says_the_answer_first_and_what_it_is_not(written):
    found, document = written
    reader, text = Reader(document), words(document)
    assert reader.tags.count("h1") == 1 and reader.tags.count("img") == 4  # scale, slice, and two maps
    (probability,) = (one.probability for one in found.record.classes if one.name == found.record.predicted)
    assert text.index(f"positive {probability:.2f}") < text.index("Where the model looked")
    assert found.record.intended_use in text[: text.index("Answer")]
    assert "the patient's right is on the left" in text


def test_every_entry_of_the_record_is_on_the_page(written):
    found, document = written
    rows, record = told(document), found.record.model_dump(mode="json")
    assert rows["classes.1.name"] == "positive" and rows["model.temperature"] == "null"
    assert rows["search.from_feet"].split("; ") == [str(one) for one in found.record.search.from_feet]
    seen = 0
    for path, text in leaves(record):
        name = next(name for end in range(len(path), 0, -1) if (name := ".".join(path[:end])) in rows)
        assert (text or "–") in ([rows[name]] if name == ".".join(path) else rows[name].split("; ")), path
        seen += 1
    assert seen > 150


def test_what_each_deciding_slice_says_is_told(written):
    found, document = written
    table = document[document.index("The slices that decide, the best") :].partition("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(\d+)</th>(.*?)</tr>', table)
    slices = found.record.decision.slices
    assert [int(name) for name, _ in rows] == [one.from_feet for one in slices]
    cells = re.findall(r">([^<]+)</td>", rows[0][1])
    assert cells == [f"{slices[0].area_mm2 / 100:.1f}", *(f"{one:.2f}" for one in slices[0].probabilities)]
    assert "The slices that decide" not in result_page(result_of_one_slice())


def result_of_one_slice():
    hu, geometry = patient(*TWO)
    return predict(held(hu, geometry), marker(), slice_from_feet=20)


def test_a_page_tells_whose_scan_it_is_only_where_that_was_asked_for(tmp_path):
    path = Path(tmp_path / "Doe-Jane.nii")
    hu, geometry = patient(*TWO)
    scan = Scan(hu, geometry, Source("nifti", str(path)))
    silent, told_all = (predict(scan, marker(), slice_from_feet=20, identifiers=asked) for asked in (False, True))
    assert "Jane" not in result_page(silent)
    assert told(result_page(told_all))["identifiers.input"] == str(path)
