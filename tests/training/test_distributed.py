"""Two processes train as one: the same weights, the same history, one run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import distributed, multiprocessing, nn

from toy_prepared import TASK, write_toy
from triplenet import catalog, losses, networks
from triplenet.errors import BadRecipe, UnknownName
from triplenet.losses.targets import Targets
from triplenet.model import read_card
from triplenet.training import fit, load_recipe, open_run, train_recipe
from triplenet.training.data import load_fold
from triplenet.training.distributed import ALONE, ProcessTeam, SharedBatchNorm, distributed_context, share_batch_norm
from triplenet.training.step import Step

FINDINGS = ("none", "spot") * 9
SETTINGS = (
    "augmentation.crop=32",
    "encoder.weights=none",
    "training.batch=4",
    "training.epochs=2",
    "training.learning_rate=0.0001",
)


def torchrun(*arguments: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes, "--standalone"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(part) for part in (*command, *arguments)], capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "set", FINDINGS, size=40)


def settings(method, *more):
    return [part for setting in (*SETTINGS, *more) for part in ("--set", setting)] + ["--method", method]


@pytest.fixture(scope="module")
def task_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("task") / "toy.toml"
    path.write_text(
        'name = "toy"\ntitle = "spot or none"\nclasses = ["none", "spot"]\npositive = ["spot"]\n'
        '[findings]\nnone = "none"\nspot = "spot"\n'
    )
    return path


CASES = [("triple", 0), ("triple", 2), ("mtdl", 0), ("abn", 0), ("resnet3d", 1)]
"""method, rows computed at once in each of two processes"""


def _gradients(name: str, micro_rows: int, team: ProcessTeam) -> dict[str, torch.Tensor]:
    """Of each weight after one step, and the losses, in double precision; weights of the first process."""
    torch.manual_seed(team.rank)
    method = catalog.method(name)
    network = networks.build(name, **({"dropout": 0.0} if name == "mtdl" else {})).double()
    share_batch_norm(network, team, torch.device("cpu"))
    network.double()
    team.broadcast(network.state_dict())
    patients, generator = 4, torch.Generator().manual_seed(0)
    # Of two values alone batch norm makes 1 and -1, and sums of those that are 0 but for rounding.
    shape = (method.views, patients, 1, 32, 32) if method.dimensions == 2 else (1, patients, 1, 4, 48, 48)
    images = torch.randn(shape, generator=generator, dtype=torch.float64)
    masks = torch.randint(0, 3, (method.views, patients, 32, 32), generator=generator).to(torch.uint8)
    masks[:, 1] = 255
    labels = torch.tensor([0, 1, -1, 0]).expand(method.views, patients)
    if method.dimensions == 3 and team.count == 1:
        # Batch norm sees what is computed at once: one patient of each process.
        images, masks, labels = (array[:, [0, 2, 1, 3]] for array in (images, masks, labels))
    own = team.part(patients)
    rows = images[:, own].flatten(0, 1)
    targets = Targets(labels[:, own].flatten(), masks[:, own].flatten(0, 1), rows)
    objective = losses.objective(name, group=team.group)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    step = Step(network, objective, optimiser, micro_rows=micro_rows, team=team)
    measured = step(rows, targets, objective.weights(0.4))
    found = {key: parameter.grad for key, parameter in network.named_parameters() if parameter.grad is not None}
    found |= {f"loss {key}": team.total(value) / team.count for key, value in measured.losses.items()}
    return found | {f"buffer {key}": value.double() for key, value in network.named_buffers() if "running" in key}


def _stepping(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    team = ProcessTeam(rank=rank, count=2)
    found = [_gradients(name, micro_rows, team) for name, micro_rows in CASES]
    if team.is_main:
        torch.save(found, f"{folder}/found.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_losses_and_gradients_of_two_processes_are_those_of_one(tmp_path: Path):
    multiprocessing.spawn(_stepping, args=(str(tmp_path),), nprocs=2)
    for (name, micro_rows), found in zip(CASES, torch.load(tmp_path / "found.pt"), strict=True):
        wanted = _gradients(name, 2 * micro_rows, ALONE)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            # Subset of the network computes in single precision whatever its weights are.
            size = float(value.abs().max())
            torch.testing.assert_close(
                found[key], value, rtol=0, atol=1e-5 * size + 1e-12, msg=f"{name}, {micro_rows}: {key}"
            )


@pytest.mark.slow
def test_torchrun_gives_the_run_that_one_process_gives(prepared, task_file, tmp_path):
    recipe = load_recipe("default", method="triple", settings=SETTINGS)
    one = train_recipe(prepared, TASK, 1, recipe, tmp_path / "one")
    out = tmp_path / "two"
    command = ["-m", "triplenet", "train", prepared.folder, "--task", task_file, *settings("triple")]
    done = torchrun(*command, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    two = open_run(out)
    assert json.loads(done.stdout)["hardware"]["processes"] == two.info.hardware.processes == 2
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in one.folder.iterdir())
    first = [run.history()[0] for run in (one, two)]
    for name in ("loss_contrastive", "loss_segmentation", "loss_total", "training_accuracy"):
        assert first[1][name] == pytest.approx(first[0][name], rel=1e-3), name
    assert two.predictions().patients == one.predictions().patients
    np.testing.assert_allclose(two.predictions().probabilities, one.predictions().probabilities, atol=0.02)
    ours, theirs = (read_card(run.model).training_scans for run in (one, two))
    assert ours.patients == theirs.patients == len(prepared.fold(1).train)
    assert (ours.embedding.of, ours.embedding.patients) == (theirs.embedding.of, theirs.embedding.patients)
    assert theirs.embedding.limit == pytest.approx(ours.embedding.limit, rel=0.1)


@pytest.mark.slow
def test_a_training_of_two_processes_goes_on_where_it_stopped(prepared, task_file, tmp_path):
    grids = "network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]"
    frames = write_toy(tmp_path / "frames", FINDINGS, size=40, frames=4)
    common = ["--task", task_file, *settings("decovnet", grids, "network.dropout=0.5")]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = ["-m", "triplenet", "train", frames.folder, *common]
    assert torchrun(*command, "--out", whole).returncode == 0
    script = tmp_path / "stopped.py"
    script.write_text(
        "import os, signal, sys\n"
        "from triplenet.training import fit\n"
        "write = fit.save_checkpoint\n"
        "def stopped(*arguments):\n"
        "    write(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "fit.save_checkpoint, fit.CHECKPOINT_EVERY_S = stopped, 0\n"
        "fit.train_recipe.__kwdefaults__['checkpoint_every_s'] = 0\n"
        "from triplenet.cli.app import main\n"
        "main()\n"
    )
    assert torchrun(script, "train", frames.folder, *common, "--out", broken).returncode != 0
    assert not open_run(broken).complete
    resumed = torchrun(*command, "--out", broken, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    weights, others = (load_file(folder / "model.safetensors") for folder in (whole, broken))
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


@pytest.mark.slow
def test_what_is_refused_is_said_and_nobody_waits(prepared, task_file, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "precious").write_text("x")
    common = ["-m", "triplenet", "train", prepared.folder, "--task", task_file]
    existing = torchrun(*common, "--out", tmp_path / "there", *settings("baseline"))
    assert existing.returncode != 0
    assert "error[OUTPUT_EXISTS]" in existing.stderr
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["precious"]
    odd = torchrun(*common, "--out", tmp_path / "odd", *settings("baseline", "training.batch=3"))
    assert "3 patients cannot be shared equally by 2 processes" in odd.stderr
    assert not (tmp_path / "odd").exists()


def test_one_gpu_for_several_processes_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UnknownName, match="each of several processes takes a GPU of its own"):
        distributed_context("cuda:1").__enter__()


def test_a_network_that_several_processes_share_is_not_compiled(prepared):
    recipe = load_recipe("default", method="baseline", settings=[*SETTINGS, "training.compile=true"])
    data = load_fold(prepared, TASK, 1, catalog.method("baseline"))
    with pytest.raises(BadRecipe, match="cannot be compiled"):
        fit._check(recipe, prepared, data, TASK, torch.device("cpu"), ProcessTeam(count=2))


def test_batch_norm_of_half_precision_is_computed_in_full():
    norm = SharedBatchNorm(2)
    norm.processes = ALONE.processes
    rows = (torch.randn(512, 2, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.1 + 30).bfloat16()
    out = norm(rows)
    assert out.dtype == torch.bfloat16
    expected = nn.functional.batch_norm(rows.float(), None, None, training=True)
    torch.testing.assert_close(out.float(), expected, atol=0.02, rtol=0.01)


def test_a_process_alone_shares_with_nobody():
    assert ALONE.is_main and ALONE.group is None
    assert ALONE.part(6) == slice(0, 6)
    assert ALONE.broadcast_bytes(b"abc", torch.device("cpu")) == b"abc"
    assert ALONE.broadcast_bytes(None, torch.device("cpu")) == b""
    network = nn.Sequential(nn.BatchNorm2d(2))
    share_batch_norm(network, ALONE, torch.device("cpu"))
    assert type(network[0]) is nn.BatchNorm2d


@pytest.mark.parametrize("n", [0, 1, 5, 6, 7])
def test_rows_are_shared_out_once_each(n):
    shares = [row for rank in range(3) for row in ProcessTeam(rank=rank, count=3).share(n)]
    assert shares == list(range(n))


def _norms(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    team = ProcessTeam(rank=rank, count=2)
    network = nn.Sequential(nn.BatchNorm2d(3)).double()
    share_batch_norm(network, team, torch.device("cpu"))
    assert isinstance(network[0], SharedBatchNorm)
    network.double()
    rows = _rows()[team.part(6)].requires_grad_()
    out = network(rows)
    (out * _factors()[team.part(6)]).sum().backward()
    network.eval()
    state = dict(network.state_dict())
    sent = team.broadcast_bytes(b"from the first" if team.is_main else None, torch.device("cpu"))
    torch.save({"out": out, "gradient": rows.grad, "state": state, "sent": list(sent)}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def _rows() -> torch.Tensor:
    return torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1


def _factors() -> torch.Tensor:
    return torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_batch_norm_of_two_processes_is_that_of_one(tmp_path: Path):
    multiprocessing.spawn(_norms, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    norm = nn.Sequential(nn.BatchNorm2d(3)).double()
    rows = _rows().requires_grad_()
    out = norm(rows)
    (out * _factors()).sum().backward()
    torch.testing.assert_close(torch.cat([first["out"], second["out"]]), out)
    torch.testing.assert_close(torch.cat([first["gradient"], second["gradient"]]), rows.grad)
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(first["state"][name], value)
        torch.testing.assert_close(second["state"][name], value)
    assert bytes(second["sent"]) == b"from the first"
