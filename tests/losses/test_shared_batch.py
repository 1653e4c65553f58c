"""A batch shared by processes has the loss and the gradients that it has in one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing
from torch.nn.functional import normalize

from triplenet import losses
from triplenet.losses.loss_options import LossOptions
from triplenet.losses.targets import Targets
from triplenet.networks.base import Outputs

CASES: list[tuple[str, dict[str, object]]] = [
    ("triple", {}),
    ("triple", {"contrastive": {"denominator": "all"}, "dice": {"over": "image"}, "class_weights": [1, 3]}),
    ("triple", {"reduction": "sum"}),
    ("mtdl", {}),
    ("abn", {}),
]
PARTS = ("logits", "embedding", "segmentation", "reconstruction", "branch")


def _batch() -> tuple[dict[str, Tensor], Targets]:
    """Eight rows; the first half has fewer findings and masks than the second."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(8, *shape, generator=generator, dtype=torch.float64)

    parts = {
        "logits": draw(2),
        "embedding": normalize(draw(16)),
        "segmentation": draw(3, 4, 4),
        "reconstruction": draw(1, 4, 4),
        "branch": draw(2),
    }
    masks = torch.randint(0, 3, (8, 4, 4), generator=generator).to(torch.uint8)
    masks[0], masks[1, :2] = 255, 255
    return parts, Targets(torch.tensor([0, -1, 1, -1, 0, 1, 0, 1]), masks, draw(1, 4, 4))


def _gradients(rows: slice, group: distributed.ProcessGroup | None, *, unmasked: bool = False) -> list[list[Tensor]]:
    """For each case the total, and its gradient with respect to each part, of these rows."""
    results = []
    for name, options in CASES:
        parts, targets = _batch()
        leaves = {key: part[rows].clone().requires_grad_() for key, part in parts.items()}
        assert targets.masks is not None
        masks = None if unmasked else targets.masks[rows]
        objective = losses.objective(name, LossOptions.model_validate(options), group=group)
        outputs = Outputs(
            **{key: leaf for key, leaf in leaves.items() if key != "branch"}, branch_logits=(leaves["branch"],)
        )
        total = objective(outputs, Targets(targets.labels[rows], masks, targets.images[rows]), 0.4)["total"]
        gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        zeros = [torch.zeros_like(leaf) for leaf in leaves.values()]
        results.append([total.detach(), *(z if g is None else g for g, z in zip(gradients, zeros, strict=True))])
    return results


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    group = distributed.group.WORLD
    rows = slice(0, 4) if rank == 0 else slice(4, 8)
    torch.save(_gradients(rows, group), f"{folder}/{rank}.pt")
    torch.save(_gradients(rows, group, unmasked=rank == 1), f"{folder}/unmasked{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(_process, args=(str(folder),), nprocs=2)
    return folder


@pytest.mark.parametrize("case", range(len(CASES)))
def test_two_processes_with_half_the_batch_each_are_one_with_all_of_it(folder: Path, case: int) -> None:
    first, second = (torch.load(folder / f"{rank}.pt")[case] for rank in (0, 1))
    whole = _gradients(slice(0, 8), None)[case]
    torch.testing.assert_close((first[0] + second[0]) / 2, whole[0])
    for part, a, b, wanted in zip(PARTS, first[1:], second[1:], whole[1:], strict=True):
        # Data-parallel training averages what the processes have for a weight: each row's gradient counts a half.
        torch.testing.assert_close(torch.cat([a, b]) / 2, wanted, msg=lambda text, part=part: f"{part}: {text}")


def test_a_process_without_masks_does_not_leave_the_other_waiting(folder: Path) -> None:
    first, second = (torch.load(folder / f"unmasked{rank}.pt")[0] for rank in (0, 1))
    assert first[3].any() and not second[3].any()
