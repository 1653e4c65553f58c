"""Writing a model file, and reading one from anywhere: each thing is checked before the next costs something.

Sizes before the header, the card before the tensors, their shapes against an outline of the network (which takes no
memory) before they are read, their values before the network is built; then the network answers one small image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from triplenet import catalog
from triplenet.errors import BadModel, PathMissing, TripleNetError
from triplenet.files import whole_file
from triplenet.model.card import VERSIONS, ModelCard
from triplenet.model.embedding import EMBEDDING_MEAN, EMBEDDING_WHITENING, Embedding
from triplenet.model.preprocessing import normalise
from triplenet.model.tensor_checks import (
    FLOATS,
    WHOLE,
    Array,
    Layout,
    embedding_fault,
    layout_fault,
    plain_fault,
    value_fault,
)
from triplenet.model.training_scans import MOST_FEATURES, EmbeddingFacts

if TYPE_CHECKING:
    from torch import Tensor

    from triplenet.networks.base import Network

CARD, PREFIX, MEAN_IMAGE = "triplenet", "network.", "preprocessing.mean_image"
#: Bytes. A header holds the names and shapes of some thousand tensors at most, and a card with its recipe.
LARGEST_HEADER = 4 << 20
#: Bytes: a thousand million weights.
LARGEST_FILE = 4 << 30
#: Of the image that a network is asked about when it is read: pixels of a side, and frames.
ASKED_SIDE, ASKED_FRAMES = 64, 8

Bytes = npt.NDArray[np.uint8]
Layouts = Mapping[str, Layout]


@dataclass(frozen=True)
class Model:
    """A model, loaded: the network is in evaluation mode."""

    card: ModelCard
    network: Network
    mean_image: Tensor
    """(size, size) float32 in 0..1, on the network's device"""
    embedding: Embedding | None = None
    """Where the features of its training patients lie, on the network's device; None in files of earlier versions"""

    def normalise(self, images: Tensor | Bytes, lungs: Tensor | Bytes | None = None) -> Tensor:
        """What the network reads, from windowed slices; see ``normalise``."""
        return normalise(images, self.mean_image, self.card.crop, lungs)


