"""From a slice in HU to the network's square and back."""

import numpy as np
import pytest

from triplenet.prepare.sample import SliceTransform, network_slice


def test_halving_a_slice_averages_two_by_two_pixels():
    hu = np.full((8, 8), -1000, np.int16)
    hu[0, 0] = hu[0, 1] = -500  # 255 in two of four pixels
    image, _ = network_slice(hu, (-1000, -500), 4)
    assert image[0, 0] in (127, 128)
    assert image.sum() == image[0, 0]


def test_a_slice_that_is_not_square_is_padded_with_air_and_keeps_its_shape():
    hu = np.full((4, 8), 0, np.int16)
    image, transform = network_slice(hu, (-1000, -500), 8)
    assert transform.offset == (2, 0)
    assert (image[2:6] == 255).all() and (image[:2] == 0).all() and (image[6:] == 0).all()


def test_a_mask_keeps_its_values_and_its_place():
    mask = np.zeros((16, 16), np.uint8)
    mask[8:12, 4:8] = 2
    small = SliceTransform((16, 16), 8).mask(mask)
    assert set(np.unique(small)) == {0, 2}
    assert (small[4:6, 2:4] == 2).all() and small.sum() == 8


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_every_label_is_that_of_the_pixel_under_its_centre(size):
    """Labels have no order: between background and infection lies no lung, and nothing between it and unlabelled."""
    mask = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (64, 64))
    under = np.floor((np.arange(size) + 0.5) * 64 / size).astype(int)
    np.testing.assert_array_equal(SliceTransform((64, 64), size).mask(mask), mask[np.ix_(under, under)])


def test_padding_beside_a_mask_that_tells_is_background():
    whole = SliceTransform((4, 8), 8).mask(np.ones((4, 8), np.uint8))
    assert (whole[2:6] == 1).all() and not whole[:2].any() and not whole[6:].any()


def test_padding_is_unlabelled_where_the_mask_does_not_tell():
    assert (SliceTransform((4, 8), 8).mask(np.full((4, 8), 255, np.uint8)) == 255).all()


@pytest.mark.parametrize(("shape", "size", "crop"), [((512, 512), 256, 224), ((96, 128), 128, 112), ((64, 64), 64, 64)])
def test_a_point_seen_by_the_network_comes_back_to_where_it_was_in_the_slice(shape, size, crop):
    transform = SliceTransform(shape, size)
    heat = np.zeros((crop, crop), np.float32)
    heat[crop // 3, crop // 2] = 1.0
    back = transform.back(heat)
    assert back.shape == shape
    # The centre of network pixel p lies at (p + border + 0.5) * side / size - offset - 0.5 of the slice.
    border = (size - crop) // 2
    expected = [
        (position + border + 0.5) * transform.side / size - offset - 0.5
        for position, offset in zip((crop // 3, crop // 2), transform.offset, strict=True)
    ]
    weights = back / back.sum()
    found = [(weights * grid).sum() for grid in np.indices(shape)]
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_outside_the_crop_nothing_is_explained():
    back = SliceTransform((64, 64), 64).back(np.ones((32, 32), np.float32))
    assert back[:16].sum() == 0 and back[:, 48:].sum() == 0 and (back[16:48, 16:48] == 1).all()
