"""The objective of each method: its terms, their weights, and that nothing waits for the device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import normalize

from toy_networks import blobs, fresh, noise
from triplenet import catalog, losses
from triplenet.errors import BadInput, UnknownName
from triplenet.losses.classification import cross_entropy
from triplenet.losses.contrastive import contrastive
from triplenet.losses.dice import dice
from triplenet.losses.joint_objective import Objective
from triplenet.losses.loss_options import LossOptions
from triplenet.losses.targets import Targets
from triplenet.networks.base import Outputs

every_method = pytest.mark.parametrize("name", catalog.METHODS)


def _everything() -> tuple[Outputs, Targets]:
    """Outputs with every part, and a cohort with every lack: no finding, no mask, a lung-only mask."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 3, (6, 8, 8), generator=generator).to(torch.uint8)
    masks[1] = 255
    masks[2][masks[2] != 1] = 255
    images = torch.rand(6, 1, 8, 8, generator=generator)
    outputs = Outputs(
        logits=torch.randn(6, 2, generator=generator),
        embedding=normalize(torch.randn(6, 256, generator=generator)),
        segmentation=torch.randn(6, 3, 8, 8, generator=generator),
        reconstruction=torch.rand(6, 1, 8, 8, generator=generator),
        branch_logits=(torch.randn(6, 2, generator=generator), torch.randn(6, 2, generator=generator)),
    )
    return outputs, Targets(torch.tensor([0, 1, 0, -1, 1, 0]), masks, images)


@every_method
def test_sums_the_terms_of_the_catalog(name: str) -> None:
    terms = losses.objective(name)(*_everything(), 0.25)
    assert tuple(terms) == (*catalog.METHODS[name].terms, "total")
    torch.testing.assert_close(terms["total"], sum(value for key, value in terms.items() if key != "total"))


def test_triple_nets_objective_is_equation_6() -> None:
    outputs, targets = _everything()
    assert outputs.embedding is not None and outputs.segmentation is not None
    share = 1 - 3 / 4
    wanted = (
        share * contrastive(outputs.embedding, targets.labels)
        + (1 - share) * cross_entropy(outputs.logits, targets.labels)
        + dice(outputs.segmentation, targets.masks)
    )
    objective = losses.objective("triple")
    assert objective.contrastive_weight(3 / 4) == share
    torch.testing.assert_close(objective(outputs, targets, 3 / 4)["total"], wanted)


def test_only_the_contrastive_loss_counts_in_the_first_epoch() -> None:
    terms = losses.objective("double")(*_everything(), 0.0)
    assert terms["classification"] == 0 and terms["contrastive"] != 0


def test_methods_without_a_contrastive_term_have_no_curriculum() -> None:
    outputs, targets = _everything()
    for progress in (0.0, 0.9):
        terms = losses.objective("baseline")(outputs, targets, progress)
        torch.testing.assert_close(terms["classification"], cross_entropy(outputs.logits, targets.labels))


OPTIONS: list[tuple[dict[str, object], Callable[..., Tensor], dict[str, object], float]] = [
    # options of the recipe; the loss, its arguments and the factor that they come to half way
    ({"reduction": "sum"}, cross_entropy, {"reduction": "sum"}, 1 / 2),
    ({"curriculum": "parabolic"}, cross_entropy, {}, 1 / 4),
    ({"class_weights": (1, 3)}, cross_entropy, {"class_weights": torch.tensor([1.0, 3.0])}, 1 / 2),
    ({"weights": {"classification": 4}}, cross_entropy, {}, 2),
    ({"reduction": "sum"}, contrastive, {"reduction": "sum"}, 1 / 2),
    ({"contrastive": {"denominator": "all"}}, contrastive, {"denominator": "all"}, 1 / 2),
    ({"contrastive": {"temperature": 0.5}}, contrastive, {"temperature": 0.5}, 1 / 2),
    ({"curriculum": "parabolic"}, contrastive, {}, 3 / 4),
    ({"weights": {"contrastive": 3}}, contrastive, {}, 3 / 2),
    ({"dice": {"factor": 1}}, dice, {"factor": 1}, 1),
    ({"dice": {"smooth": 5}}, dice, {"smooth": 5}, 1),
    ({"dice": {"over": "image"}}, dice, {"over": "image"}, 1),
    ({"weights": {"segmentation": 3}}, dice, {}, 3),
]


@pytest.mark.parametrize(("options", "loss", "arguments", "factor"), OPTIONS)
def test_every_option_reaches_its_term(
    options: dict[str, object], loss: Callable[..., Tensor], arguments: dict[str, object], factor: float
) -> None:
    outputs, targets = _everything()
    terms = losses.objective("triple", LossOptions.model_validate(options))(outputs, targets, 0.5)
    name, part, target = {
        cross_entropy: ("classification", outputs.logits, targets.labels),
        contrastive: ("contrastive", outputs.embedding, targets.labels),
        dice: ("segmentation", outputs.segmentation, targets.masks),
    }[loss]
    torch.testing.assert_close(terms[name], factor * loss(part, target, **arguments))


def test_side_outputs_each_have_a_cross_entropy() -> None:
    outputs, targets = _everything()
    wanted = sum(cross_entropy(branch, targets.labels) for branch in outputs.branch_logits)
    torch.testing.assert_close(losses.objective("abn")(outputs, targets, 0.0)["branch"], wanted)


