"""ImageNet weights for an encoder: from a file, or from torchvision's address when that is allowed.

``initialise(network)`` uses the file named by ``TRIPLENET_ENCODER``; nothing ever starts from random weights unasked.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from triplenet.errors import BadWeights, NoEncoderWeights
from triplenet.networks.base import Network
from triplenet.networks.encoder import Encoder

VARIABLE = "TRIPLENET_ENCODER"
CLASSIFIERS = ("fc.", "classifier.")  # of the ImageNet networks; not part of an encoder
SHOWN = 5


@dataclass(frozen=True)
class EncoderWeights:
    """Where an encoder's weights came from, for the record of a run."""

    name: str
    """of the file"""
    sha256: str


def initialise(
    network: Network, weights: str | Path = "imagenet", *, allow_download: bool = False
) -> EncoderWeights | None:
    """Start every copy of the network's encoder from pretrained weights; None if it starts from random ones.

    :param weights: ``imagenet`` is the file named by TRIPLENET_ENCODER, else torchvision's; ``none`` keeps the random
        ones; anything else is the path of a file (``.safetensors``, or ``.pth`` of plain tensors). A 3D method without
        a 2D encoder starts from random weights by definition, unless a path is given.
    :param allow_download: whether torchvision's file may be fetched from its address, checked by hash
    :raises NoEncoderWeights: the weights are not to be had
    :raises BadWeights: the file is damaged, or does not fit the encoder
    """
    path = _source(network, weights, allow_download)
    if path is None:
        return None
    network.load_encoder(fit(read(path), network.encoder_state(), path))
    return _described(path)


def weights_of(
    network: Network, weights: str | Path = "imagenet", *, allow_download: bool = False
) -> EncoderWeights | None:
    """What ``initialise`` would start the network from, without doing so; arguments and errors are its own."""
    path = _source(network, weights, allow_download)
    return None if path is None else _described(path)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, floating ones as float32.

    :raises BadWeights: damaged, or holds something else than tensors
    """
    try:
        if path.suffix == ".safetensors":
            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise BadWeights(f"the file cannot be read ({_first_line(error)})", where=path) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]  # as training scripts save it
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadWeights("the file does not hold tensors by name", where=path)
    return {
        str(name).removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in state.items()
    }


def fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: object = None) -> dict[str, Tensor]:
    """The tensors that an encoder needs, in its order.

    :raises BadWeights: lists what is missing, left over, of another shape or not finite
    """
    given = {name: value for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    # Files older than torch 0.4.1 have no counters, and evaluation does not read them.
    counters = {name: value for name, value in expected.items() if name.endswith("num_batches_tracked")}
    given = {**counters, **given}
    faults = [f"{name} is missing" for name in expected if name not in given]
    faults += [f"{name} is not of this encoder" for name in given if name not in expected]
    faults += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in given and given[name].shape != value.shape
    ]
    faults += [f"{name} is not finite" for name in expected if name in given and not given[name].isfinite().all()]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise BadWeights(
            f"the weights do not fit the encoder ({', '.join(faults[:SHOWN])}{more})",
            where=where,
            do="give a file for this encoder, or choose the encoder that it is for",
        )
    return {name: given[name] for name in expected}


def _source(network: Network, weights: str | Path, allow_download: bool) -> Path | None:
    encoder = getattr(network, "encoder", None)
    if str(weights) == "none" or (str(weights) == "imagenet" and not isinstance(encoder, Encoder)):
        return None
    return _find(encoder, weights, allow_download)


def _described(path: Path) -> EncoderWeights:
    return EncoderWeights(path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def _find(encoder: object, weights: str | Path, allow_download: bool) -> Path:
    named = os.environ.get(VARIABLE) if str(weights) == "imagenet" else str(weights)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise NoEncoderWeights(
                "no such weights file", where=path, do="correct the path, or start from random: encoder.weights = none"
            )
        return path
    url = encoder.url if isinstance(encoder, Encoder) else None
    if not allow_download or url is None:
        source = "" if url is None else f"download {url}, or "
        raise NoEncoderWeights(
            "there are no ImageNet weights for the encoder",
            do=f"{source}name a file by encoder.weights or {VARIABLE}, or start from random: encoder.weights = none",
        )
    return _download(url)


def _download(url: str) -> Path:
    """The file in torch's own cache; its name ends in the first digits of its SHA-256."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rpartition("/")[2]
    prefix = path.stem.rpartition("-")[2]
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest().startswith(prefix):
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise NoEncoderWeights(
            f"the download failed ({_first_line(error)})",
            where=url,
            do=f"name a file by encoder.weights or {VARIABLE}, or start from random: encoder.weights = none",
        ) from error
    return path


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
