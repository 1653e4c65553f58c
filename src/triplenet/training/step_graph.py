"""A whole training step as one CUDA graph: its kernels are recorded once and played back with one call.

A step of a small network is some hundreds of kernels of microseconds each, and telling a GPU about them takes the
processor longer than they run. A recorded step reads its input from, and writes its results to, memory that stays where
it is. The first steps run unrecorded, so that every library has chosen its algorithms; they train like all others. So
does a batch of another size, such as an epoch's last, short one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from triplenet.errors import BadRecipe
from triplenet.training.step import Measured, Weights
from triplenet.training.whole_step import StepInput

UNRECORDED = 3
"""Steps before the recording, as torch advises"""
Work = Callable[[], None]


class Recorder(Protocol):
    """What records work on a device and plays it back."""

    def run_aside(self, work: Work) -> None:
        """Do it unrecorded, where it will be recorded."""

    def record(self, work: Work) -> None:
        """Record it without doing it."""

    def replay(self) -> None:
        """Do what was recorded."""


class CudaRecorder:
    """A CUDA graph and the stream on which it is recorded."""

    def __init__(self, device: torch.device) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run_aside(self, work: Work) -> None:
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with warnings.catch_warnings(), torch.cuda.stream(self._stream):
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            work()
        current.wait_stream(self._stream)

    def record(self, work: Work) -> None:
        """Record it without doing it.

        :raises BadRecipe: something in it has to wait for the device
        """
        try:
            # Another thread may reserve memory for the next batch meanwhile; that is none of the recording's business.
            with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            # What ends a recording may fail because of what broke it.
            for cause in (error, error.__context__):
                if isinstance(cause, torch.OutOfMemoryError):
                    raise cause from None
            raise BadRecipe(
                f"training.cuda_graph: this step cannot be recorded ({str(error).partition(chr(10))[0]})",
                do="leave it off",
            ) from error

    def replay(self) -> None:
        self._graph.replay()


class StepGraph:
    """``graph(whole, given, weights)`` is ``whole(given, weights)``, recorded at one of the first calls."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._given: StepInput | None = None
        self._weights: dict[str, Tensor] = {}
        self._measured: Measured | None = None
        self._done = 0

    def __call__(self, whole: Callable[[StepInput, Weights], Measured], given: StepInput, weights: Weights) -> Measured:
        """Do one step.

        :param whole: the same at every call: later ones play back what it did
        :returns: what the next call overwrites
        """
        if self._given is None:
            self._given = given.clone()
            self._weights = {name: torch.zeros((), device=given.images.device) for name in weights}
        elif given.shapes() != self._given.shapes():
            return whole(given, weights)
        self._given.copy_(given)
        for name, value in weights.items():
            self._weights[name].fill_(value)
        if self._done < UNRECORDED:
            self._recorder.run_aside(lambda: self._run(whole))
        else:
            if self._done == UNRECORDED:
                self._recorder.record(lambda: self._run(whole))
            self._recorder.replay()
        self._done += 1
        assert self._measured is not None
        return self._measured

    def _run(self, whole: Callable[[StepInput, Weights], Measured]) -> None:
        assert self._given is not None
        measured = whole(self._given, self._weights)
        if self._measured is None:
            self._measured = measured.clone()
        else:
            self._measured.copy_(measured)
