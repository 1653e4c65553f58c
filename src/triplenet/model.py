"""The model file: one ``.safetensors`` with the weights and, as JSON in its header, all that is needed to use them.

Tensors: ``network.*`` (the method's state) and ``preprocessing.mean_image`` (size, size) float32 in 0..1. The header's
only entry, ``triplenet``, is a ``ModelCard``. Nothing in the file is code, and reading the card needs no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from safetensors import SafetensorError, safe_open

from triplenet import catalog
from triplenet.errors import BadInput, BadModel, PathMissing, TripleNetError
from triplenet.files import whole_file
from triplenet.model_checks import card_faults, shape_fault, tensor_fault

if TYPE_CHECKING:
    from torch import Tensor

    from triplenet.networks.base import Network

CARD, PREFIX, MEAN_IMAGE = "triplenet", "network.", "preprocessing.mean_image"
INTENDED_USE = "Research software, not a medical device: not for diagnosis or treatment."

Array = npt.NDArray[np.generic]
Bytes = npt.NDArray[np.uint8]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class TaskCard(BaseModel):
    """The task a model was trained for; see ``catalog.Task``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    findings: dict[str, str]
    """finding -> class name"""
    positive: tuple[str, ...]
    """The classes whose probabilities add up to that of disease."""


class ModelCard(BaseModel):
    """What a model is, what it takes and where it came from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["triplenet model"] = "triplenet model"
    version: Literal[1] = 1
    method: str
    network: dict[str, JsonValue] = {}
    """The method's own options, as ``networks.build`` takes them."""
    classes: tuple[str, ...] = Field(min_length=2)
    task: TaskCard
    window_hu: tuple[float, float]
    """lower, upper: mapped to 0 and 255"""
    size: int = Field(gt=0)
    """H = W of the image before the crop"""
    crop: int = Field(gt=0)
    """H = W of what the network reads, cut from the middle"""
    dimensions: Literal[2, 3]
    frames: int = Field(0, ge=0)
    """T of a 3D method's input; 0 for a 2D one"""
    frame_sampling: catalog.FrameSampling = "nearest"
    recipe: dict[str, JsonValue]
    """The whole training recipe."""
    data_sha256: Hash
    """Of the prepared set."""
    fold: int
    fold_sha256: Hash | None = None
    epoch: int | None = None
    """The epoch the weights are from, counted from 0."""
    validation: dict[str, float | None] = {}
    """Metrics on the validation patients at that epoch; None where not defined."""
    versions: dict[str, str]
    created: date
    """UTC"""
    intended_use: str = INTENDED_USE
    tensors_sha256: Hash | None = None
    """Of the tensors in the file; ``save_model`` fills it in."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelCard:
        if self.crop > self.size:
            raise ValueError(f"crop {self.crop} is larger than size {self.size}")
        if (self.dimensions == 3) != (self.frames > 0):
            raise ValueError(f"dimensions {self.dimensions} does not go with frames {self.frames}")
        for fault in card_faults(self.window_hu, self.size, self.crop, self.frames, self.classes):
            raise ValueError(fault)
        if not set(self.task.positive) <= set(self.classes):
            raise ValueError("positive must name classes")
        return self

    @property
    def positive(self) -> tuple[int, ...]:
        """Indices of the classes that count as disease."""
        return tuple(self.classes.index(name) for name in self.task.positive)

    def as_task(self) -> catalog.Task:
        """The task as the rest of the package knows it."""
        return catalog.Task(self.task.name, self.task.title, self.classes, dict(self.task.findings), self.task.positive)


def task_card(task: catalog.Task) -> TaskCard:
    """The part of a card that describes the task."""
    return TaskCard(name=task.name, title=task.title, findings=dict(task.findings), positive=task.positive)


@dataclass(frozen=True)
class Model:
    """A model, loaded: the network is in evaluation mode."""

    card: ModelCard
    network: Network
    mean_image: Tensor
    """(size, size) float32 in 0..1, on the network's device"""

    def normalise(self, images: Tensor | Bytes, lungs: Tensor | Bytes | None = None) -> Tensor:
        """What the network reads, from windowed slices; see ``normalise``."""
        return normalise(images, self.mean_image, self.card.crop, lungs)


def normalise(images: Tensor | Bytes, mean_image: Tensor, crop: int, lungs: Tensor | Bytes | None = None) -> Tensor:
    """Grey in 0..1 minus the mean image, centre crop: the one preprocessing of evaluation and inference.

    :param images: (B, H, W) uint8, or (B, T, H, W) for a 3D method, as a prepared set holds them
    :param mean_image: (H, W) float32 in 0..1; its device is where the work is done
    :param lungs: (B, T, H, W) uint8, 1 in the lung, for a network that reads it as its second channel
    :returns: (B, 1, crop, crop) float32, or (B, 1 or 2, T, crop, crop)
    :raises BadInput: the images have another size or type than the model's
    """
    import torch

    tensor = _tensor(images)
    if tensor.dtype != torch.uint8:
        raise BadInput(f"images are {tensor.dtype}, not uint8 as a prepared set holds them")
    if tensor.ndim not in (3, 4) or tensor.shape[-2:] != mean_image.shape:
        height, width = mean_image.shape
        raise BadInput(f"images are {tuple(tensor.shape)}, not (B, {height}, {width}) or (B, T, {height}, {width})")
    margin = (tensor.shape[-1] - crop) // 2
    window = slice(margin, margin + crop)
    grey = tensor[..., window, window].to(mean_image.device, torch.float32) / 255
    normalised = (grey - mean_image[window, window]).unsqueeze(1)
    if lungs is None:
        return normalised
    inside = _tensor(lungs)
    if inside.shape != tensor.shape:
        raise BadInput(f"lung masks are {tuple(inside.shape)}, not {tuple(tensor.shape)} as the frames")
    return torch.cat([normalised, inside[..., window, window].unsqueeze(1).to(normalised)], 1)