def test_mtdl_has_a_weight_for_each_task() -> None:
    outputs, targets = _everything()
    options = LossOptions.model_validate({"weights": {"segmentation": 2, "reconstruction": 5}})
    plain, weighted = (
        losses.objective("mtdl")(outputs, targets, 0),
        losses.objective("mtdl", options)(outputs, targets, 0),
    )
    factors = {key: (weighted[key] / plain[key]).item() for key in plain if key != "total"}
    assert factors == pytest.approx({"classification": 1, "segmentation": 2, "reconstruction": 5})


def test_a_cohort_without_masks_teaches_the_class_and_one_without_findings_the_segmentation() -> None:
    images, targets = blobs("triple", batch=4)
    objective = losses.objective("triple")
    outputs = fresh("triple")(images)
    unmasked = objective(outputs, Targets(targets.labels, None, images), 0.5)
    assert unmasked["segmentation"] == 0 and unmasked["classification"] > 0 and unmasked["contrastive"] != 0
    unnamed = objective(outputs, Targets(torch.full((4,), -1), targets.masks, images), 0.5)
    assert unnamed["segmentation"] > 0 and unnamed["classification"] == 0 and unnamed["contrastive"] == 0


def test_a_term_that_the_network_does_not_feed_is_an_error() -> None:
    _, targets = _everything()
    with pytest.raises(BadInput, match="embedding"):
        losses.objective("double")(Outputs(logits=torch.zeros(6, 2)), targets, 0.0)


def test_an_unknown_method_has_no_objective() -> None:
    with pytest.raises(UnknownName):
        losses.objective("quadruple")


@every_method
@pytest.mark.parametrize("denominator", ["negatives", "all"])
def test_nothing_in_it_depends_on_values(name: str, denominator: str) -> None:
    """With tensors that have no values, whatever asks for one raises."""
    outputs, targets = _everything()
    options = LossOptions.model_validate({"contrastive": {"denominator": denominator}, "class_weights": (1, 2)})
    with FakeTensorMode() as mode:
        objective = losses.objective(name, options)
        fake = mode.from_tensor
        parts = {key: fake(part) for key, part in outputs.tensors().items()}
        branches = tuple(fake(branch) for branch in outputs.branch_logits)
        assert targets.masks is not None
        terms = objective(
            Outputs(**parts, branch_logits=branches),
            Targets(fake(targets.labels), fake(targets.masks), fake(targets.images)),
            torch.tensor(0.3),
        )
    assert terms["total"].shape == ()


def test_it_compiles_into_one_graph() -> None:
    outputs, targets = _everything()
    assert outputs.embedding is not None and outputs.segmentation is not None
    objective = losses.objective("triple")

    def total(logits: Tensor, embedding: Tensor, segmentation: Tensor, progress: Tensor) -> Tensor:
        parts = Outputs(logits=logits, embedding=embedding, segmentation=segmentation)
        result: Tensor = objective(parts, targets, progress)["total"]
        return result

    compiled = torch.compile(total, backend="eager", fullgraph=True)
    arguments = (outputs.logits, outputs.embedding, outputs.segmentation, torch.tensor(0.3))
    torch.testing.assert_close(compiled(*arguments), total(*arguments))


def test_losses_of_a_half_precision_network_are_finite_and_single() -> None:
    outputs, targets = _everything()
    half = Outputs(
        **{key: part.half() for key, part in outputs.tensors().items()},
        branch_logits=tuple(branch.half() for branch in outputs.branch_logits),
    )
    for name in catalog.METHODS:
        terms = losses.objective(name)(half, targets, 0.5)
        assert terms["total"].dtype == torch.float32 and terms["total"].isfinite()


def test_autocast_training_works() -> None:
    network = fresh("triple")
    images, targets = blobs("triple", batch=2, size=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = network(images)
        terms = losses.objective("triple")(outputs, targets, 0.5)
    terms["total"].backward()
    assert terms["total"].dtype == torch.float32
    assert outputs.embedding is not None and outputs.embedding.dtype == torch.float32
    assert outputs.attention is not None and outputs.attention.dtype == torch.float32
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    assert network.eval().explain(noise("triple")).dtype == torch.float32


@pytest.mark.parametrize(
    ("terms", "separable"),
    [
        (("classification",), True),
        (("classification", "branch"), True),
        (("classification", "segmentation"), False),  # its sums run over the batch
        (("classification", "contrastive"), False),
        (("classification", "reconstruction"), False),
    ],
)
def test_only_cross_entropies_can_be_added_up_part_by_part(terms: tuple[str, ...], separable: bool) -> None:
    assert Objective(terms, LossOptions()).separable is separable


def test_a_part_counts_by_the_weights_of_its_classes() -> None:
    objective = Objective(("classification",), LossOptions(class_weights=(1.0, 3.0)))
    labels = torch.tensor([0, 1, -1, 1])
    assert float(objective.share(labels[:2], labels)) == pytest.approx(4 / 7)
    assert float(objective.share(labels[2:], labels)) == pytest.approx(3 / 7)
    assert Objective(("classification",), LossOptions(reduction="sum")).share(labels[:2], labels) == 1
