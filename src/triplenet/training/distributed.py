"""The processes that train one network together, as ``torchrun`` starts them; usually one.

Each takes an equal part of every batch. The losses, the batch norm and the gradients are those of the whole batch, so
that a training does not depend on how many processes share it but for rounding. Only the first one writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from triplenet.errors import ProcessFailed, TripleNetError, UnknownName
from triplenet.losses.shared_batch import Processes

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others; the first one may have files to check and to write."""


@dataclass(frozen=True)
class ProcessTeam:
    """One process among those that train together; by default it is alone."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Among those on this machine: the number of its GPU."""
    local_count: int = 1

    @property
    def is_main(self) -> bool:
        """The one that writes."""
        return self.rank == 0

    @property
    def group(self) -> distributed.ProcessGroup | None:
        """All of them, as torch knows them; None for one alone."""
        return distributed.group.WORLD if self.count > 1 else None

    @property
    def processes(self) -> Processes:
        """As the losses take them."""
        return Processes(self.group)

    def part(self, n: int) -> slice:
        """Which of n rows, a multiple of the processes, are this one's."""
        each = n // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def share(self, n: int) -> range:
        """Which of any n rows are this one's; the last may have fewer."""
        each = -(-n // self.count)
        return range(min(n, self.rank * each), min(n, (self.rank + 1) * each))

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in all of them; without a gradient."""
        if self.count > 1:
            distributed.all_reduce(tensor, group=self.group)
        return tensor

    def broadcast(self, tensors: Mapping[str, Tensor]) -> None:
        """Give every process what the first one's tensors hold."""
        if self.count > 1:
            for tensor in tensors.values():
                distributed.broadcast(tensor, 0, group=self.group)

    def broadcast_bytes(self, content: bytes | None, device: torch.device) -> bytes:
        """The first one's bytes, in all of them; the others give None."""
        if self.count == 1:
            return content or b""
        length = torch.tensor([len(content or b"")], device=device)
        distributed.broadcast(length, 0, group=self.group)
        if content:
            buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(device)
        else:
            buffer = torch.empty(int(length), dtype=torch.uint8, device=device)
        if len(buffer):
            distributed.broadcast(buffer, 0, group=self.group)
        return buffer.cpu().numpy().tobytes()

    @contextmanager
    def lead(self, device: torch.device) -> Iterator[bool]:
        """What only the first one does, while the others wait; yields whether this is it.

        :raises ProcessFailed: in the others, when it fails
        """
        failed: TripleNetError | None = None
        if self.is_main:
            try:
                yield True
            except TripleNetError as error:
                failed = error
        else:
            yield False
        if self.total(torch.tensor([0 if failed is None else 1], device=device)).item():
            raise failed or ProcessFailed("the first process stopped; see its message")


ALONE = ProcessTeam()


@contextmanager
def distributed_context(device: str = "auto") -> Iterator[ProcessTeam]:
    """The processes that ``torchrun`` started, or this one alone.

    A group that the caller has made already is taken as it is. Otherwise GPUs talk by NCCL and processors by gloo.

    :raises UnknownName: one GPU is named for several processes
    """
    if distributed.is_available() and distributed.is_initialized():
        yield _team()
        return
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        yield ALONE
        return
    if device.startswith("cuda:"):
        raise UnknownName(
            "each of several processes takes a GPU of its own", where=f"device {device!r}", do="use auto, cuda or cpu"
        )
    gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)
    try:
        yield _team()
    except BaseException:
        if not gpu:
            distributed.destroy_process_group()
        # NCCL would wait for the others, who wait for this one; torchrun ends them once this one has left.
        raise
    distributed.destroy_process_group()


def _team() -> ProcessTeam:
    return ProcessTeam(
        rank=distributed.get_rank(),
        count=distributed.get_world_size(),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        local_count=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )


def share_batch_norm(network: nn.Module, team: ProcessTeam, device: torch.device) -> None:
    """Make every batch norm of the network see the whole batch; the names and values of its state stay."""
    if team.count == 1:
        return
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(module, name, _shared(child, team, device))


def _shared(norm: nn.modules.batchnorm._BatchNorm, team: ProcessTeam, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm, team.group)  # type: ignore[no-untyped-call]
        return synchronised
    shared = SharedBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    shared.load_state_dict(norm.state_dict())
    shared.processes = team.processes
    return shared.to(device)


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the rows of all processes; torch's own does so on GPUs only."""

    processes: Processes

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, D, ...) -> the same"""
        if not self.training:
            return super().forward(input)
        values = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        n = input.numel() // input.shape[1] * self.processes.count
        mean = self.processes.sum(values.sum(axes)) / n
        centred = values - mean.view(shape)
        variance = self.processes.sum(centred.square().sum(axes)) / n
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * (n / max(n - 1, 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        return (out * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)
