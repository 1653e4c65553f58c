"""A finished run that nobody trained: random weights, and everything a run's folder needs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import torch

from toy_networks import frozen
from toy_prepared import TASK
from triplenet import catalog, networks
from triplenet.catalog import Task
from triplenet.model import ModelCard, save_model, task_card
from triplenet.prepare.store import PreparedSet
from triplenet.training.run import Hardware, Run, RunInfo, open_run, write_info


def random_card(
    prepared: PreparedSet, task: Task, method: str, *, fold: int, crop: int, options: Mapping[str, Any]
) -> ModelCard:
    """The card of a model that nobody trained on this prepared set."""
    volume = catalog.method(method).dimensions == 3
    return ModelCard(
        method=method,
        network=dict(options),
        classes=task.classes,
        task=task_card(task),
        window_hu=prepared.info.window_hu,
        size=prepared.info.frame_size if volume else prepared.info.size,
        crop=crop,
        dimensions=3 if volume else 2,
        frames=prepared.info.frames if volume else 0,
        recipe={},
        data_sha256=prepared.info.sha256,
        fold=fold,
        versions={"triplenet": "0"},
        created=date(2022, 11, 24),
    )


def write_run(folder: Path, prepared: PreparedSet, method: str, *, crop: int, **options: bool) -> Run:
    """Write a run of fold 1 of a toy prepared set and open it.

    :param options: of the network
    """
    folder.mkdir(parents=True)
    card = random_card(prepared, TASK, method, fold=1, crop=crop, options=options)
    network = networks.build(method, **options).eval() if options else frozen(method)
    save_model(folder / "model.safetensors", network, torch.full((card.size, card.size), 0.3), card)
    info = RunInfo(
        status="complete",
        method=method,
        task=card.task,
        classes=card.classes,
        fold=1,
        fold_sha256=prepared.fold(1).sha256,
        prepared=str(prepared.folder),
        data_sha256=prepared.info.sha256,
        recipe={},
        encoder=None,
        patients={},
        parameters=0,
        versions={},
        hardware=Hardware(device="cpu", name="none", threads=1, system="none"),
        started=datetime(2022, 11, 24, tzinfo=UTC),
    )
    write_info(folder, info)
    return open_run(folder)
