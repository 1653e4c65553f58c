"""What computes a model's answers: torch, or ONNX Runtime or OpenVINO for a model that was exported as ONNX.

All of them run the same graph, ``explanation.one_pass``: a pass gives probabilities, heat map and segmentation. What
was exported needs no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from triplenet import catalog
from triplenet.errors import BadInput, BadModel, MissingExtra, PathMissing, UnknownName
from triplenet.files import sha256_of
from triplenet.model import ModelCard, read_onnx_card, read_onnx_entries
from triplenet.processes import usable_threads

if TYPE_CHECKING:
    from triplenet.model import Model

Bytes = npt.NDArray[np.uint8]
Arrays = Mapping[str, npt.NDArray[np.float32]]
RuntimeName = Literal["auto", "torch", "onnxruntime", "openvino"]
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
ONNX = ".onnx"
INT8 = "int8"
"""Of the entry by which an exported graph tells that it is in 8-bit integers"""
GPU_BATCH = 16


@dataclass(frozen=True)
class Answers:
    """What a model says of a batch of B images."""

    probabilities: npt.NDArray[np.float64]
    """(B, C), each row adds up to 1; calibrated where the model carries a temperature"""
    heat: npt.NDArray[np.float32]
    """(B, size, size) in 0..1, 0 outside the crop that the network reads; (B, T, size, size) in 3D"""
    segmentation: Bytes | None
    """(B, size, size): 0 background, 1 lung, 2 infection; None for a method that does not segment"""
    distance: npt.NDArray[np.float64] | None
    """(B,) of the features from those of the training scans; None where the model does not know them"""
    class_heat: npt.NDArray[np.float32] | None = None
    """As ``heat``, of the likeliest class; None where ``heat`` is of a class already, and of a graph that was exported
    before there was one"""


class Runtime(ABC):
    """A model, loaded and ready to be asked."""

    name: RuntimeName
    batch = 2
    """Slices that it is best asked about at once: on a processor more take memory and no less time"""

    def __init__(self, card: ModelCard, channels: int, file_sha256: str | None) -> None:
        card.refuse_true_masks()
        self.card = card
        self.channels = channels
        """1, or 2 for a network that reads the lung beside the image"""
        self.file_sha256 = file_sha256
        """Of the file it was read from"""

    @property
    def model_sha256(self) -> str | None:
        """What tells the model from another: of its file, or where it was read from none of its weights."""
        return self.file_sha256 or self.card.tensors_sha256

    @property
    def segments(self) -> bool:
        """Whether it tells infection from lung in a slice, and so can search a scan."""
        return self.card.dimensions == 2 and "segmentation" in catalog.method(self.card.method).terms

    def answer(self, images: Bytes, lungs: Bytes | None = None) -> Answers:
        """Ask about a batch of images.

        :param images: (B, size, size) uint8 as ``prepare.sample.network_slice`` makes them; (B, T, size, size) in 3D
        :param lungs: likewise, 1 in the lung, for a network that reads it
        :raises BadInput: images of another shape
        :raises BadModel: the answer is not finite
        """
        size = self.card.size
        frames = (self.card.frames,) if self.card.dimensions == 3 else ()
        if images.dtype != np.uint8 or images.shape[1:] != (*frames, size, size):
            raise BadInput(f"images are {images.dtype} {images.shape}, not uint8 {('B', *frames, size, size)}")
        inputs = {"images": images[:, None]}
        if self.channels == 2:
            if lungs is None or lungs.shape != images.shape:
                raise BadInput("the model reads the lung beside each image", do="give it in the same shape")
            inputs["lungs"] = lungs[:, None]
        outputs = self._run(inputs)
        if not all(np.isfinite(array).all() for array in outputs.values()):
            raise BadModel("the network's answer is not finite", do="do not use this model")
        segmentation, distance = outputs.get("segmentation"), outputs.get("distance")
        class_heat = outputs.get("class_heat")
        return Answers(
            softmax(outputs["logits"], self.card.temperature or 1.0),
            np.asarray(outputs["heat"], np.float32),
            None if segmentation is None else segmentation.argmax(1).astype(np.uint8),
            None if distance is None else np.asarray(distance, np.float64),
            None if class_heat is None else np.asarray(class_heat, np.float32),
        )

    def ready(self) -> None:  # noqa: B027 - most are from the beginning
        """Wait for what is loading still.

        :raises BadModel: it cannot be used
        """

    @abstractmethod
    def _run(self, inputs: Mapping[str, Bytes]) -> Arrays:
        """The graph's outputs by name."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """What computes, for the record."""


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """(B, C) probabilities, in double precision so that each row adds up to 1."""
    scores = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class TorchRuntime(Runtime):
    """A model file's network, on whatever device it is on."""

    name = "torch"

    def __init__(self, model: Model, file_sha256: str | None = None) -> None:
        super().__init__(model.card, model.network.channels, file_sha256)
        self.model = model
        if model.mean_image.device.type != "cpu":
            self.batch = GPU_BATCH

    @cached_property
    def _graph(self) -> Any:
        from triplenet.explanation.one_pass import Explained

        return Explained(self.model).eval()

    def _run(self, inputs: Mapping[str, Bytes]) -> Arrays:
        import torch

        from triplenet.model import full_float32

        device = self.model.mean_image.device
        with torch.no_grad(), full_float32():
            given = [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in inputs.values()]
            return {name: tensor.cpu().numpy() for name, tensor in self._graph(*given).items()}

    def versions(self) -> dict[str, str]:
        import torch

        return {"torch": str(torch.__version__)}


