"""A step that is recorded and played back trains as one that is not, to the last bit.

No GPU is needed: a stand-in for a CUDA graph notes each operation of a step and does them again on the very same
memory. Like a graph it runs no Python, so that a number which the processor had in hand at the recording stays as it
was then.
"""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from triplenet import catalog, losses, networks
from triplenet.errors import BadRecipe
from triplenet.losses.loss_options import LossOptions
from triplenet.training import loop, step_graph
from triplenet.training.arrays import DeviceArray
from triplenet.training.average import Average
from triplenet.training.checkpoint import parse, to_bytes
from triplenet.training.data import FoldData, Subset
from triplenet.training.recipe import load_recipe
from triplenet.training.state import State, capture, restore
from triplenet.training.step import Measured, Step
from triplenet.training.step_graph import UNRECORDED, CudaRecorder, StepGraph
from triplenet.training.whole_step import StepInput

SIZE, CROP, FRAMES, PATIENTS, BATCH = 48, 40, 4, 9, 2


def storages(tree):
    return {leaf.untyped_storage()._cdata for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)}


class Noted(TorchDispatchMode):
    """Every operation below the gradients, with what it took and gave."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, given))
        return given


class Operations:
    """Records by noting; a graph's recording does nothing, so what this one does while noting is undone."""

    def __init__(self, *kept):
        """:param kept: tensors that a recording must leave as they are"""
        self.kept = kept
        self.aside = self.replayed = 0
        self.noted = None

    def run_aside(self, work):
        self.aside += 1
        work()

    def record(self, work):
        assert self.noted is None
        before = [(tensor, tensor.detach().clone()) for one in self.kept for tensor in one()]
        drawn = torch.get_rng_state()
        self.noted = Noted()
        with self.noted:
            work()
        torch.set_rng_state(drawn)
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)

    @torch.no_grad()
    def replay(self):
        self.replayed += 1
        for function, args, kwargs, given in self.noted.operations:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(given), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and not storages(old) & storages((args, kwargs)):
                    old.copy_(new)


