"""What makes each method itself, beside what holds for all of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from toy_networks import FRAMES, blobs, fresh, frozen, noise
from triplenet import losses, networks
from triplenet.errors import BadInput
from triplenet.networks.abn import Abn
from triplenet.networks.attention import attend
from triplenet.networks.covnet import CovNet
from triplenet.networks.decovnet import DeCovNet, GridMaxPool
from triplenet.networks.gradcam import grad_cam
from triplenet.networks.heat import (
    PATCH,
    log_odds,
    patch_evidence,
    score_map_evidence,
    share_of_odds,
    upsample_to_image,
)
from triplenet.networks.mtdl import Mtdl
from triplenet.networks.resnet3d import ResNet3d
from triplenet.networks.triple import Triple
from triplenet.networks.wsdl import Wsdl


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", ["baseline", "double", "triple", "mtdl"])
def test_features_are_the_mean_of_the_encoders_last_map(name: str) -> None:
    """Fig. 4 shows them: 512 numbers a patient, before any head and, in Triple Net, before the attention."""
    network, images = frozen(name), noise(name)
    with torch.no_grad():
        wanted = network.get_submodule("encoder")(images)[4].mean((2, 3))
        torch.testing.assert_close(network.features(images), wanted)
    assert wanted.shape == (2, 512)


# --- Triple Net -----------------------------------------------------------------------------------


def test_triple_nets_attention_is_the_infections_probability() -> None:
    images = noise("triple")
    with torch.no_grad():
        outputs = frozen("triple")(images)
    assert outputs.segmentation is not None and outputs.attention is not None
    shares = outputs.segmentation.exp()
    torch.testing.assert_close(outputs.attention, shares[:, 2] / shares.sum(1))
    assert torch.equal(frozen("triple").explain(images), outputs.attention)


def test_both_of_triple_nets_heads_read_the_attended_features() -> None:
    network, images = frozen("triple"), noise("triple")
    assert isinstance(network, Triple)
    with torch.no_grad():
        outputs = network(images)
        deep = network.encoder(images)[4]
        assert outputs.attention is not None
        blocks = outputs.attention.view(2, 2, 32, 2, 32).mean((2, 4))  # a cell's 32 x 32 pixels
        attended = deep * (1 + blocks[:, None])
        torch.testing.assert_close(outputs.logits, network.class_head(attended).mean((2, 3)))
        vectors = network.contrast_head(attended).mean((2, 3))
    torch.testing.assert_close(outputs.embedding, vectors / vectors.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("name", ["triple", "triple-wsdl"])
@pytest.mark.parametrize("detach", [False, True])
def test_the_class_teaches_the_decoder_unless_the_attention_is_detached(name: str, detach: bool) -> None:
    network = fresh(name, detach_attention=detach)
    network(noise(name)).logits.sum().backward()
    reached = [parameter.grad is not None for parameter in network.get_submodule("decoder").parameters()]
    assert not any(reached) if detach else all(reached)


def test_the_attention_can_be_resized_as_literally_read() -> None:
    area, bilinear = fresh("triple").eval(), fresh("triple", attention_resize="bilinear").eval()
    images = noise("triple")
    with torch.no_grad():
        assert not torch.equal(area(images).logits, bilinear(images).logits)
        assert torch.equal(area(images).attention, bilinear(images).attention)


@pytest.mark.parametrize("name", ["triple", "triple-wsdl"])
def test_without_attention_the_heads_read_the_encoders_features(name: str) -> None:
    usual, without, images = fresh(name).eval(), fresh(name, attention="none").eval(), noise(name)
    without.load_state_dict(usual.state_dict())
    with torch.no_grad():
        maps, outputs = without.encoder(images), without(images)
        scores = [head(maps[tap]).mean((2, 3)) for tap, head in without.class_heads_by_map()]
        torch.testing.assert_close(outputs.logits, torch.stack(scores).sum(0))
        assert not torch.allclose(outputs.logits, usual(images).logits)
        assert torch.equal(outputs.attention, usual(images).attention)
    without.train()(images).logits.sum().backward()
    assert all(parameter.grad is None for parameter in without.get_submodule("decoder").parameters())


@pytest.mark.parametrize("name", ["triple", "triple-wsdl"])
def test_the_true_infection_can_weigh_the_features(name: str) -> None:
    """Of cells whose pixels are all infected they double, elsewhere they stay; the decoder is trained as ever."""
    usual, true, images = fresh(name).eval(), fresh(name, attention="true-mask").eval(), noise(name)
    true.load_state_dict(usual.state_dict())
    mask = torch.zeros_like(images)
    mask[0, :, :32] = 1  # the upper half of the first image
    with torch.no_grad():
        maps, outputs = true.encoder(images), true(torch.cat([images, mask], 1))
        weights = [1 + mask.unflatten(3, (maps[tap].shape[3], -1)).unflatten(2, (maps[tap].shape[2], -1)).mean((3, 5))
                   for tap, _ in true.class_heads_by_map()]  # fmt: skip
        scores = [
            head(maps[tap] * weight).mean((2, 3))
            for (tap, head), weight in zip(true.class_heads_by_map(), weights, strict=True)
        ]
        torch.testing.assert_close(outputs.logits, torch.stack(scores).sum(0))
        assert torch.equal(outputs.attention, usual(images).attention)
        unlit = true(torch.cat([images, 0 * mask], 1)).logits
        assert torch.equal(unlit[1:], outputs.logits[1:]) and not torch.allclose(unlit[0], outputs.logits[0])
    with pytest.raises(BadInput, match="not \\(B, 2, H, W\\)"):
        true(images)


def test_triple_wsdl_weighs_every_map_that_it_classifies() -> None:
    network, images = frozen("triple-wsdl"), noise("triple-wsdl")
    with torch.no_grad():
        outputs = network(images)
        maps = network.encoder(images)
        assert outputs.attention is not None
        attended = [attend(maps[tap], outputs.attention, "area") for tap in (2, 3, 4)]
        scores = [head(x).mean((2, 3)) for head, x in zip(network.class_heads, attended, strict=True)]
        vectors = [head(x).mean((2, 3)) for head, x in zip(network.contrast_heads, attended, strict=True)]
    torch.testing.assert_close(outputs.logits, scores[0] + scores[1] + scores[2])
    embedding = vectors[0] + vectors[1] + vectors[2]
    torch.testing.assert_close(outputs.embedding, embedding / embedding.norm(dim=1, keepdim=True))


def test_triple_wsdl_can_pool_by_the_maximum() -> None:
    average, largest = fresh("triple-wsdl").eval(), fresh("triple-wsdl", pooling="max").eval()
    images = noise("triple-wsdl")
    with torch.no_grad():
        assert (largest(images).logits > average(images).logits).all()


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("name", ["triple", "triple-wsdl"])
def test_the_evidence_for_a_class_adds_up_to_its_odds(name: str, pooling: str) -> None:
    """Of the image, against those of an image without features, whose heads still have their biases."""
    if name == "triple" and pooling == "max":
        return
    options = {} if name == "triple" else {"pooling": pooling}
    network, images = fresh(name, **options).eval(), noise(name)
    assert isinstance(network, Triple)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if "class_head" in key and key.endswith("bias"):
                parameter.uniform_(-1, 1)
        outputs = network(images)
        heads = [head for _, head in network.class_heads_by_map()]
        empty = sum(head(torch.zeros(1, head.hidden.in_features, 1, 1)).flatten(1) for head in heads)
        found = torch.zeros(2)
        for head, scores in zip(heads, outputs.score_maps, strict=True):
            cells = score_map_evidence(scores - head.of_nothing(), outputs.logits, torch.tensor([1, 1]), pooling)
            found += cells.mean((1, 2)) / PATCH if pooling == "avg" else cells.amax((1, 2))
    torch.testing.assert_close(found, (log_odds(outputs.logits) - log_odds(empty))[:, 1])


@pytest.mark.parametrize("name", ["triple", "triple-wsdl"])
def test_the_evidence_of_a_place_is_that_of_all_the_maps_that_are_classified(name: str) -> None:
    network, images = frozen(name), noise(name)
    assert isinstance(network, Triple)
    target = torch.tensor([1, 0])
    with torch.no_grad():
        outputs = network(images)
        evidence = torch.zeros(2, 64, 64)
        for (tap, head), scores in zip(network.class_heads_by_map(), outputs.score_maps, strict=True):
            one = score_map_evidence(scores - head.of_nothing(), outputs.logits, target)
            evidence += upsample_to_image(one, (64, 64), [2 ** (tap + 1)] * 2, [network.encoder.first[tap]] * 2)
    assert len(outputs.score_maps) == (1 if name == "triple" else 3)
    found = network.answer(images, target).class_heat
    torch.testing.assert_close(found, share_of_odds(evidence))


@pytest.mark.parametrize("name", ["triple", "triple-wsdl", "abn"])
def test_what_every_image_has_is_no_evidence_for_a_class(name: str) -> None:
    network, images = fresh(name).eval(), noise(name)
    network.requires_grad_(False)
    target = torch.tensor([0, 1])
    before = network.answer(images, target).class_heat
    assert before is not None and before.any()
    if isinstance(network, Abn):
        network.fc.bias += torch.tensor([0.5, -0.25])
    else:
        assert isinstance(network, Triple)
        for _, head in network.class_heads_by_map():
            head.out.bias += torch.tensor([0.5, -0.25])
    torch.testing.assert_close(network.answer(images, target).class_heat, before)


@pytest.mark.parametrize("name", ["triple", "triple-wsdl"])
def test_a_training_carries_no_score_maps(name: str) -> None:
    network, images = fresh(name), noise(name)
    assert network(images).score_maps == () and network.answer(images).class_heat is None


# --- WSDL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_wsdl_adds_the_pooled_scores_of_three_layers(pooling: str) -> None:
    network, images = fresh("wsdl", pooling=pooling).eval(), noise("wsdl")
    assert isinstance(network, Wsdl)
    with torch.no_grad():
        maps = network.encoder(images)
        wanted = torch.zeros(2, 2)
        for scores, map_ in zip(network.scores, maps[2:], strict=True):
            both = scores(map_)
            wanted += both.amax((2, 3)) if pooling == "max" else both.mean((2, 3))
        torch.testing.assert_close(network(images).logits, wanted)


def test_wsdls_side_losses_are_off_unless_asked_for() -> None:
    images, targets = blobs("wsdl", batch=4)
    objective = losses.objective("wsdl")
    assert fresh("wsdl")(images).branch_logits == ()
    assert objective(fresh("wsdl")(images), targets, 0.0)["branch"] == 0
    outputs = fresh("wsdl", side_losses=True)(images)
    assert len(outputs.branch_logits) == 3
    torch.testing.assert_close(sum(outputs.branch_logits), outputs.logits)
    assert objective(outputs, targets, 0.0)["branch"] > 0


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_wsdls_cam_reads_the_odds_off_the_score_maps(pooling: str) -> None:
    """At the cells that the maximum takes, the evidence of the three maps is the log-odds less the bias."""
    network, images = fresh("wsdl", pooling=pooling).eval(), noise("wsdl", batch=1)
    assert isinstance(network, Wsdl)
    with torch.no_grad():
        logits = network(images).logits[0]
        bias = sum(scores.bias for scores in network.scores)
        evidence = []
        for scores, map_ in zip(network.scores, network.encoder(images)[2:], strict=True):
            both = nn.functional.conv2d(map_, scores.weight)
            cells = score_map_evidence(both, logits[None], torch.tensor([1]), pooling)[0]
            evidence.append(cells.max() if pooling == "max" else cells.mean() * 16)
    torch.testing.assert_close(sum(evidence), (logits[1] - bias[1]) - (logits[0] - bias[0]))


def test_wsdls_joint_map_needs_both_layers() -> None:
    mean, joint = fresh("wsdl").eval(), fresh("wsdl", cam="joint").eval()
    images = noise("wsdl")
    heat = joint.explain(images)
    assert heat.shape == (2, 64, 64) and not torch.equal(heat, mean.explain(images))
    with torch.no_grad():
        assert isinstance(joint, Wsdl)
        joint.scores[2].weight.zero_()
    assert not joint.explain(images).any()


def test_wsdls_joint_map_is_the_product_of_those_of_stride_16_and_32() -> None:
    joint, images = fresh("wsdl", cam="joint", pooling="avg").eval(), noise("wsdl")
    assert isinstance(joint, Wsdl)
    target = torch.tensor([1, 1])
    heat = joint.explain(images, target)
    assert heat.any()
    dark = []
    for number in range(3):
        weight = joint.scores[number].weight.detach()
        with torch.no_grad():
            kept = weight.clone()
            weight.zero_()
            without = joint.explain(images, target)
            weight.copy_(kept)
        dark.append(not without.any())
        assert number > 0 or torch.equal(without, heat)  # that of stride 8 has no part in it
    assert dark == [False, True, True]


@pytest.mark.parametrize("cam", ["mean", "joint"])
def test_what_every_image_has_is_no_evidence_from_this_one(cam: str) -> None:
    network, images = fresh("wsdl", cam=cam, pooling="avg").eval(), noise("wsdl")
    assert isinstance(network, Wsdl)
    target = torch.tensor([0, 1])
    before = network.explain(images, target)
    with torch.no_grad():
        for scores in network.scores:
            scores.bias += torch.tensor([0.5, -0.25])
    torch.testing.assert_close(network.explain(images, target), before)


# --- ABN ------------------------------------------------------------------------------------------


def test_abns_map_has_the_size_of_the_fourth_map_and_weighs_it() -> None:
    network = frozen("abn")
    assert isinstance(network, Abn)
    with torch.no_grad():
        shared = network.encoder.shallow(torch.rand(1, 1, 224, 224))[3]
        branch, attention = network.attention(shared)
    assert shared.shape == (1, 256, 14, 14) and attention.shape == (1, 1, 14, 14) and branch.shape == (1, 2)
    images = noise("abn")
    with torch.no_grad():
        shared = network.encoder.shallow(images)[3]
        _, attention = network.attention(shared)
        wanted = network.fc(network.encoder.deep(shared + shared * attention).mean((2, 3)))
        torch.testing.assert_close(network(images).logits, wanted)


def test_abns_evidence_for_a_class_is_grad_cam_of_the_branch_that_decides() -> None:
    network, images = frozen("abn"), noise("abn")
    assert isinstance(network, Abn)
    target = torch.tensor([1, 0])
    with torch.no_grad():
        deep = network.encode(images)[3]
    coarse = patch_evidence(grad_cam(deep, lambda leaf: log_odds(network.fc(leaf.mean((2, 3)))), target))
    drawn = upsample_to_image(coarse, (64, 64), [32, 32], [network.encoder.first[4]] * 2)
    torch.testing.assert_close(network.answer(images, target).class_heat, share_of_odds(drawn))


def test_abns_map_can_be_made_by_a_point_wise_convolution() -> None:
    assert _count(networks.build("abn")) - _count(networks.build("abn", map_kernel=1)) == 2 * 9 - 2


def test_abn_learns_from_both_branches() -> None:
    images, targets = blobs("abn", batch=4)
    outputs = fresh("abn")(images)
    terms = losses.objective("abn")(outputs, targets, 0.0)
    assert len(outputs.branch_logits) == 1
    torch.testing.assert_close(terms["total"], terms["classification"] + terms["branch"])


# --- MTDL -----------------------------------------------------------------------------------------


def test_mtdls_reconstruction_sees_only_the_bottleneck() -> None:
    network = fresh("mtdl")
    assert isinstance(network, Mtdl)
    assert network.segmenter.skips and not network.redrawer.skips
    assert [type(layer) for layer in network.classifier] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert network.classifier[2].p == 0.5
    assert fresh("mtdl", dropout=0.25).get_submodule("classifier.2").p == 0.25


# --- 3D-ResNet18 ----------------------------------------------------------------------------------


def test_the_3d_resnets_shapes_follow_from_its_strides() -> None:
    """docs/methods.md#3d-resnet18"""
    with torch.device("meta"):
        network = networks.build("resnet3d")
        assert isinstance(network, ResNet3d)
        assert _count(network.encoder) == 33_160_000
        x = torch.zeros(1, 1, 64, 112, 112)
        x = network.encoder.conv1(x)
        assert x.shape == (1, 64, 64, 56, 56)
        x = network.encoder.maxpool(x)
        shapes = []
        for number in range(1, 5):
            shapes.append(tuple(x.shape[2:]))
            x = network.encoder.get_submodule(f"layer{number}")(x)
    assert [*shapes, tuple(x.shape[2:])] == [(32, 28, 28), (32, 28, 28), (16, 14, 14), (8, 7, 7), (4, 4, 4)]


