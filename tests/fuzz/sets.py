"""A valid model file, prepared set, cohort table, recipe and list of names, and how each is damaged."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

from fuzz.damage import Below, Bytes, Source, text

_ODD = (float("nan"), float("inf"), -1.0, 0.0, 1e30, -1e30, 1e-40, 3.4e38)


def model(folder: Path) -> list[Source]:
    """A model file with its bytes, its card, or its values changed; the last with the checksum that fits them."""
    import torch

    from toy_model import marker
    from triplenet import networks
    from triplenet.model import Embedding, EmbeddingFacts, TrainingScans, save_model

    grids = [[2, 4, 4], [1, 2, 2], [1, 1, 1]]
    facts = EmbeddingFacts(quantile=0.99, limit=9.0, patients=12, of="validation")
    scans = TrainingScans(
        patients=30, slice_mm=(0.8, 1.5), kernels={"LUNG": 20, "B40f": 3}, contrast={"no": 30}, embedding=facts
    )
    told = {"network": {"grids": grids}, "training_scans": scans, "temperature": 1.5}
    card = marker(size=40, crop=36, frames=4, method="decovnet").card.model_copy(update=told)
    network = networks.build("decovnet", classes=2, grids=grids)
    path = folder / "a.safetensors"
    save_model(path, network, torch.full((40, 40), 0.5), card, Embedding(torch.zeros(32), torch.eye(32)))
    data = path.read_bytes()
    return [Bytes(data), Below(text(_header(data)), lambda header: _with_header(header, data)), _odd_values(data)]


def prepared(folder: Path) -> list[Source]:
    """Each file of a prepared set, its name in front; half of the time the set's card has the checksum that fits."""
    from toy_prepared import write_toy

    write_toy(folder / "set", ("none", "spot") * 9, size=40, frames=3, second=lambda masks: masks == 2)
    found: list[Source] = []
    for path in sorted((folder / "set").iterdir()):
        data = path.read_bytes()
        source = Bytes(data) if path.suffix == ".npy" else text(data)
        found.append(Below(source, _named(path.name)))
    return found


def table(folder: Path) -> list[Source]:
    """A cohort table as different programs save it."""
    (folder / "s").mkdir()
    rows = "".join(f"P{k},typical,s,none,site {k % 3}\n" for k in range(9))
    plain = f"patient,finding,scan,infection,site\n{rows}"
    semicolons = "sep=;\n" + plain.replace(",", ";")
    quoted = "".join(",".join(f'"{cell}"' for cell in line.split(",")) + "\r\n" for line in plain.splitlines())
    return [
        text(plain.encode()),
        text(semicolons.encode("utf-8-sig")),
        text(quoted.encode()),
        Bytes(plain.replace(",", "\t").encode("utf-16")),
    ]


def recipe(_folder: Path) -> list[Source]:
    """The recipes that come with triplenet."""
    from importlib.resources import files

    folder = files("triplenet.training") / "recipes"
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".toml"))
    return [text((folder / name).read_bytes()) for name in names]


def segment_names(_folder: Path) -> list[Source]:
    """A site's names of segments."""
    return [text('lung = ["Pulmo", "SCT:39607008"]\ninfection = ["Läsion*", "Consolidation"]\nother = []\n'.encode())]


def _named(name: str) -> Callable[[bytes], bytes]:
    return lambda content: name.encode() + b"\n" + content


def _header(data: bytes) -> bytes:
    return data[8 : 8 + struct.unpack("<Q", data[:8])[0]]


def _with_header(header: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + data[8 + len(_header(data)) :]


def _odd_values(data: bytes) -> Source:
    """A model whose values are no training's, or whose card says something odd, but whose checksum is right."""
    from safetensors.numpy import load, save

    from triplenet.model import CARD, tensors_sha256

    def source(rng: random.Random) -> bytes:
        arrays = {name: array.copy() for name, array in load(data).items()}
        for name in rng.sample(sorted(arrays), rng.choice((1, 1, 3))):
            values = arrays[name].reshape(-1)
            values[rng.randrange(values.size) :: rng.choice((1, 7, 10**9))] = (
                rng.choice(_ODD[2:4]) if (values.dtype.kind != "f") else rng.choice(_ODD)
            )
        card = json.loads(json.loads(_header(data))["__metadata__"][CARD])
        if rng.random() < 0.5:
            key = rng.choice(sorted(card))
            card[key] = rng.choice((None, 0, -1, 1, 10**8, 2**63, 1e308, "x" * 10_000, [], [1e308, -1e308], {}, True))
        card["tensors_sha256"] = tensors_sha256(arrays)
        return save(arrays, metadata={CARD: json.dumps(card)})

    return source
