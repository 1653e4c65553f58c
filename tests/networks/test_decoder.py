"""The decoder and the heads: sizes and parameters as docs/methods.md#triple-net states them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from triplenet import networks
from triplenet.networks.decoder import Decoder, Level
from triplenet.networks.double import Double
from triplenet.networks.heads import Head, l2_normalise, pool

CHANNELS = (64, 64, 128, 256, 512)
SIZES = (112, 56, 28, 14, 7)


def _maps(batch: int = 1) -> tuple[Tensor, ...]:
    return tuple(torch.rand(batch, width, size, size) for width, size in zip(CHANNELS, SIZES, strict=True))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_levels_double_the_size_and_take_the_encoders_maps_beside_them() -> None:
    decoder = Decoder(CHANNELS)
    shapes = []
    for level in decoder.levels:
        level.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
    assert decoder(_maps(), (224, 224)).shape == (1, 3, 224, 224)
    assert shapes == [(512, 14, 14), (256, 28, 28), (128, 56, 56), (128, 112, 112), (64, 224, 224)]
    assert _count(decoder) == 918_851


def test_a_level_keeps_its_first_cell_in_place_where_a_size_is_odd() -> None:
    """An encoder's cell i looks at i strides from the first pixel, so what is missing is missing at the end."""
    level = Level(4, 3, 0, fuse=False).eval()
    x = torch.rand(1, 4, 5, 6)
    with torch.no_grad():
        whole, larger, smaller = (level(x, None, size) for size in ((10, 12), (11, 13), (9, 11)))
    assert torch.equal(larger[:, :, :10, :12], whole) and not larger[:, :, 10].any() and not larger[..., 12].any()
    assert torch.equal(smaller, whole[:, :, :9, :11])


def test_without_skips_only_the_deepest_map_decides() -> None:
    decoder = Decoder(CHANNELS, outside=1, skips=False).eval()
    maps = _maps()
    others = (*(torch.rand_like(map_) for map_ in maps[:4]), maps[4])
    with torch.no_grad():
        assert torch.equal(decoder(maps, (224, 224)), decoder(others, (224, 224)))


def test_with_skips_every_map_takes_part() -> None:
    decoder, maps = Decoder(CHANNELS).eval(), _maps()
    with torch.no_grad():
        before = decoder(maps, (224, 224))
        for number in range(5):
            changed = [torch.zeros_like(map_) if n == number else map_ for n, map_ in enumerate(maps)]
            assert not torch.equal(decoder(tuple(changed), (224, 224)), before)


def test_a_fusing_convolution_can_follow_each_concatenation() -> None:
    plain, fused = networks.build("triple"), networks.build("triple", fuse=True)
    # 1x1 convolutions 2w -> w and a batch norm at four levels, against deconvolutions that read 2w channels.
    added = sum((w + s) * w + 2 * w for w, s in ((256, 256), (128, 128), (64, 64), (64, 64)))
    spared = 4 * sum(
        (inside - w) * out for inside, w, out in ((512, 256, 128), (256, 128, 64), (128, 64, 64), (128, 64, 64))
    )
    assert _count(fused) - _count(plain) == added - spared
    assert fused.eval()(torch.rand(1, 1, 64, 64)).segmentation.shape == (1, 3, 64, 64)


def test_a_head_is_two_point_wise_convolutions() -> None:
    head = Head(8, 5, 3)
    x = torch.rand(2, 8, 4, 6, dtype=torch.float64)
    head.double()
    hidden = nn.functional.conv2d(x, head.hidden.weight[:, :, None, None], head.hidden.bias).relu()
    wanted = nn.functional.conv2d(hidden, head.out.weight[:, :, None, None], head.out.bias)
    torch.testing.assert_close(head(x), wanted)


def test_the_heads_of_double_net_have_the_parameters_of_their_layers() -> None:
    # 512 -> 512 -> 2 and 512 -> 512 -> 256 with biases: docs/methods.md#double-net
    assert 2 * (512 * 512 + 512) + 512 * 2 + 2 + 512 * 256 + 256 == 657_666
    network = networks.build("double")
    assert isinstance(network, Double)
    assert _count(network.class_head) + _count(network.contrast_head) == 657_666


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_embeddings_have_length_one_in_float32(dtype: torch.dtype) -> None:
    vectors = l2_normalise(torch.randn(4, 256, generator=torch.Generator().manual_seed(0)).to(dtype))
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    assert l2_normalise(torch.zeros(1, 3)).isfinite().all()


def test_pooling_is_over_everything_but_channels() -> None:
    maps = torch.arange(24.0).view(1, 2, 3, 2, 2)
    assert pool(maps).tolist() == [[5.5, 17.5]]
    assert pool(maps, "max").tolist() == [[11, 23]]