@dataclass(frozen=True)
class _Graph:
    """An exported graph, ready in ONNX Runtime."""

    session: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sha256: str
    """Of its file"""


class OnnxRuntime(Runtime):
    """An exported graph in ONNX Runtime, which loads it in a thread of its own: whoever asks first waits for it."""

    name = "onnxruntime"

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise MissingExtra("onnxruntime is not installed", do="pip install 'triplenet[onnx]'") from error
        self.card = read_onnx_card(path)
        self._version = str(onnxruntime.__version__)
        loader = ThreadPoolExecutor(1)
        self._loading = loader.submit(_load_graph, path)
        loader.shutdown(wait=False)

    def ready(self) -> None:
        self._loading.result()

    @cached_property
    def channels(self) -> int:  # type: ignore[override]  # nobody sets it, and it is known once the graph is loaded
        """1, or 2 for a network that reads the lung beside the image."""
        return len(self._loading.result().inputs)

    @cached_property
    def file_sha256(self) -> str:  # type: ignore[override]
        """Of the file it was read from."""
        return self._loading.result().sha256

    def _run(self, inputs: Mapping[str, Bytes]) -> Arrays:
        graph = self._loading.result()
        return dict(zip(graph.outputs, graph.session.run(None, dict(inputs)), strict=True))

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": self._version}


def _load_graph(path: Path) -> _Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_threads()
    options.inter_op_num_threads = 1
    # Threads that wait by spinning take the processor from whoever decodes the next slices.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes, which it does not export
        raise _unusable(path, error) from error
    inputs, outputs = ([entry.name for entry in each] for each in (session.get_inputs(), session.get_outputs()))
    _check_names(path, inputs, outputs)
    return _Graph(session, tuple(inputs), tuple(outputs), sha256_of(path))


