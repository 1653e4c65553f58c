import math

import numpy as np
import pytest
import torch

from triplenet.prepare.store import pack
from triplenet.training.augmentation import Draws, augment, draw, draws_of, unpack
from triplenet.training.recipe import AugmentationRecipe

SIZE, CROP = 20, 12


def draws(offset=(4, 4), angle=0.0, flip=1.0, zoom=1.0, brightness=1.0, n=1):
    return Draws(
        torch.tensor([offset] * n, dtype=torch.float32),
        *(torch.full((n,), float(value)) for value in (angle, flip, zoom, brightness)),
    )


def drawn(n, size, recipe, generator):
    return draws_of(draw(n, generator), size, recipe)


def random_images(n=1, seed=0):
    generator = np.random.default_rng(seed)
    images = torch.from_numpy(generator.integers(0, 256, (n, SIZE, SIZE), dtype=np.uint8))
    masks = torch.from_numpy(generator.integers(0, 3, (n, SIZE, SIZE), dtype=np.uint8))
    return images, masks, torch.from_numpy(generator.random((SIZE, SIZE)).astype(np.float32))


def reference(image, mask, mean, top, left, angle, flip, zoom, brightness):
    """Each pixel of the copy looked up by itself, in whole-pixel coordinates of the image."""
    normalised = np.minimum(image / 255 * brightness, 1) - mean

    def grey(y, x):
        return normalised[y, x] if 0 <= y < SIZE and 0 <= x < SIZE else 0.0

    out, labels = np.zeros((CROP, CROP)), np.zeros((CROP, CROP), np.uint8)
    for row in range(CROP):
        for column in range(CROP):
            dy, dx = row - (CROP - 1) / 2, (column - (CROP - 1) / 2) * flip
            x = (math.cos(angle) * dx - math.sin(angle) * dy) / zoom + left + (CROP - 1) / 2
            y = (math.sin(angle) * dx + math.cos(angle) * dy) / zoom + top + (CROP - 1) / 2
            y0, x0 = math.floor(y), math.floor(x)
            for yy, wy in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
                for xx, wx in ((x0, x0 + 1 - x), (x0 + 1, x - x0)):
                    out[row, column] += wy * wx * grey(yy, xx)
            ny, nx = round(y), round(x)
            labels[row, column] = mask[ny, nx] if 0 <= ny < SIZE and 0 <= nx < SIZE else 0
    return out, labels


@pytest.mark.parametrize("seed", range(8))
def test_a_copy_is_what_looking_up_each_pixel_gives(seed):
    images, masks, mean = random_images(seed=seed)
    generator = np.random.default_rng(seed)
    top, left = (int(value) for value in generator.integers(0, SIZE - CROP + 1, 2))
    angle, zoom = generator.uniform(-math.pi / 2, math.pi / 2), generator.uniform(0.8, 1.25)
    flip, brightness = float(generator.choice([-1, 1])), generator.uniform(0.8, 1.2)
    got = augment(images, masks, mean, draws((top, left), angle, flip, zoom, brightness), CROP)
    image, mask = reference(images[0].numpy(), masks[0].numpy(), mean.numpy(), top, left, angle, flip, zoom, brightness)
    np.testing.assert_allclose(got.images[0, 0].numpy(), image, atol=2e-4)
    np.testing.assert_array_equal(got.masks[0].numpy(), mask)


def test_without_changes_a_copy_is_the_crop():
    images, masks, mean = random_images()
    got = augment(images, masks, mean, draws((3, 5)), CROP)
    window = np.s_[3 : 3 + CROP, 5 : 5 + CROP]
    np.testing.assert_allclose(got.images[0, 0], (images[0] / 255 - mean)[window], atol=1e-5)
    assert torch.equal(got.masks[0], masks[0][window])


@pytest.mark.parametrize(
    ("angle", "flip", "turned"),
    [
        (math.pi / 2, 1, lambda image: np.rot90(image, 1)),  # counterclockwise
        (-math.pi / 2, 1, lambda image: np.rot90(image, -1)),
        (0, -1, np.fliplr),
        (math.pi, 1, lambda image: np.rot90(image, 2)),
    ],
)
def test_quarter_turns_and_flips_are_those_of_the_picture(angle, flip, turned):
    images, masks, mean = random_images()
    got = augment(images, masks, mean, draws((4, 4), angle, flip), CROP)
    window = np.s_[4 : 4 + CROP, 4 : 4 + CROP]
    np.testing.assert_allclose(got.images[0, 0], turned((images[0] / 255 - mean)[window].numpy()), atol=1e-4)
    np.testing.assert_array_equal(got.masks[0], turned(masks[0][window].numpy()))


def test_image_and_mask_move_together():
    generator = torch.Generator().manual_seed(1)
    masks = (torch.rand(64, 1, 5, 5, generator=generator) > 0.5).float()
    masks = torch.nn.functional.interpolate(masks, SIZE).byte().squeeze(1)
    images = masks * 255
    recipe = AugmentationRecipe(crop=CROP, brightness=0)
    got = augment(images, masks, torch.zeros(SIZE, SIZE), drawn(64, SIZE, recipe, generator), CROP)
    grey = got.images[:, 0]
    flat = (grey < 1e-4) | (grey > 1 - 1e-4)  # elsewhere it is interpolated between two values
    assert flat.float().mean() > 0.5
    assert torch.equal(grey[flat].round().byte(), got.masks[flat])