def fold(method, lungs):
    generator = torch.Generator().manual_seed(1)
    frames = (FRAMES,) if method.dimensions == 3 else ()

    def random(high, *shape):
        return DeviceArray(torch.randint(0, high, shape, generator=generator).to(torch.uint8))

    def part(count):
        return Subset(
            tuple(map(str, range(count))),
            random(256, count, *frames, SIZE, SIZE),
            torch.arange(count) % 2,
            random(3, count, SIZE, SIZE) if method.needs_masks else None,
            random(256, count, FRAMES, SIZE, SIZE // 8) if lungs else None,
        )

    return FoldData(part(PATIENTS), part(4), part(4), torch.full((SIZE, SIZE), 0.4))


class Training:
    """A few epochs of a method, recorded or not."""

    def __init__(self, name, *settings, recorded, micro_rows=0):
        self.method = catalog.method(name)
        fixed = [f"augmentation.crop={CROP}", f"training.batch={BATCH}", "training.drop_last=false"]
        self.recipe = load_recipe(
            "default", method=name, settings=[*fixed, "training.epochs=3", "training.schedule=linear", *settings]
        )
        torch.manual_seed(0)
        network = networks.build(name, classes=2, **self.recipe.network)
        self.data = fold(self.method, network.channels == 2)
        # As on a GPU: one kernel for all parameters, which reads the rate from a tensor.
        optimiser = torch.optim.Adam(network.parameters(), lr=torch.tensor(1e-3), fused=True)
        self.state = State(network, optimiser, torch.Generator().manual_seed(0), Average("none"))
        self.recorder = Operations(
            lambda: network.state_dict().values(),
            lambda: [value for state in optimiser.state.values() for value in state.values()],
        )
        objective = losses.objective(name, LossOptions())
        graph = StepGraph(self.recorder) if recorded else None
        self.step = Step(network, objective, optimiser, micro_rows=micro_rows, graph=graph)

    def epochs(self, count):
        for _ in range(count):
            loop.advance(self.state, self.data, self.step, self.recipe, self.method.views)
        return self

    def result(self):
        tensors, plain = capture(self.state)
        for row in plain["history"]:
            del row["seconds"]
        return tensors, plain


def same(left, right):
    (tensors, plain), (others, other) = left.result(), right.result()
    assert tensors.keys() == others.keys()
    assert not [name for name, value in tensors.items() if not torch.equal(value, others[name])]
    assert plain == other
    return True


@pytest.mark.parametrize(
    ("name", "settings", "micro_rows"),
    [
        ("triple", (), 0),
        ("mtdl", (), 0),  # with dropout
        ("abn", (), 1),
        ("decovnet", ("network.lung_mask=true", "network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]"), 1),
    ],
)
def test_a_recorded_training_is_the_ordinary_one(name, settings, micro_rows):
    ordinary = Training(name, *settings, recorded=False, micro_rows=micro_rows).epochs(2)
    recorded = Training(name, *settings, recorded=True, micro_rows=micro_rows).epochs(2)
    assert same(ordinary, recorded)
    # Four whole batches and a short one an epoch; the short ones are computed as they come.
    assert (recorded.recorder.aside, recorded.recorder.replayed) == (UNRECORDED, 2 * 4 - UNRECORDED)
    rates = [row.learning_rate for row in recorded.state.history]
    assert rates == pytest.approx([1e-3, 1e-3 * 2 / 3])  # so that a rate that stayed as it was would show


def test_a_resumed_recorded_training_is_the_uninterrupted_one():
    whole = Training("triple", recorded=True).epochs(3)
    begun = Training("triple", recorded=True).epochs(1)
    resumed = Training("triple", recorded=True)
    torch.manual_seed(9)
    restore(resumed.state, parse(to_bytes(*capture(begun.state))))
    assert same(whole, resumed.epochs(2))


def test_the_stand_in_keeps_numbers_that_the_processor_had_in_hand():
    number, told, seen = SimpleNamespace(value=1.0), torch.zeros(()), torch.zeros(2)

    def work():
        seen.copy_(torch.stack([told * number.value, told + 1]))

    recorder = Operations(lambda: [seen])
    recorder.record(work)
    assert seen.tolist() == [0, 0]
    number.value = 5.0
    told.fill_(3)
    recorder.replay()
    assert seen.tolist() == [3, 4]


class Adding:
    """A step that adds up what it is given."""

    def __init__(self):
        self.sum = torch.zeros(())
        self.calls = 0

    def __call__(self, given, weights):
        self.calls += 1
        self.sum += weights["term"] * given.images.sum()
        return Measured({"total": self.sum.clone()}, given.labels.sum(), torch.tensor(len(given.labels)))


def given_of(value, rows=2):
    return StepInput(torch.full((rows, 3), float(value)), torch.full((rows,), value), torch.zeros(rows, 6))


def test_a_step_is_recorded_once_and_reads_each_time_what_it_is_given():
    adding = Adding()
    recorder = Operations(lambda: [adding.sum])
    graph = StepGraph(recorder)
    totals, counts = [], []
    for number in range(1, 7):
        measured = graph(adding, given_of(number), {"term": 10.0 * number})
        totals.append(measured.losses["total"].item())
        counts.append((measured.correct.item(), measured.labelled.item()))
    assert totals == [60 * sum(n * n for n in range(1, number + 1)) for number in range(1, 7)]
    assert counts == [(2 * number, 2) for number in range(1, 7)]
    assert (recorder.aside, recorder.replayed, adding.calls) == (3, 3, 4)


def test_a_batch_of_another_size_is_done_as_it_comes():
    adding = Adding()
    recorder = Operations(lambda: [adding.sum])
    graph = StepGraph(recorder)
    for rows in (2, 2, 2, 2, 1, 2):
        measured = graph(adding, given_of(1, rows), {"term": 1.0})
    assert measured.losses["total"].item() == 3 * 11
    assert (recorder.aside, recorder.replayed) == (3, 2)


def test_what_is_given_stays_the_callers():
    graph = StepGraph(Operations())
    first = given_of(1)
    graph(Adding(), first, {"term": 1.0})
    graph(Adding(), given_of(2), {"term": 1.0})
    assert torch.equal(first.images, given_of(1).images)


@pytest.fixture
def cuda(monkeypatch):
    """What the recorder asks of torch's CUDA, noted."""
    asked = []

    class Stream:
        device = "cuda:0"

        def __init__(self, name="side"):
            self.name = name

        def wait_stream(self, other):
            asked.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def on(stream):
        asked.append(f"on {stream.name}")
        yield
        asked.append(f"off {stream.name}")

    @contextmanager
    def recording(graph, *, stream, capture_error_mode):
        asked.append(f"record on {stream.name}, {capture_error_mode}")
        try:
            yield
        except torch.OutOfMemoryError:
            raise RuntimeError("the recording was broken off")  # noqa: B904 - as torch's own does

    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: asked.append("replay")))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("main"))
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    return asked


def test_a_cuda_graph_is_recorded_on_a_side_stream(cuda):
    recorder = CudaRecorder(torch.device("cuda"))
    recorder.run_aside(lambda: cuda.append("work"))
    recorder.record(lambda: cuda.append("work"))
    recorder.replay()
    assert cuda == [
        *("side waits for main", "on side", "work", "off side", "main waits for side"),
        *("record on side, thread_local", "work"),
        "replay",
    ]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError("operation not permitted when stream is capturing\nmore"), BadRecipe),
        (torch.OutOfMemoryError("full"), torch.OutOfMemoryError),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_one_line(cuda, error, raised):
    def work():
        raise error

    with pytest.raises(raised) as told:
        CudaRecorder(torch.device("cuda")).record(work)
    if raised is BadRecipe:
        assert str(told.value).startswith("training.cuda_graph: this step cannot be recorded (operation not permitted")
        assert "more" not in str(told.value)
    assert step_graph.UNRECORDED == 3
