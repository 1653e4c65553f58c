from importlib import import_module

import numpy as np
import pytest

from triplenet.catalog import METHODS
from triplenet.explanation import OWN_MAXIMUM, Tile, caption, panel
from triplenet.explanation.drawing import text_width, wrapped

panel_module = import_module("triplenet.explanation.panel")  # the package names the function as the module


def tile(value: int, shape: tuple[int, int] = (16, 16)) -> Tile:
    return Tile(np.full((*shape, 3), value, dtype=np.uint8))


def test_every_picture_of_a_panel_is_on_it_in_reading_order() -> None:
    drawn = np.asarray(panel([[tile(10), tile(20)], [tile(30), tile(40)]], side=64))[..., 0]
    places = [np.argwhere(drawn == value).mean(axis=0) for value in (10, 20, 30, 40)]
    counts = [(drawn == value).sum() for value in (10, 20, 30, 40)]
    assert min(counts) >= 64 * 64
    assert places[0][1] < places[1][1]
    assert places[0][0] < places[2][0]
    assert places[3][1] > places[2][1]


def test_a_picture_keeps_its_proportions() -> None:
    drawn = np.asarray(panel([[tile(77, (20, 40))]], side=80))[..., 0]
    rows, columns = np.nonzero(drawn == 77)
    assert np.ptp(columns) + 1 == 80
    assert np.ptp(rows) + 1 == 40


def test_pictures_without_heat_need_no_colour_bar() -> None:
    with_bar, without = (np.asarray(panel([[tile(10), tile(20)]], side=64, scale=scale)) for scale in (True, False))
    assert without.shape[1] < with_bar.shape[1]
    assert np.ptp(with_bar.astype(int), axis=-1).max() > 100  # the ramp is the only colour
    assert np.ptp(without.astype(int), axis=-1).max() < 25


def test_a_title_stands_above_the_lines_and_wraps_with_them() -> None:
    titled = Tile(tile(10).picture, ("right",), "Double Net of a very long name")
    plain = panel([[Tile(tile(10).picture, ("right",))]], side=64)
    assert panel([[titled]], side=64).height > plain.height + 2 * 12


def test_a_scale_that_is_not_absolute_is_said_under_the_panel(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    written = []
    real = panel_module.write_line
    monkeypatch.setattr(panel_module, "write_line", lambda *words: (written.append(words[2]), real(*words)))
    panel([[tile(10)]], note="How to read it.", side=200)
    assert " ".join(written) == "How to read it."
    written.clear()
    panel([[tile(10)]], note="How to read it.", side=200, style=OWN_MAXIMUM)
    assert " ".join(written).startswith("How to read it. Each map is divided by its own maximum")
    written.clear()
    panel([[tile(10)]], note="A slice.", side=200, style=OWN_MAXIMUM, scale=False)  # there is no heat
    assert " ".join(written) == "A slice."


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equal length"):
        panel([[tile(1)], [tile(1), tile(2)]])


def test_wrapped_lines_fit_and_lose_no_word() -> None:
    text = "the attention map is the infection probability of each pixel"
    lines = wrapped(text, 16, 150)
    assert len(lines) > 1
    assert all(text_width(line, 16) <= 150 for line in lines)
    assert " ".join(lines) == text


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_method_has_a_caption(method) -> None:  # type: ignore[no-untyped-def]
    words = caption(method.explanation, "positive")
    assert words.quantity
    assert ("positive" in words.title) == words.depends_on_class


def test_the_attention_map_is_said_to_be_the_infection_probability_whatever_the_class() -> None:
    words = caption("attention", "positive")
    assert words == caption("attention", "negative")
    assert "infection probability" in words.note
    assert "does not depend on the class" in words.note


def test_a_grad_cam_names_its_class_and_is_said_to_be_no_probability_of_infection() -> None:
    words = caption("grad-cam", "typical")
    assert words.title == "Grad-CAM for class typical"
    assert "odds" in words.quantity
    assert "not a probability of infection" in words.note
