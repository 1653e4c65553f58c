"""The picture of a result shows the slice, the heat where it is, and fits whatever there is to say."""

from dataclasses import replace

import numpy as np
import pytest

from prepare.synthetic import chest
from toy_model import MARKED_HU, marker
from triplenet.catalog import INTENDED_USE
from triplenet.inference import predict
from triplenet.outputs import overlay_png as drawn
from triplenet.outputs.overlay_png import GAP, MARGIN, SIDE, WIDTH, picture_of, sheet, width_of
from triplenet.scan import Geometry, Scan, Source


def pictures(result):
    shown = picture_of(result)
    return shown.outlined, shown.hot


def result_of(model=None, *, columns=96, **masks):
    hu, _, infection, geometry = chest(lesion=(4, 40, 28, 5))
    hu = np.where(infection > 0, MARKED_HU, hu).astype(np.int16)[:, :, :columns]
    geometry = Geometry(hu.shape, geometry.affine)
    return predict(Scan(hu, geometry, Source("nifti", "x")), model or marker(), slice_from_feet=4, **masks)


@pytest.fixture(scope="module")
def result():
    return result_of()


def test_where_there_is_no_heat_both_pictures_are_the_grey_slice(result):
    plain, hot = pictures(replace(result, heat=np.zeros_like(result.heat)))
    np.testing.assert_array_equal(plain, hot)
    assert (hot == hot[..., :1]).all()
    assert hot[SIDE // 2, SIDE // 2, 0] == result.image[48, 48] == 255


def test_the_heat_is_drawn_where_it_is(result):
    heat = np.zeros_like(result.heat)
    heat[20, 70] = 1.0
    _, hot = pictures(replace(result, heat=heat))
    red = hot[..., 0].astype(int) - hot[..., 2]
    y, x = np.unravel_index(red.argmax(), red.shape)
    # Pixel 20 of 96 lies between 20 / 96 and 21 / 96 of the side.
    assert (y * 96 // SIDE, x * 96 // SIDE) == (20, 70)


def test_faint_heat_is_faint_whatever_its_own_maximum(result):
    _, faint = pictures(replace(result, heat=np.full_like(result.heat, 0.04)))
    _, cold = pictures(replace(result, heat=np.zeros_like(result.heat)))
    assert 0 < np.abs(faint.astype(int) - cold).max() <= np.ceil(0.04 * 0.75 * 255)


def test_a_slice_that_is_not_square_keeps_its_proportions():
    plain, _ = pictures(result_of(columns=60))
    columns = np.flatnonzero(plain.any(axis=(0, 2)))
    assert columns.max() - columns.min() + 1 == pytest.approx(SIDE * 60 / 96, abs=2)
    assert columns.max() + columns.min() == pytest.approx(SIDE, abs=2)


def test_both_pictures_are_on_the_sheet_beside_each_other(result):
    hot = result.heat.copy()
    hot[30:60, 30:60] = 0.7
    warm = replace(result, heat=hot)
    plain, hot = pictures(warm)
    page = np.asarray(sheet(warm))
    right = page[:, MARGIN + SIDE + GAP : MARGIN + 2 * SIDE + GAP]
    top = next(y for y in range(len(page) - SIDE) if np.array_equal(right[y : y + SIDE], hot))
    left = page[top : top + SIDE, MARGIN : MARGIN + SIDE]
    # Letters and a scale bar are drawn on the plain one.
    assert (left == plain).all(axis=-1).mean() > 0.99


def test_beside_a_map_of_no_class_stands_the_evidence_for_the_class(monkeypatch):
    model = marker(evidence=True)
    found = result_of(model)
    shown = picture_of(found)
    page = np.asarray(sheet(found))
    assert page.shape[1] == width_of(3) == WIDTH + SIDE + GAP
    third = page[:, MARGIN + 2 * (SIDE + GAP) : MARGIN + 3 * SIDE + 2 * GAP]
    assert any(np.array_equal(third[y : y + SIDE], shown.class_hot) for y in range(len(page) - SIDE))
    assert not np.array_equal(shown.hot, shown.class_hot)
    said = words(monkeypatch, found)
    assert "Infection probability (attention map) Class evidence for class positive" in said
    assert "Highest 0.50, mean" in said  # 0.25 for the first class, 0.25 more for the second
    assert picture_of(result_of()).class_hot is None


def test_an_infection_mask_is_outlined_on_both():
    _, _, infection, _ = chest(lesion=(4, 40, 28, 5))
    for picture in pictures(result_of(infection=infection)):
        cyan = (picture == (0, 229, 255)).all(axis=-1)
        rows, columns = np.nonzero(cyan)
        assert rows.mean() * 96 / SIDE == pytest.approx(40.5, abs=1)
        assert columns.mean() * 96 / SIDE == pytest.approx(28.5, abs=1.5)


def test_four_classes_and_many_warnings_fit(result):
    four = result_of(marker(task="appearance"))
    warned = four.record.model_copy(update={"warnings": ("A very long warning indeed. " * 20, "Another one.")})
    few, many = sheet(four), sheet(replace(four, record=warned))
    assert few.width == many.width == WIDTH
    assert many.height > few.height
    assert np.asarray(many)[-10:].max() < 60  # nothing runs out at the bottom
    assert np.asarray(many)[:, -8:].max() < 60  # nor at the right


def words(monkeypatch, result):
    """Everything written on the sheet."""
    lines = []
    real = drawn.write_line

    def write_line(draw, at, text, *more):
        lines.append(text)
        real(draw, at, text, *more)

    monkeypatch.setattr(drawn, "write_line", write_line)
    sheet(result)
    return " ".join(lines)


def test_the_choice_of_the_series_and_its_reasons_are_on_the_sheet(result, monkeypatch):
    assert "Series: chosen" not in words(monkeypatch, result)
    facts = result.record.scan.model_copy(update={"choice": "chosen of 2 series: axial, 1.25 mm slices, 300 slices"})
    named = replace(result, record=result.record.model_copy(update={"scan": facts}))
    assert "Series: chosen of 2 series: axial, 1.25 mm slices, 300 slices." in words(monkeypatch, named)


def letters(monkeypatch, result):
    """Where on the sheet the sides of the patient are written, (x, y) of R, L, A and P."""
    places = {}
    real = drawn.ImageDraw.ImageDraw.text

    def text(draw, xy, text, *arguments, **options):
        if text in ("R", "L", "A", "P"):
            places[text] = xy
        real(draw, xy, text, *arguments, **options)

    monkeypatch.setattr(drawn.ImageDraw.ImageDraw, "text", text)
    sheet(result)
    return places


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_the_letters_stand_on_the_sides_of_the_patient_however_the_file_lies(monkeypatch, side):
    """A lesion in the patient's right lung (-x in LPS) lies by the R, one at the back (+y) by the P."""
    hu, _, infection, geometry = chest(lesion=(4, 60, 28, 5))
    affine = geometry.affine @ np.diag([1.0, side, side, 1.0])
    affine[:2, 3] = -side * 190.0  # the middle of the 96 pixels of 4 mm
    lying = Geometry(hu.shape, affine)
    hu = np.where(infection > 0, MARKED_HU, hu).astype(np.int16)
    result = predict(Scan(hu, lying, Source("nifti", "x")), marker(), slice_from_feet=4, infection=infection)
    x, y, _ = lying.world(np.argwhere(infection).mean(axis=0))
    assert abs(x) > 50 and abs(y) > 30
    at = letters(monkeypatch, result)
    rows, columns = np.nonzero((pictures(result)[0] == (0, 229, 255)).all(axis=-1))
    column, row = columns.mean() + MARGIN, rows.mean() + at["A"][1]
    nearest_side = min("RL", key=lambda letter: abs(at[letter][0] - column))
    nearest_end = min("AP", key=lambda letter: abs(at[letter][1] - row))
    assert (nearest_side, nearest_end) == ("R" if x < 0 else "L", "A" if y < 0 else "P")


def test_a_lung_that_thresholds_found_is_marked_as_derived(result, monkeypatch):
    _, lung, _, _ = chest()
    assert "in the lung (derived by thresholds)" in words(monkeypatch, result)
    given = words(monkeypatch, result_of(lung=lung))
    assert "in the lung," in given
    assert "derived" not in given


def test_a_sheet_is_the_same_each_time(result):
    np.testing.assert_array_equal(np.asarray(sheet(result)), np.asarray(sheet(result)))


def test_pixels_that_are_no_squares_are_drawn_at_their_size_in_mm():
    hu, _, _, geometry = chest()
    wide = Geometry(hu.shape, geometry.affine @ np.diag([1.0, 0.5, 1.0, 1.0]))  # 96 x 2 mm high, 96 x 4 mm wide
    plain, _ = pictures(predict(Scan(hu, wide, Source("nifti", "x")), marker(), slice_from_feet=2))
    drawn_on = plain.any(axis=2)
    assert drawn_on.any(axis=1).sum() == pytest.approx(drawn_on.any(axis=0).sum() * 0.5, rel=0.2)
    assert np.flatnonzero(drawn_on.any(axis=1)).min() >= SIDE // 4 - 1


@pytest.mark.parametrize("columns", [96, 60])
def test_the_scale_is_fifty_millimetres_long(columns):
    """96 pixels of 4 mm fill the picture's longer side, so 50 mm are 50 / 384 of it."""
    page = np.asarray(sheet(result_of(columns=columns)))
    x = MARGIN + 16
    ink = (page[:, x : MARGIN + SIDE // 2] == drawn.DARK.ink).all(axis=-1)
    lengths = [int(row.argmin()) for row in ink if row[0]]
    assert max(lengths) == pytest.approx(SIDE * 50 / 384, abs=2)


def bars(monkeypatch, result):
    """Lengths of the bars of the classes, from above, as shares of the whole."""
    boxes = []
    real = drawn.ImageDraw.ImageDraw.rectangle

    def rectangle(draw, xy, *arguments, **options):
        boxes.append(xy)
        real(draw, xy, *arguments, **options)

    monkeypatch.setattr(drawn.ImageDraw.ImageDraw, "rectangle", rectangle)
    sheet(result)
    long = [box for box in boxes if box[3] - box[1] == 14 and box[0] > WIDTH // 2]
    whole = max(box[2] - box[0] for box in long)
    by_height = {}
    for box in long:
        by_height.setdefault(box[1], []).append((box[2] - box[0]) / whole)
    return [shares[-1] for _, shares in sorted(by_height.items())]


def test_the_classes_stand_by_their_probability_with_bars_as_long(result, monkeypatch):
    four = result_of(marker(task="appearance"))
    chances = (0.15, 0.5, 0.1, 0.25)
    classes = tuple(
        one.model_copy(update={"probability": chance}) for one, chance in zip(four.record.classes, chances, strict=True)
    )
    named = replace(four, record=four.record.model_copy(update={"classes": classes}))
    assert bars(monkeypatch, named) == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.01)
    text = words(monkeypatch, named)
    places = [text.index(f"{classes[row].name} {chances[row]:.2f}") for row in (1, 3, 0, 2)]
    assert places == sorted(places)


def test_every_warning_is_marked_and_the_purpose_is_said(result, monkeypatch):
    def marks(warnings):
        record = result.record.model_copy(update={"warnings": warnings})
        page = np.asarray(sheet(replace(result, record=record)))
        return int((page == drawn.ACCENT).all(axis=-1).any(axis=1).sum())

    one = marks(("One.",))
    assert one > 0
    assert (marks(()), marks(("One.", "Two."))) == (0, 2 * one)
    assert INTENDED_USE in words(monkeypatch, result)