def save_model(
    path: Path | str, network: Network, mean_image: Tensor, card: ModelCard, embedding: Embedding | None = None
) -> ModelCard:
    """Write a model file, whole or not at all; gives the card as written.

    :param embedding: where the card has facts of it
    :raises BadModel: a weight is not finite, or so large that the file would not be read again; the card has facts of
        an embedding and there is none, or the other way round
    :raises OutputFailed: no room, no permission
    """
    from safetensors.torch import save

    tensors = {PREFIX + name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    tensors[MEAN_IMAGE] = mean_image.detach().float().cpu().contiguous()
    if embedding is not None:
        tensors[EMBEDDING_MEAN] = embedding.mean.detach().float().cpu().contiguous()
        tensors[EMBEDDING_WHITENING] = embedding.whitening.detach().float().cpu().contiguous()
    if (embedding is None) != (_embedding_facts(card) is None):
        raise BadModel("the card and the embedding are not of one training", where=path, do="nothing was written")
    arrays = {name: value.numpy() for name, value in tensors.items()}
    fault = value_fault(arrays, MEAN_IMAGE)
    if fault is not None:
        raise BadModel(f"impossible values: {fault}", where=path, do="nothing was written")
    card = card.model_copy(update={"tensors_sha256": tensors_sha256(arrays)})
    # A single header entry: with several, the writer's order, and so the file's bytes, would differ between processes.
    content = save(tensors, metadata={CARD: card.model_dump_json()})
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(content)
    return card


def read_card(path: Path | str) -> ModelCard:
    """The card of a model file. Needs no torch.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged, truncated, not a triplenet model, or one that nothing can be prepared for
    """
    with _opened(Path(path)) as stream:
        return card_of(stream.metadata(), Path(path))


def check_model(path: Path | str) -> ModelCard:
    """Read the whole file and compare it with its card, and its values with what a training can give.

    Needs no torch; whether the tensors are those of the method is ``verify_model``'s to say.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged, truncated, or not a triplenet model
    """
    return _read(Path(path))[0]


def verify_model(path: Path | str) -> ModelCard:
    """Check the whole file; where torch is installed, build the network and ask it too.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged, truncated, or not a triplenet model
    """
    return check_model(path) if find_spec("torch") is None else load_model(path).card


def load_model(path: Path | str, device: str = "cpu") -> Model:
    """A model, checked against its card and ready to use.

    :raises PathMissing: there is no such file
    :raises BadModel: damaged, truncated, not a triplenet model, its tensors do not fit its card, or its answer to an
        image is not finite
    """
    import torch

    from triplenet import networks
    from triplenet.networks.outline import outline

    path = Path(path)

    def refuse_others(card: ModelCard, layouts: Layouts) -> None:
        """The tensors are those of the method that the card names."""
        given = {name.removeprefix(PREFIX): layout for name, layout in layouts.items()}
        _refuse_unknown_method(card, path)
        with _held_by(card, path):
            needed = outline(card.method, classes=len(card.classes), **card.network)
            if needed.dimensions != card.dimensions:
                raise ValueError(f"dimensions {card.dimensions}, not {needed.dimensions}")
            needed.rename(given)
            fault = layout_fault(needed.state_dict(), given)
            if fault is not None:
                raise ValueError(fault)

    card, arrays = _read(path, refuse_others)
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    mean_image = tensors.pop(MEAN_IMAGE)
    embedding = None
    if EMBEDDING_MEAN in tensors:
        embedding = Embedding(tensors.pop(EMBEDDING_MEAN), tensors.pop(EMBEDDING_WHITENING))
    state = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    with _held_by(card, path):
        with torch.random.fork_rng(devices=[]):  # building draws weights that are overwritten below
            network = networks.build(card.method, classes=len(card.classes), **card.network)
        network.load_state_dict(state)
        network.requires_grad_(False).eval()
        if not _answers(network, card):
            raise ValueError("its answer to an image is not finite")
        if embedding is not None:
            width = network.features(_small_image(network, card)).shape[1]
            if width != len(embedding.mean):
                raise ValueError(f"{EMBEDDING_MEAN} is of {len(embedding.mean)} features, not {width}")
            embedding = Embedding(embedding.mean.to(device), embedding.whitening.to(device))
    return Model(card, network.to(device), mean_image.to(device), embedding)


def tensors_sha256(arrays: Mapping[str, Array]) -> str:
    """Hexadecimal SHA-256 over the names, types, shapes and values of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _answers(network: Network, card: ModelCard) -> bool:
    """Whether class scores and heat map of a small image are numbers. Weights may each be finite and all overflow."""
    outputs, heat = network.predict_and_explain(_small_image(network, card))
    return bool(outputs.logits.isfinite().all() and heat.isfinite().all())


def _small_image(network: Network, card: ModelCard) -> Tensor:
    """(1, channels, ...) a ramp of grey, all of it lung."""
    import torch

    side = min(card.crop, ASKED_SIDE)
    shape = (1, 1, side, side) if card.dimensions == 2 else (1, 1, min(card.frames, ASKED_FRAMES), side, side)
    grey = torch.linspace(-0.5, 0.5, side * side).reshape(side, side).expand(shape)
    return torch.cat([grey, *[torch.ones(shape)] * (network.channels - 1)], 1)


def _embedding_facts(card: ModelCard) -> EmbeddingFacts | None:
    return None if card.training_scans is None else card.training_scans.embedding


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file as safetensors reads it, when its sizes are believable.

    :raises PathMissing, BadModel: there is no such file; damaged
    """
    if not path.is_file():
        raise PathMissing("no such model file", where=path)
    try:
        size = path.stat().st_size
        with path.open("rb") as start:
            header = int.from_bytes(start.read(8), "little")
        if header > LARGEST_HEADER:
            raise _damaged(path, f"a header of {header} bytes, more than {LARGEST_HEADER}")
        if size > LARGEST_FILE:
            raise _damaged(path, f"{size} bytes, more than {LARGEST_FILE}")
        with safe_open(path, framework="np") as stream:
            yield stream
    except (SafetensorError, OSError, MemoryError) as error:
        raise _damaged(path, str(error)) from error


def card_of(metadata: Mapping[str, str] | None, path: Path) -> ModelCard:
    """The card among a file's metadata.

    :raises BadModel: there is none, or it cannot be read
    """
    if not metadata or CARD not in metadata:
        raise BadModel("not a triplenet model: the file has no model card", where=path)
    try:
        return ModelCard.model_validate_json(metadata[CARD])
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f"{part}." for part in first["loc"]).removesuffix(".")
        text = first["msg"].removeprefix("Value error, ")
        raise BadModel(
            f"the model card cannot be read ({f'{field}: ' if field else ''}{text})",
            where=path,
            do="it may be damaged or from a newer triplenet",
        ) from error