def test_shortcut_a_has_no_weights_and_subsamples() -> None:
    plain = networks.build("resnet3d", shortcut="A").eval()
    projections = sum(inside * width + 2 * width for inside, width in ((64, 128), (128, 256), (256, 512)))
    assert _count(networks.build("resnet3d")) - _count(plain) == projections
    assert isinstance(plain, ResNet3d)
    x = torch.rand(1, 64, 4, 6, 6)
    beside = plain.encoder.get_submodule("layer2.0.downsample")(x)
    assert torch.equal(beside[:, :64], nn.functional.avg_pool3d(x, 1, stride=2))
    assert beside.shape[1] == 128 and not beside[:, 64:].any()
    with torch.no_grad():
        assert plain(noise("resnet3d")).logits.isfinite().all()


# --- CovNet ---------------------------------------------------------------------------------------


def test_covnet_takes_each_feature_from_its_strongest_slice() -> None:
    network, images = frozen("covnet"), noise("covnet")
    assert isinstance(network, CovNet)
    with torch.no_grad():
        slices = [network.encoder(images[:, :, frame])[4].mean((2, 3)) for frame in range(FRAMES)]
        torch.testing.assert_close(network(images).logits, network.fc(torch.stack(slices).amax(0)))


def test_covnet_does_not_care_for_the_order_of_slices_nor_for_repeats() -> None:
    network, images = frozen("covnet"), noise("covnet")
    with torch.no_grad():
        wanted = network(images).logits
        torch.testing.assert_close(network(images.flip(2)).logits, wanted)
        torch.testing.assert_close(network(torch.cat([images, images[:, :, :2]], 2)).logits, wanted)


