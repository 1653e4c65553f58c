import colorsys
import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw

from triplenet.errors import UnknownName
from triplenet.explanation import drawing
from triplenet.explanation.colour import COLOUR_MAPS, colours
from triplenet.explanation.drawing import LIGHT, colour_bar, draw_colour_bar, font, printable, write_png
from triplenet.explanation.overlay import (
    ABSOLUTE,
    OUTLINE,
    OWN_MAXIMUM,
    PAPER,
    Style,
    enlarged_mask,
    grey,
    outlined,
    overlay,
)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)


def redness(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(int) - picture[..., 2]


def relative_luminance(rgb: np.ndarray) -> np.ndarray:
    """WCAG's definition."""
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_a_map_without_evidence_is_the_plain_grey_image(image: np.ndarray) -> None:
    np.testing.assert_array_equal(overlay(image, np.zeros(image.shape)), np.stack([image] * 3, axis=-1))


def test_the_hottest_place_is_the_reddest(image: np.ndarray) -> None:
    heat = np.zeros(image.shape)
    heat[30, 11], heat[5, 50] = 0.9, 0.4
    red = redness(overlay(image, heat))
    assert np.unravel_index(red.argmax(), red.shape) == (30, 11)


def test_the_scale_is_absolute_so_faint_evidence_stays_faint(image: np.ndarray) -> None:
    heat = np.zeros(image.shape)
    heat[10:20, 10:20] = 0.1
    faint = overlay(image, heat)
    heat[40, 60] = 1.0
    beside_a_hot_pixel = overlay(image, heat)
    np.testing.assert_array_equal(beside_a_hot_pixel[10:20, 10:20], faint[10:20, 10:20])
    change = np.abs(faint.astype(int) - grey(image)).max()
    assert 0 < change <= np.ceil(255 * 0.1 * ABSOLUTE.opacity)


def test_full_heat_is_covered_by_the_colour_as_far_as_the_opacity_says() -> None:
    black = np.zeros((1, 1), dtype=np.uint8)
    for opacity in (0.25, 0.5, 1.0):
        full = overlay(black, np.ones((1, 1)), Style(opacity=opacity))[0, 0]
        np.testing.assert_allclose(full, opacity * colours(np.array(1.0)), atol=0.5)


def test_the_papers_style_is_half_image_and_half_jet_everywhere(image: np.ndarray) -> None:
    heat = np.tile(np.linspace(0, 1, image.shape[1]), (image.shape[0], 1))
    picture = overlay(image, heat, PAPER)
    for y, x in ((0, 0), (17, 31), (47, 63)):
        jet = colours(np.array(heat[y, x]), "jet")
        for channel in range(3):
            assert picture[y, x, channel] == pytest.approx((int(image[y, x]) + int(jet[channel])) / 2, abs=0.51)


def test_jet_goes_from_blue_through_green_to_red() -> None:
    hues = [colorsys.rgb_to_hsv(*(colours(np.array(heat), "jet") / 255))[0] * 360 for heat in np.linspace(0, 1, 41)]
    assert hues[0] == pytest.approx(240)
    assert hues[20] == pytest.approx(120, abs=5)
    assert hues[40] == pytest.approx(0)
    assert all(a >= b - 1e-6 for a, b in itertools.pairwise(hues))


def test_the_default_ramp_can_be_read_by_lightness_alone() -> None:
    ramp = colours(np.linspace(0, 1, 256))
    # CIE L*, an oracle other than the space the ramp was built in.
    luminance = relative_luminance(ramp)
    lightness = 116 * np.cbrt(luminance) - 16
    assert (np.diff(lightness) <= 0.3).all()
    tenths = np.diff(lightness[::25])
    assert tenths.max() < -2.5
    assert lightness[0] - lightness[-1] > 45


def cielab(rgb: np.ndarray) -> np.ndarray:
    """(N, 3) of sRGB 0..255 under D65."""
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = linear @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def ciede2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) of two (N, 3) in CIELAB, by Sharma, Wu and Dalal (2005)."""
    chroma = (np.hypot(*one[:, 1:].T) + np.hypot(*other[:, 1:].T)) / 2
    g = 1 + (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7))) / 2
    c1, c2 = (np.hypot(g * lab[:, 1], lab[:, 2]) for lab in (one, other))
    h1, h2 = (np.degrees(np.arctan2(lab[:, 2], g * lab[:, 1])) % 360 for lab in (one, other))
    turn = (h2 - h1 + 180) % 360 - 180
    dl, dc, dh = other[:, 0] - one[:, 0], c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    light, c, h = (one[:, 0] + other[:, 0]) / 2, (c1 + c2) / 2, np.radians(h1 + turn / 2)
    cosines = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    t = 1 + sum(weight * np.cos(times * h + np.radians(shift)) for weight, times, shift in cosines)
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * c, 1 + 0.015 * c * t
    turned = np.radians(60 * np.exp(-(((np.degrees(h) % 360 - 275) / 25) ** 2)))
    rt = -2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * np.sin(turned)
    return np.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rt * dc / sc * dh / sh)


def test_equal_steps_of_heat_are_equal_steps_of_colour() -> None:
    # A published pair first, so that the ruler is right: pair 1 and pair 25 of Sharma's table.
    pairs = np.array(
        [[[50, 2.6772, -79.7751], [50, 0, -82.7485]], [[60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387]]]
    )
    np.testing.assert_allclose(ciede2000(pairs[:, 0], pairs[:, 1]), [2.0425, 1.2644], atol=5e-5)
    lab = cielab(colours(np.linspace(0, 1, 256)[::17]))
    steps = ciede2000(lab[:-1], lab[1:])
    assert np.abs(steps / steps.mean() - 1).max() < 0.09  # a channel of 8 bits more or less
    assert steps.std() / steps.mean() < 0.04
    # JET, which the paper has, is far from it.
    jet = cielab(colours(np.linspace(0, 1, 256)[::17], "jet"))
    steps = ciede2000(jet[:-1], jet[1:])
    assert steps.max() > 3 * steps.min()


def test_on_its_own_maximum_a_faint_map_is_drawn_as_a_strong_one(image: np.ndarray) -> None:
    heat = np.tile(np.linspace(0, 1, image.shape[1]), (image.shape[0], 1))
    np.testing.assert_array_equal(overlay(image, heat / 8, OWN_MAXIMUM), overlay(image, heat))
    np.testing.assert_array_equal(overlay(image, heat, OWN_MAXIMUM), overlay(image, heat))
    with_a_hole = heat / 8
    with_a_hole[0, 0] = np.nan
    np.testing.assert_array_equal(overlay(image, with_a_hole, OWN_MAXIMUM)[1:], overlay(image, heat)[1:])


def test_on_its_own_maximum_a_map_of_nothing_stays_the_plain_image(image: np.ndarray) -> None:
    for nothing in (np.zeros(image.shape), np.full(image.shape, np.nan)):
        np.testing.assert_array_equal(overlay(image, nothing, OWN_MAXIMUM), grey(image))


@pytest.mark.parametrize("colour_map", COLOUR_MAPS)
def test_values_outside_the_scale_are_its_ends(colour_map: str) -> None:
    outside = colours(np.array([-3.0, 0.0, 1.0, 7.5, np.nan]), colour_map)
    np.testing.assert_array_equal(outside[0], outside[1])
    np.testing.assert_array_equal(outside[3], outside[2])
    np.testing.assert_array_equal(outside[4], outside[1])


def test_an_unknown_colour_map_is_refused() -> None:
    with pytest.raises(UnknownName, match="rainbow"):
        colours(np.zeros(1), "rainbow")  # type: ignore[arg-type]


def test_image_and_heat_of_different_shape_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="shape"):
        overlay(image, np.zeros((64, 48)))


def test_an_outline_keeps_the_inside_and_the_far_outside(image: np.ndarray) -> None:
    mask = np.zeros(image.shape, dtype=bool)
    mask[10:30, 20:50] = True
    before = grey(image)
    after = outlined(before, mask, width=2)
    np.testing.assert_array_equal(after[12:28, 22:48], before[12:28, 22:48])
    assert (after[10:12, 20:50] == OUTLINE).all()
    assert (after[10:30, 48:50] == OUTLINE).all()
    outside = np.ones(image.shape, dtype=bool)
    outside[8:32, 18:52] = False
    np.testing.assert_array_equal(after[outside], before[outside])
    assert (after[8:10, 18:52] <= before[8:10, 18:52]).all()


def test_a_mask_that_touches_the_edge_has_its_outline_there(image: np.ndarray) -> None:
    mask = np.zeros(image.shape, dtype=bool)
    mask[:12, 10:30] = True
    after = outlined(grey(image), mask)
    assert (after[0, 10:30] == OUTLINE).all()
    assert not (after[1:11, 11:29] == OUTLINE).all(axis=-1).any()


def test_an_empty_mask_draws_nothing(image: np.ndarray) -> None:
    np.testing.assert_array_equal(outlined(grey(image), np.zeros(image.shape, dtype=bool)), grey(image))


def test_enlarging_a_mask_keeps_its_place_and_share() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:15, 10:25] = True
    large = enlarged_mask(mask, (80, 120))
    assert large.shape == (80, 120)
    assert large.mean() == pytest.approx(mask.mean(), rel=0.03)
    rows, columns = np.nonzero(large)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 59, 40, 99)


def test_the_colour_bar_runs_from_1_at_the_top_to_0_at_the_bottom() -> None:
    bar = colour_bar(101, 20)
    assert (bar[-1, :10] == 0).all()
    assert (bar[-1, 10:] == 255).all()
    over_black, over_white = np.zeros((1, 1), np.uint8), np.full((1, 1), 255, np.uint8)
    for row, heat in ((0, 1.0), (50, 0.5), (75, 0.25)):
        np.testing.assert_array_equal(bar[row, 0], overlay(over_black, np.full((1, 1), heat))[0, 0])
        np.testing.assert_array_equal(bar[row, -1], overlay(over_white, np.full((1, 1), heat))[0, 0])


def test_the_ticks_of_the_colour_bar_stand_at_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    heights = {}
    real = ImageDraw.ImageDraw.text

    def text(draw, xy, text, *arguments, **options):  # type: ignore[no-untyped-def]
        heights[text] = xy[1]
        real(draw, xy, text, *arguments, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    canvas = Image.new("RGB", (200, 300), LIGHT.page)
    draw_colour_bar(canvas, (20, 50, 40, 251), LIGHT)
    assert heights == {"1": 50, "0.5": 150, "0": 250}
    heights.clear()
    draw_colour_bar(Image.new("RGB", (200, 300)), (20, 50, 40, 251), LIGHT, style=OWN_MAXIMUM)
    assert heights == {"max": 50, "half": 150, "0": 250}
    drawn, bar = np.asarray(canvas), colour_bar(201, 20)
    np.testing.assert_array_equal(drawn[50:250, 20:39], bar[:200, :19])


def test_text_that_the_typeface_lacks_is_replaced_visibly() -> None:
    assert printable("a –\nb 肺") == "a – b ?"


def test_letters_with_accents_are_drawn_as_they_are() -> None:
    text = "Größe, Łódź, čeština, ελληνικά"
    assert printable(text) == text
    assert printable("Gro\u0308ße") == "Größe"
    shapes = {bytes(font(32).getmask(letter)) for letter in "oóöźzŁLß?"}
    assert len(shapes) == 9


def test_without_matplotlib_letters_lose_their_accents_and_stay_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_dejavu", lambda: None)
    for cached in (drawing.font, drawing._drawn_as):
        cached.cache_clear()
    assert printable("Größe, Łódź: 3 × 4 肺") == "Grosse, Lodz: 3 x 4 ?"
    monkeypatch.undo()
    for cached in (drawing.font, drawing._drawn_as):
        cached.cache_clear()


def test_a_png_holds_the_pixels_and_no_metadata(tmp_path, image: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    picture = overlay(image, np.full(image.shape, 0.5))
    write_png(tmp_path / "overlay.png", picture)
    with Image.open(tmp_path / "overlay.png") as read:
        assert read.info == {}
        np.testing.assert_array_equal(np.asarray(read), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.png"]
