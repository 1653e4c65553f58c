"""A training step neither waits for an accelerator nor mixes its tensors with the processor's, and can be repeated.

Torch's ``meta`` device stands in for one: its tensors have shapes and no values, so whatever would have to wait for a
value fails, and every operation of a step is seen with the devices of what it takes.
"""

from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from triplenet import catalog, losses, networks
from triplenet.losses.loss_options import LossOptions
from triplenet.training import whole_step
from triplenet.training.arrays import BatchIndex, DeviceArray
from triplenet.training.average import Average
from triplenet.training.data import FoldData, Subset
from triplenet.training.fit import lay_out
from triplenet.training.recipe import load_recipe
from triplenet.training.state import State
from triplenet.training.step import Step
from triplenet.training.whole_step import WholeStep, step_input

FAR = torch.device("meta")
SIZE, CROP, FRAMES, PATIENTS, BATCH = 72, 64, 4, 12, 6
OF_TWO_CLASSES = ("baseline", "resnet3d")


# What ``torch.use_deterministic_algorithms`` refuses on a GPU, by its documentation, among what a network may use.
NOT_REPEATABLE = (
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "bincount",
    "cumsum",
    "grid_sampler_2d_backward",
    "grid_sampler_3d_backward",
    "histc",
    "median",
    "nll_loss2d_forward",
    "put_",
    "reflection_pad2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
    "upsample_trilinear3d_backward",
)


class Watched(TorchDispatchMode):
    """Refuses an operation that takes tensors of both devices, brings one from one to the other, or that gives other
    bits each time on a GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function.overloadpacket.__name__ not in NOT_REPEATABLE, f"{function} has no fixed order of its sums"
        found = function(*args, **(kwargs or {}))
        taken = {leaf.device.type for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        given = {leaf.device.type for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)}
        assert len(taken | given) <= 1, f"{function} took {taken} and gave {given}"
        return found


def far(*shape, dtype=torch.uint8):
    return torch.zeros(shape, dtype=dtype, device=FAR)


def fold(method, lungs):
    frames = (FRAMES,) if method.dimensions == 3 else ()

    def part():
        return Subset(
            tuple(map(str, range(PATIENTS))),
            DeviceArray(far(PATIENTS, *frames, SIZE, SIZE)),
            far(PATIENTS, dtype=torch.int64),
            DeviceArray(far(PATIENTS, SIZE, SIZE)) if method.needs_masks else None,
            DeviceArray(far(PATIENTS, FRAMES, SIZE, SIZE // 8)) if lungs else None,
        )

    return FoldData(part(), part(), part(), far(SIZE, SIZE, dtype=torch.float32))


@pytest.fixture
def draws_there(monkeypatch):
    """Random numbers that lie where the images do; a device without values has no generator, nor autocast."""
    draw = whole_step.draw
    monkeypatch.setattr(whole_step, "draw", lambda n, generator: draw(n, generator).to(FAR))
    monkeypatch.setattr(torch, "autocast", lambda *_arguments, **_options: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_arguments: False)


def steps(name, *, options=None, settings=(), micro_rows=0, average="none"):
    method = catalog.method(name)
    recipe = load_recipe("quick", method=name, settings=[f"augmentation.crop={CROP}", *settings])
    network = networks.build(name, classes=3, **recipe.network).to(FAR).train()
    lay_out(network, FAR)
    data = fold(method, network.channels == 2)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    objective = losses.objective(name, options or LossOptions()).to(FAR)
    state = State(network, optimiser, torch.Generator().manual_seed(0), Average(average))
    step = Step(network, objective, optimiser, micro_rows=micro_rows)
    one_step = WholeStep(step, data.mean_image, recipe.augmentation, method.views)
    weights = objective.weights(0.5)
    positions = BatchIndex.of(range(PATIENTS), FAR)
    whole = None
    for start in (0, BATCH):
        given = step_input(data, positions[start : start + BATCH], BATCH, method.views, state.generator)
        with Watched():
            measured = one_step(given, weights)
            state.average.after_step(network)
            whole = measured if whole is None else whole + measured
    return whole


@pytest.mark.parametrize(
    "act",
    [
        lambda there, here: there[torch.tensor([0, 1])],
        lambda there, here: here.to(FAR),
        lambda there, here: there.gather(0, torch.tensor([0, 1])),
        lambda there, here: there.cumsum(0),
    ],
)
def test_the_watch_refuses_what_mixes_devices_or_cannot_be_repeated(act):
    there, here = far(4, dtype=torch.float32), torch.zeros(4)
    act(there, here)  # torch itself lets it pass
    with Watched(), pytest.raises(AssertionError):
        act(there, here)


@pytest.mark.parametrize(
    "act",
    [
        lambda there: there.to("cpu"),
        lambda there: float(there.sum()),
        lambda there: there[there > 0],
        lambda there: bool(there.any()),
    ],
)
def test_the_device_refuses_what_has_to_wait_for_a_value(act):
    with pytest.raises(RuntimeError, match=r"no data|meta|nonzero"):
        act(far(4, dtype=torch.float32))


@pytest.mark.parametrize("name", catalog.METHODS)
def test_a_step_of_every_method_stays_there(name, draws_there):
    measured = steps(name, average="ema")
    assert measured.losses["total"].device == FAR
    assert measured.correct.device == measured.labelled.device == FAR


@pytest.mark.parametrize(
    ("name", "options", "settings"),
    [
        ("triple", {"reduction": "sum", "dice": {"over": "image"}}, ()),
        ("baseline", {"class_weights": (1.0, 2.0, 3.0)}, ("augmentation.scale=[0.9, 1.1]",)),
        ("covnet", {}, ("network.lung_mask=true",)),
        ("decovnet", {}, ("network.lung_mask=true",)),
    ],
)
def test_so_does_a_step_with_other_options(name, options, settings, draws_there):
    steps(name, options=LossOptions.model_validate(options), settings=settings)


@pytest.mark.parametrize(("name", "rows"), [("resnet3d", 2), ("triple", 4), ("abn", 2)])
def test_so_does_a_step_in_parts(name, rows, draws_there):
    steps(name, micro_rows=rows)