def test_covnet_can_be_shown_the_lungs_alone() -> None:
    network, images = fresh("covnet", lung_mask=True).eval(), noise("covnet")
    assert network.channels == 2
    lungs = torch.zeros_like(images)
    lungs[..., 10:50, 10:50] = 1
    elsewhere = torch.where(lungs > 0, images, 7.0)
    with torch.no_grad():
        a = network(torch.cat([images, lungs], 1)).logits
        b = network(torch.cat([elsewhere, lungs], 1)).logits
    assert torch.equal(a, b)
    assert network.explain(torch.cat([images, lungs], 1)).shape == images[:, 0].shape


# --- DeCovNet -------------------------------------------------------------------------------------


def test_decovnet_with_the_mask_channel_has_its_authors_parameters() -> None:
    network = networks.build("decovnet", lung_mask=True)
    assert isinstance(network, DeCovNet)
    assert network.channels == 2
    assert _count(network) == 346_978
    assert _count(network.encoder) == 41_600
    assert _count(network.head) + _count(network.fc) == 305_378
    images = torch.cat([noise("decovnet"), torch.ones_like(noise("decovnet"))], 1)
    with torch.no_grad():
        assert network.eval()(images).logits.shape == (2, 2)
    assert network.explain(images).shape == images[:, 0].shape