class OpenVinoRuntime(Runtime):
    """An exported graph in OpenVINO.

    One image at a time, which costs nothing on a processor: of several it computes the double-precision tail of the
    graph (``distance``) wrongly, as of 2026.4. It reads 8-bit graphs of ours as other numbers, too.
    """

    name = "openvino"
    batch = 1

    def __init__(self, path: Path) -> None:
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise MissingExtra("openvino is not installed", do="pip install 'triplenet[openvino]'") from error
        card = read_onnx_card(path)
        if INT8 in read_onnx_entries(path):
            raise UnknownName(
                "openvino does not give the numbers of a graph in 8-bit integers", where=path, do="use onnxruntime"
            )
        # Full precision whatever the processor offers: the probabilities are those of the other runtimes.
        hints = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": usable_threads(),
        }
        try:
            graph = openvino.Core().compile_model(str(path), "CPU", hints)
        except RuntimeError as error:
            raise _unusable(path, error) from error
        self._graph = graph
        self._version = str(openvino.__version__)
        inputs = [port.any_name for port in graph.inputs]
        self._outputs = [port.any_name for port in graph.outputs]
        _check_names(path, inputs, self._outputs)
        super().__init__(card, len(inputs), sha256_of(path))

    def _run(self, inputs: Mapping[str, Bytes]) -> Arrays:
        each = [
            self._graph({name: array[row : row + 1] for name, array in inputs.items()})
            for row in range(len(inputs["images"]))
        ]
        return {name: np.concatenate([np.array(answers[name]) for answers in each]) for name in self._outputs}

    def versions(self) -> dict[str, str]:
        return {"openvino": self._version}


def load_runtime(path: Path | str, device: str = "cpu", runtime: RuntimeName = "auto") -> Runtime:
    """A model from its file, ready to be asked.

    :param path: a model file, or one that ``export`` wrote as ONNX
    :param device: of torch: ``cpu``, ``cuda`` or ``auto``
    :param runtime: by default torch for a model file; for an ONNX file ONNX Runtime, or OpenVINO where that alone is
        installed
    :raises PathMissing: there is no such file
    :raises BadModel: damaged, or not a triplenet model
    :raises MissingExtra: the runtime is not installed
    :raises UnknownName: there is no such runtime, or it does not run such a file
    """
    found = begin_to_load(path, device, runtime)
    found.ready()
    return found


def begin_to_load(path: Path | str, device: str = "cpu", runtime: RuntimeName = "auto") -> Runtime:
    """As ``load_runtime``, for whoever has something else to do first: the network may be loading when it returns.

    What is wrong with the file or the arguments is raised here, with the graph where the model is first asked.
    """
    path = Path(path)
    if runtime not in RUNTIMES:
        raise UnknownName("unknown runtime", where=repr(runtime), do=f"choose from {', '.join(RUNTIMES)}")
    if not path.is_file():
        do = "give the model file in it: model.safetensors" if path.is_dir() else None
        raise PathMissing("no such model file", where=path, do=do)
    exported = path.suffix.lower() == ONNX
    if runtime == "auto" and not exported:
        runtime = "torch"
    elif runtime == "auto":
        only_openvino = find_spec("onnxruntime") is None and find_spec("openvino") is not None
        runtime = "openvino" if only_openvino else "onnxruntime"
    if exported == (runtime == "torch"):
        do = "give a model file" if exported else "export it: triplenet export MODEL -o model.onnx"
        raise UnknownName(f"{runtime} does not run this file", where=path, do=do)
    if exported:
        if device not in ("cpu", "auto"):
            raise UnknownName(
                "an ONNX file is run on the processor", where=f"device {device!r}", do="give a model file"
            )
        return OnnxRuntime(path) if runtime == "onnxruntime" else OpenVinoRuntime(path)
    try:
        from triplenet.training.device import choose_device
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        do = "pip install 'triplenet[train]', or give an exported ONNX file"
        raise MissingExtra("torch is not installed", do=do) from error
    from triplenet.model import load_model

    return TorchRuntime(load_model(path, str(choose_device(device))), sha256_of(path))


def runtime_of(model: Runtime | Model | Path | str, device: str = "cpu", runtime: RuntimeName = "auto") -> Runtime:
    """``model`` as a runtime: what is one already, a loaded model, or the path of a file."""
    if isinstance(model, Runtime):
        return model
    return load_runtime(model, device, runtime) if isinstance(model, Path | str) else TorchRuntime(model)


def _check_names(path: Path, inputs: list[str], outputs: list[str]) -> None:
    if inputs not in (["images"], ["images", "lungs"]) or not {"logits", "heat"} <= set(outputs):
        raise BadModel("the graph takes or gives other things than an exported model", where=path)


def _unusable(path: Path, error: Exception) -> BadModel:
    return BadModel(f"the graph cannot be used ({str(error).splitlines()[0][:300]})", where=path, do="export it again")