def test_outside_the_image_is_the_mean_and_background():
    images = torch.full((1, SIZE, SIZE), 200, dtype=torch.uint8)
    masks = torch.full((1, SIZE, SIZE), 2, dtype=torch.uint8)
    # The square stands on its corner in the image's top left: two of its corners look out of the image.
    got = augment(images, masks, torch.full((SIZE, SIZE), 0.3), draws((0, 0), math.pi / 4), CROP)
    for row, column, outside in ((0, 0, True), (-1, 0, True), (0, -1, False), (-1, -1, False)):
        assert (got.images[0, 0, row, column] == 0) == outside
        assert got.masks[0, row, column] == (0 if outside else 2)


def test_a_mask_that_knows_nothing_stays_so_outside_too():
    images, _, mean = random_images(2)
    masks = torch.full((2, SIZE, SIZE), 255, dtype=torch.uint8)
    masks[1, 0, 0] = 1
    got = augment(images, masks, mean, draws((0, 0), math.pi / 4, n=2), CROP)
    assert (got.masks[0] == 255).all()
    assert set(got.masks[1].unique().tolist()) <= {0, 1, 255}
    assert (got.masks[1] == 0).any()


def test_without_masks_everything_is_unlabelled():
    images, _, mean = random_images(2)
    assert (augment(images, None, mean, draws(n=2), CROP).masks == 255).all()


def test_brightness_acts_on_the_grey_value_and_stops_at_white():
    images = torch.tensor([100, 250], dtype=torch.uint8).view(2, 1, 1).expand(2, SIZE, SIZE)
    got = augment(images, None, torch.full((SIZE, SIZE), 0.25), draws(brightness=1.2, n=2), CROP)
    torch.testing.assert_close(got.images[0], torch.full((1, CROP, CROP), 100 / 255 * 1.2 - 0.25))
    torch.testing.assert_close(got.images[1], torch.full((1, CROP, CROP), 0.75))


def test_all_frames_of_a_patient_move_alike():
    images, _, mean = random_images(6)
    recipe = AugmentationRecipe(crop=CROP)
    numbers = drawn(2, SIZE, recipe, torch.Generator().manual_seed(3))
    got = augment(images.view(2, 3, SIZE, SIZE), None, mean, numbers, CROP).images
    assert got.shape == (2, 1, 3, CROP, CROP)
    for frame in range(3):
        single = augment(images.view(2, 3, SIZE, SIZE)[:, frame], None, mean, numbers, CROP).images
        torch.testing.assert_close(got[:, :, frame], single)


@pytest.mark.parametrize("width", [16, 21])
def test_lungs_are_unpacked_as_they_were_packed(width):
    lungs = np.random.default_rng(0).integers(0, 2, (3, 5, width), dtype=np.uint8)
    unpacked = unpack(torch.from_numpy(pack(lungs)), width)
    assert unpacked.dtype == torch.uint8 and np.array_equal(unpacked, lungs)


def test_draws_lie_where_the_recipe_says():
    recipe = AugmentationRecipe(crop=CROP, rotation_degrees=30, flip=0.25, brightness=0.1, scale=(0.9, 1.3))
    numbers = drawn(20_000, SIZE, recipe, torch.Generator().manual_seed(0))
    for axis in (0, 1):
        values, counts = numbers.offset[:, axis].unique(return_counts=True)
        assert values.tolist() == list(range(SIZE - CROP + 1))  # both ends are possible, and all equally
        assert counts.min() > 0.8 * counts.max()
    for values, low, high in (
        (numbers.angle, -math.radians(30), math.radians(30)),
        (numbers.brightness, 0.9, 1.1),
        (numbers.zoom, 0.9, 1.3),
    ):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.02 * (high - low)
    assert set(numbers.flip.tolist()) == {-1, 1}
    assert abs((numbers.flip < 0).float().mean() - 0.25) < 0.015


def test_each_copy_is_drawn_by_itself():
    numbers = drawn(1000, SIZE, AugmentationRecipe(crop=CROP), torch.Generator().manual_seed(0))
    columns = torch.cat([numbers.offset, torch.stack([numbers.angle, numbers.flip, numbers.brightness], 1)], 1)
    assert torch.corrcoef(columns.T).fill_diagonal_(0).abs().max() < 0.1
    assert numbers.angle.unique().numel() > 990


def test_switching_one_change_off_leaves_the_others_as_they_were():
    with_all = drawn(50, SIZE, AugmentationRecipe(crop=CROP), torch.Generator().manual_seed(0))
    without = drawn(50, SIZE, AugmentationRecipe(crop=CROP, rotation_degrees=0), torch.Generator().manual_seed(0))
    assert (without.angle == 0).all()
    assert torch.equal(with_all.offset, without.offset)
    assert torch.equal(with_all.flip, without.flip)
    assert torch.equal(with_all.brightness, without.brightness)


def test_a_crop_as_large_as_the_image_has_one_place():
    numbers = drawn(100, SIZE, AugmentationRecipe(crop=SIZE), torch.Generator().manual_seed(0))
    assert (numbers.offset == 0).all()