def test_decovnets_shapes_are_its_authors_on_square_frames() -> None:
    """docs/methods.md#decovnet"""
    with torch.device("meta"):
        network = networks.build("decovnet")
        assert isinstance(network, DeCovNet)
        x = network.encoder(torch.zeros(1, 1, 64, 224, 224))
        assert x.shape == (1, 128, 32, 28, 28)
        sizes = []
        for layer in network.head:
            x = layer(x)
            sizes.append(tuple(x.shape[1:]))
    assert (128, 16, 24, 24) in sizes and (64, 4, 12, 12) in sizes and sizes[-1] == (32, 1, 6, 6)


def test_decovnet_takes_the_strongest_voxel_of_its_last_maps() -> None:
    network, images = frozen("decovnet"), noise("decovnet")
    assert isinstance(network, DeCovNet)
    with torch.no_grad():
        strongest = network.head(network.encoder(images)).amax((2, 3, 4))
        torch.testing.assert_close(network(images).logits, network.fc(strongest))
        torch.testing.assert_close(network.features(images), strongest)


def test_decovnet_starts_as_its_shortcuts() -> None:
    network = fresh("decovnet")
    assert isinstance(network, DeCovNet)
    block = network.encoder[4].eval()
    x = torch.rand(1, 16, 3, 8, 8)
    torch.testing.assert_close(block(x), block.shortcut(x).relu())


@pytest.mark.parametrize("grid", [(16, 24, 24), (4, 12, 5), (1, 6, 9), (3, 3, 3)])
@pytest.mark.parametrize("size", [(32, 28, 28), (7, 13, 11), (3, 3, 3)])
def test_grid_max_pooling_is_torchs(grid: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    got, wanted = GridMaxPool(grid)(x), nn.functional.adaptive_max_pool3d(x, grid)
    assert torch.equal(got, wanted)
    weight = torch.rand_like(got)
    (a,) = torch.autograd.grad((got * weight).sum(), x)
    (b,) = torch.autograd.grad((wanted * weight).sum(), x)
    torch.testing.assert_close(a, b)
