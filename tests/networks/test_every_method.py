"""What holds for every method: a new one is tested by being in the catalog."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from toy_networks import SIZE, blobs, fresh, frozen, noise, phantoms
from triplenet import catalog, losses, networks
from triplenet.errors import BadInput, BadRecipe, UnknownName
from triplenet.losses.targets import Targets
from triplenet.networks.base import Outputs
from triplenet.networks.outline import outline

# The same network with cheaper defaults, where they are dear on a processor.
SMALLER: dict[str, dict[str, object]] = {"decovnet": {"grids": ((3, 8, 8), (2, 4, 4), (1, 2, 2))}}

every_method = pytest.mark.parametrize("name", catalog.METHODS)
of_no_class = pytest.mark.parametrize(
    "name", [name for name, method in catalog.PAPERS_METHODS.items() if method.explanation in ("attention", "abn-map")]
)


@every_method
def test_gives_what_its_objective_needs_with_the_shapes_of_the_contract(name: str) -> None:
    images = noise(name, batch=3)
    with torch.no_grad():
        outputs = frozen(name)(images)
    terms = catalog.METHODS[name].terms
    assert outputs.logits.shape == (3, 2)
    assert (outputs.embedding is not None) == ("contrastive" in terms)
    assert (outputs.segmentation is not None) == ("segmentation" in terms)
    assert (outputs.reconstruction is not None) == ("reconstruction" in terms)
    _check_shapes(outputs, 3, (SIZE, SIZE))
    assert all(part.isfinite().all() for part in outputs.tensors().values())


@every_method
def test_its_outline_has_its_tensors_and_draws_nothing(name: str) -> None:
    options = SMALLER.get(name, {})
    before = torch.get_rng_state()
    drawn = outline(name, classes=3, **options).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    built = networks.build(name, classes=3, **options).state_dict()
    assert {key: value.shape for key, value in drawn.items()} == {key: value.shape for key, value in built.items()}
    assert all(value.is_meta for value in drawn.values())


@every_method
def test_has_as_many_classes_as_asked_for(name: str) -> None:
    with torch.no_grad():
        outputs = fresh(name, classes=4).eval()(noise(name))
    assert outputs.logits.shape == (2, 4)
    assert all(branch.shape == (2, 4) for branch in outputs.branch_logits)


@every_method
def test_has_the_parameters_that_the_catalog_says(name: str) -> None:
    with torch.device("meta"):
        network = networks.build(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == catalog.METHODS[name].parameters


@every_method
def test_reads_images_of_odd_sizes(name: str) -> None:
    size = (67, 45)
    images = noise(name, size=size)
    with torch.no_grad():
        _check_shapes(frozen(name)(images), 2, size)
    assert frozen(name).explain(images).shape == images.squeeze(1).shape


@every_method
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = fresh(name, **SMALLER.get(name, {}))
    for parameter in network.parameters():  # a batch norm that starts at zero would stop the gradient behind it
        if parameter.ndim == 1:
            nn.init.uniform_(parameter.data, 0.1, 1)
    images, targets = _views(name, *blobs(name, batch=4))
    losses.objective(name)(network(images), targets, 0.5)["total"].backward()
    gradients = {key: parameter.grad for key, parameter in network.named_parameters()}
    assert [key for key, gradient in gradients.items() if gradient is None or not gradient.any()] == []
    assert all(gradient.isfinite().all() for gradient in gradients.values() if gradient is not None)


@every_method
def test_fits_eight_phantom_patients(name: str) -> None:
    images, targets = phantoms(name)
    network = fresh(name, **SMALLER.get(name, {}))
    objective = losses.objective(name)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    views, view_targets = _views(name, images, targets)
    totals = []
    for step in range(12):
        terms = objective(network(views), view_targets, step / 12)
        optimiser.zero_grad()
        terms["total"].backward()
        optimiser.step()
        totals.append(objective(network(views), view_targets, 0.5)["total"].item() if step in (0, 11) else 0)
    for module in network.modules():  # twelve steps are too few for the running averages to arrive
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        network(views)
        outputs = network.eval()(images)
    assert torch.equal(outputs.logits.argmax(1), targets.labels)
    assert totals[-1] < totals[0]


@every_method
def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    network, images = frozen(name), noise(name, batch=4)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        together, shuffled, alone = network(images), network(images[order]), network(images[:1])
    for key, part in together.tensors().items():
        torch.testing.assert_close(shuffled.tensors()[key], part[order], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.tensors()[key], part[:1], rtol=1e-4, atol=1e-5)


@every_method
def test_the_same_weights_from_a_file_give_the_same_bits(name: str) -> None:
    images = noise(name)
    restored = fresh(name, seed=1).eval()
    restored.load_state_dict(load(save(dict(frozen(name).state_dict()))))
    with torch.no_grad():
        before, after = frozen(name)(images).tensors(), restored(images).tensors()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(frozen(name).explain(images), restored.explain(images))


@every_method
def test_one_pass_gives_outputs_and_heat_map(name: str) -> None:
    """The encoder is run once, and what it gives serves both."""
    network, images = frozen(name), noise(name)
    runs: list[object] = []
    first = next(module for module in network.encoder.modules() if isinstance(module, (nn.Conv2d, nn.Conv3d)))
    hook = first.register_forward_hook(lambda *_: runs.append(1))
    outputs, heat = network.predict_and_explain(images)
    hook.remove()
    assert len(runs) == 1
    assert torch.equal(heat, network.explain(images))
    with torch.no_grad():
        forward = network(images).tensors()
    assert all(torch.equal(forward[key], part) for key, part in outputs.tensors().items())


@pytest.mark.parametrize(
    ("name", "former", "now"),
    [
        ("decovnet", "trunk.", "encoder."),
        ("abn", "attention.trunk.", "attention.encoder_end."),
    ],
)
def test_files_of_earlier_names_are_read(name: str, former: str, now: str) -> None:
    state = dict(frozen(name).state_dict())
    old = {former + key.removeprefix(now) if key.startswith(now) else key: value for key, value in state.items()}
    assert old.keys() != state.keys()
    network = fresh(name, seed=1)
    network.load_state_dict(old)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@every_method
def test_the_explanation_covers_the_image_on_a_scale_from_0_to_1(name: str) -> None:
    images = noise(name, batch=3)
    network = fresh(name).eval()
    heat = network.explain(images)
    with torch.inference_mode():
        assert torch.equal(network.explain(images), heat)
    assert heat.shape == images.squeeze(1).shape
    assert heat.dtype == torch.float32 and not heat.requires_grad
    assert heat.min() >= 0 and heat.max() <= 1


@every_method
def test_explains_the_predicted_class_unless_told_another(name: str) -> None:
    network, images = frozen(name), noise(name)
    with torch.no_grad():
        predicted = network(images).logits.argmax(1)
    heat = network.explain(images)
    assert torch.equal(network.explain(images, predicted), heat)
    depends = catalog.METHODS[name].explanation in ("grad-cam", "cam")
    assert torch.equal(network.explain(images, 1 - predicted), heat) != depends


@every_method
def test_some_map_depends_on_the_class_and_only_where_the_first_does_not_is_there_a_second(name: str) -> None:
    first = catalog.METHODS[name].explanation in ("grad-cam", "cam")
    assert (frozen(name).answer(noise(name)).class_heat is None) == first


@of_no_class
def test_the_evidence_for_a_class_covers_the_image_on_a_scale_from_0_to_1(name: str) -> None:
    images = noise(name, batch=3)
    heat = class_heat(name, images)
    with torch.inference_mode():
        assert torch.equal(class_heat(name, images), heat)
    assert heat.shape == images.squeeze(1).shape
    assert heat.dtype == torch.float32 and not heat.requires_grad
    assert heat.min() >= 0 and heat.max() <= 1 and heat.any()


@of_no_class
def test_the_evidence_is_for_the_predicted_class_unless_told_another(name: str) -> None:
    images = noise(name, batch=3)
    with torch.no_grad():
        predicted = frozen(name)(images).logits.argmax(1)
    heat = class_heat(name, images)
    assert torch.equal(class_heat(name, images, predicted), heat)
    other = class_heat(name, images, 1 - predicted)
    assert not torch.equal(other, heat)
    mixed = class_heat(name, images, torch.cat([predicted[:1], 1 - predicted[1:]]))
    torch.testing.assert_close(mixed, torch.cat([heat[:1], other[1:]]))  # each row has its own


@of_no_class
def test_the_evidence_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    images = noise(name, batch=4)
    images[3, ..., 5, 7] = torch.nan
    heat = class_heat(name, images)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(class_heat(name, images[order]), heat[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(class_heat(name, images[:1]), heat[:1], rtol=1e-4, atol=1e-5)
    assert heat[:3].isfinite().all() and heat[3].isnan().any()


@of_no_class
def test_both_maps_come_from_the_pass_that_predicts(name: str) -> None:
    """Neither encoder nor decoder nor a head is run again for the evidence."""
    network, images = frozen(name), noise(name)
    runs: dict[str, int] = {}
    hooks = [
        module.register_forward_hook(lambda *_, key=key: runs.update({key: runs.get(key, 0) + 1}))
        for key, module in network.named_modules()
        if not any(module.children())
    ]
    with torch.no_grad():
        network(images)
    once = dict(runs)
    network.answer(images)
    for hook in hooks:
        hook.remove()
    assert runs == {key: 2 * count for key, count in once.items()}


@every_method
def test_an_image_without_content_is_handled(name: str) -> None:
    network, images = frozen(name), torch.zeros_like(noise(name))
    with torch.no_grad():
        outputs = network(images)
    answer = network.answer(images)
    assert all(part.isfinite().all() for part in outputs.tensors().values())
    for heat in (answer.heat, answer.heat if answer.class_heat is None else answer.class_heat):
        assert heat.isfinite().all() and heat.min() >= 0 and heat.max() <= 1


@every_method
def test_an_image_with_nan_spoils_its_own_outputs_and_no_other(name: str) -> None:
    network, images = frozen(name), noise(name, batch=2)
    spoiled = images.clone()
    spoiled[0, ..., 5, 7] = torch.nan
    with torch.no_grad():
        good, bad = network(images).logits, network(spoiled).logits
    assert bad[0].isnan().all()
    torch.testing.assert_close(bad[1], good[1], rtol=1e-4, atol=1e-5)
    assert network.explain(spoiled)[0].isnan().any()
    torch.testing.assert_close(network.explain(spoiled)[1], network.explain(images)[1], rtol=1e-4, atol=1e-5)


@every_method
def test_features_are_one_vector_a_patient(name: str) -> None:
    with torch.no_grad():
        features = frozen(name).features(noise(name, batch=3))
    assert features.ndim == 2 and len(features) == 3 and features.isfinite().all()


@every_method
def test_refuses_images_of_another_shape(name: str) -> None:
    network, images = frozen(name), noise(name)
    flat = (images[..., :20], images[..., :20, :], images[..., :20, :20])
    for wrong in (images.squeeze(1), images.repeat_interleave(3, dim=1), images.unsqueeze(0), *flat):
        with pytest.raises(BadInput):
            network(wrong)
        with pytest.raises(BadInput):
            network.explain(wrong)


@every_method
def test_refuses_options_that_it_does_not_have(name: str) -> None:
    with pytest.raises(BadRecipe, match=r"network\.colour"):
        networks.build(name, colour="red")


def test_an_unknown_method_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="did you mean 'triple'"):
        networks.build("tripel")


def test_one_class_is_not_a_classification() -> None:
    with pytest.raises(BadInput):
        networks.build("baseline", classes=1)


def _views(name: str, images: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
    if catalog.METHODS[name].views == 1:
        return images, targets
    assert targets.masks is not None
    both = torch.cat([images, images.flip(-1)])
    return both, Targets(targets.labels.repeat(2), torch.cat([targets.masks, targets.masks.flip(-1)]), both)


def class_heat(name: str, images: Tensor, target: Tensor | None = None) -> Tensor:
    found = frozen(name).answer(images, target).class_heat
    assert found is not None
    return found


def _check_shapes(outputs: Outputs, batch: int, size: tuple[int, int]) -> None:
    if outputs.embedding is not None:
        assert outputs.embedding.shape == (batch, 256)
        torch.testing.assert_close(outputs.embedding.norm(dim=1), torch.ones(batch))
    if outputs.segmentation is not None:
        assert outputs.segmentation.shape == (batch, 3, *size)
    if outputs.reconstruction is not None:
        assert outputs.reconstruction.shape == (batch, 1, *size)
    if outputs.attention is not None:
        assert outputs.attention.shape == (batch, *size)
        assert outputs.attention.min() >= 0 and outputs.attention.max() <= 1