@contextmanager
def full_float32() -> Iterator[None]:
    """Keep a GPU from rounding the factors of float32 products to ten bits (TF32), its default in convolutions.

    A model then says on a GPU what it says on a processor.
    """
    import torch

    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = False
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def _tensor(array: Tensor | Bytes) -> Tensor:
    import torch

    # Torch wants to be able to write; a file that is mapped into memory cannot be written.
    return torch.from_numpy(np.require(array, requirements=("C", "W"))) if isinstance(array, np.ndarray) else array


def save_model(path: Path | str, network: Network, mean_image: Tensor, card: ModelCard) -> ModelCard:
    """Write a model file, whole or not at all; gives the card as written.

    :raises OutputFailed: no room, no permission
    """
    from safetensors.torch import save

    tensors = {PREFIX + name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    tensors[MEAN_IMAGE] = mean_image.detach().float().cpu().contiguous()
    arrays = {name: value.numpy() for name, value in tensors.items()}
    card = card.model_copy(update={"tensors_sha256": tensors_sha256(arrays)})
    # A single header entry: with several, the writer's order, and so the file's bytes, would differ between processes.
    content = save(tensors, metadata={CARD: card.model_dump_json()})
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(content)
    return card


def read_card(path: Path | str) -> ModelCard:
    """The card of a model file. Needs no torch.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged, truncated, or not a triplenet model
    """
    path = _existing(path)
    try:
        with safe_open(path, framework="np") as stream:
            metadata: Mapping[str, str] | None = stream.metadata()
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    if not metadata or CARD not in metadata:
        raise BadModel("not a triplenet model: the file has no model card", where=path)
    try:
        return ModelCard.model_validate_json(metadata[CARD])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "card"
        raise BadModel(
            f"the model card cannot be read ({place}: {first['msg']})",
            where=path,
            do="it may be damaged or from a newer triplenet",
        ) from error


def verify_model(path: Path | str) -> ModelCard:
    """Read the whole file and compare it with its card, its values with what a training can give.

    Needs no torch; where torch is there, the network is built and compared with the tensors too.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged, truncated, or not a triplenet model
    """
    if find_spec("torch") is not None:
        return load_model(path).card
    return _checked(_existing(path))[0]


def load_model(path: Path | str, device: str = "cpu") -> Model:
    """A model, checked against its card and ready to use.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged, truncated, not a triplenet model, or its tensors do not fit its card
    """
    import torch

    from triplenet import networks
    from triplenet.networks.outline import outline

    path = _existing(path)
    card, arrays = _checked(path)
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    mean_image = tensors.pop(MEAN_IMAGE)
    state = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    try:
        catalog.method(card.method)
        expected = outline(card.method, classes=len(card.classes), **card.network)
        expected.rename(state)
        fault = shape_fault(expected.state_dict(), state)
        if fault is not None:
            raise ValueError(fault)
        with torch.random.fork_rng(devices=[]):  # building draws weights that are overwritten below
            network = networks.build(card.method, classes=len(card.classes), **card.network)
        network.load_state_dict(state)
    except (TripleNetError, RuntimeError, TypeError, ValueError) as error:
        text = str(error).partition("\n")[0]
        raise BadModel(
            f"the file does not hold a {card.method!r} of this version ({text})",
            where=path,
            do=f"it was made with triplenet {card.versions.get('triplenet', '(unknown)')}",
        ) from error
    network.requires_grad_(False).eval().to(device)
    return Model(card, network, mean_image.to(device))


def tensors_sha256(arrays: Mapping[str, Array]) -> str:
    """Hexadecimal SHA-256 over the names, types, shapes and values of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _checked(path: Path) -> tuple[ModelCard, dict[str, Array]]:
    from safetensors.numpy import load_file

    card = read_card(path)
    try:
        arrays: dict[str, Array] = load_file(path)
    except (SafetensorError, OSError, KeyError) as error:
        raise _damaged(path, error) from error
    if card.tensors_sha256 is not None and tensors_sha256(arrays) != card.tensors_sha256:
        raise BadModel("the weights are not the ones that were written", where=path, do="get the file again")
    if MEAN_IMAGE not in arrays or arrays[MEAN_IMAGE].shape != (card.size, card.size):
        raise BadModel(f"the mean image is missing or not {card.size} x {card.size}", where=path)
    fault = tensor_fault(arrays, MEAN_IMAGE)
    if fault is not None:
        raise BadModel(f"impossible values: {fault}", where=path, do="do not use this file")
    return card, arrays


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise PathMissing("no such model file", where=path)
    return path


def _damaged(path: Path, error: Exception) -> BadModel:
    return BadModel(
        f"damaged, truncated or not a model file ({error})", where=path, do="triplenet models end in .safetensors"
    )