def _read(
    path: Path, refuse: Callable[[ModelCard, Layouts], None] = lambda _card, _layouts: None
) -> tuple[ModelCard, dict[str, Array]]:
    """Card and tensors, all of them checked.

    :param refuse: called before tensors are read
    """
    with _opened(path) as stream:
        card = card_of(stream.metadata(), path)
        layouts = {name: _layout(stream.get_slice(name)) for name in stream.keys()}  # noqa: SIM118 - not a mapping
        mean = layouts.pop(MEAN_IMAGE, None)
        if mean is None:
            raise BadModel(f"the mean image, {MEAN_IMAGE}, is missing", where=path)
        fault = plain_fault(MEAN_IMAGE, mean, (card.size, card.size), FLOATS[:1])
        embedding = {name: layouts.pop(name) for name in (EMBEDDING_MEAN, EMBEDDING_WHITENING) if name in layouts}
        fault = fault or embedding_fault(
            embedding, EMBEDDING_MEAN, EMBEDDING_WHITENING, MOST_FEATURES, told=_embedding_facts(card) is not None
        )
        for name, layout in layouts.items():
            fault = fault or plain_fault(name, layout, layout.shape, (*FLOATS, *WHOLE))
        if fault is not None:
            raise BadModel(fault, where=path, do="do not use this file")
        refuse(card, layouts)
        arrays: dict[str, Array] = {name: stream.get_tensor(name) for name in (*layouts, *embedding, MEAN_IMAGE)}
    if card.tensors_sha256 is not None and tensors_sha256(arrays) != card.tensors_sha256:
        raise BadModel("the weights are not the ones that were written", where=path, do="get the file again")
    fault = value_fault(arrays, MEAN_IMAGE)
    if fault is not None:
        raise BadModel(f"impossible values: {fault}", where=path, do="do not use this file")
    return card, arrays


def _layout(tensor: Any) -> Layout:
    return Layout(tensor.get_dtype(), tuple(tensor.get_shape()))


@contextmanager
def _held_by(card: ModelCard, path: Path) -> Iterator[None]:
    """Whatever goes wrong while the network is built is the file's fault."""
    try:
        yield
    except (TripleNetError, RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        text = str(error).partition("\n")[0]
        raise BadModel(
            f"the file does not hold a {card.method!r} of this version ({text})",
            where=path,
            do=f"it was made with triplenet {card.versions.get('triplenet', '(unknown)')}",
        ) from error


def _refuse_unknown_method(card: ModelCard, path: Path) -> None:
    """A method that another package brings is known only where that is installed."""
    if card.method in catalog.METHODS:
        return
    packages = [f"{name} {version}" for name, version in card.versions.items() if name not in VERSIONS]
    refused = catalog.METHODS.refused.get(card.method)
    raise BadModel(
        f"there is no method {card.method!r} here" + (f": {refused}" if refused else ""),
        where=path,
        do=f"install {' and '.join(packages)}, which brings it"
        if packages and not refused
        else f"it was made with triplenet {card.versions.get('triplenet', '(unknown)')}",
    )


def _damaged(path: Path, what: str) -> BadModel:
    return BadModel(
        f"damaged, truncated or not a model file ({what})", where=path, do="triplenet models end in .safetensors"
    )
