"""What a run says of itself: ``run.json`` and the model's card."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

import triplenet
from triplenet import catalog
from triplenet.catalog import Task
from triplenet.model import EmbeddingFacts, ModelCard, task_card
from triplenet.networks.base import Network
from triplenet.prepare.store import PreparedSet
from triplenet.relative_paths import relative_path
from triplenet.training.data import FoldData
from triplenet.training.device import device_name
from triplenet.training.recipe import Recipe
from triplenet.training.run import Hardware, RunInfo
from triplenet.training.scan_facts import training_scans
from triplenet.training.state import Best


def describe(
    prepared: PreparedSet,
    task: Task,
    fold: int,
    recipe: Recipe,
    data: FoldData,
    network: Network,
    hardware: Hardware,
    out: Path,
) -> RunInfo:
    """``run.json`` at the beginning.

    :param out: the run's folder
    """
    return RunInfo(
        method=recipe.method,
        task=task_card(task),
        classes=task.classes,
        fold=fold,
        fold_sha256=prepared.fold(fold).sha256,
        prepared=relative_path(prepared.folder.resolve(), out.resolve()),
        data_sha256=prepared.info.sha256,
        leakage=len(prepared.info.leakage),
        recipe=recipe.shown(),
        encoder=None,
        patients={
            name: {
                label_name: int((part.labels == label).sum())
                for label, label_name in [*enumerate(task.classes), (-1, "")]
                if label >= 0 or bool((part.labels < 0).any())
            }
            for name, part in (("train", data.train), ("validation", data.validation), ("test", data.test))
        },
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        versions={
            "triplenet": triplenet.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            **_package(recipe.method),
        },
        hardware=hardware,
        started=datetime.now(UTC),
    )


def _package(method: str) -> dict[str, str]:
    """The package that brought the method, with its version, where that is another one."""
    name, _, version = catalog.method(method).package.rpartition(" ")
    return {name: version} if name else {}


def hardware(device: torch.device, **more: int | str | bool) -> Hardware:
    """What computes; ``more`` are the other fields."""
    system = f"{platform.system()} {platform.machine()}"
    return Hardware.model_validate({"device": device.type, "name": device_name(device), "system": system} | more)


def model_card(
    recipe: Recipe,
    task: Task,
    info: RunInfo,
    data: FoldData,
    prepared: PreparedSet,
    crop: int,
    best: Best,
    validation: Mapping[str, float | None],
    temperature: float | None,
    embedding: EmbeddingFacts | None,
) -> ModelCard:
    """The card of the kept weights."""
    shape = data.test.images.shape
    return ModelCard(
        method=recipe.method,
        network=recipe.network,
        classes=task.classes,
        task=task_card(task),
        window_hu=prepared.info.window_hu,
        size=data.size,
        crop=crop,
        dimensions=catalog.method(recipe.method).dimensions,
        frames=shape[1] if len(shape) == 4 else 0,
        frame_sampling=prepared.info.frame_sampling,
        recipe=dict(recipe.shown()),
        data_sha256=info.data_sha256,
        fold=info.fold,
        fold_sha256=info.fold_sha256,
        epoch=best.epoch,
        validation=dict(validation),
        temperature=temperature,
        training_scans=training_scans(prepared, data.train.patients, embedding),
        versions=info.versions,
        created=datetime.now(UTC).date(),
    )
