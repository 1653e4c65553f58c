"""A Ray cluster, for whatever is spread over several machines: connecting to it, and what a task may ask for.

Every machine of the cluster needs the same triplenet, and what is read and written under the same paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from triplenet.errors import MissingExtra, UnknownName
from triplenet.processes import usable_threads

if TYPE_CHECKING:
    from types import ModuleType

LOCAL = "local"
RETRIES = 3
"""Of a task whose process or machine was lost"""


@contextmanager
def ray_cluster(address: str) -> Iterator[ModuleType]:
    """Ray, connected; what was connected before stays so.

    :param address: ``local`` starts Ray on this machine; else a cluster's, as ``ray start`` printed it, or ``auto``
    :raises MissingExtra: Ray is not installed
    :raises UnknownName: there is no cluster at the address
    """
    ray = _ray()
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    try:
        yield ray
    finally:
        if own:
            ray.shutdown()


def task_share(ray: ModuleType, device: str, threads: int) -> dict[str, float]:
    """What a task asks for, so that each machine of the cluster can have at least one.

    :param threads: that are wanted
    """
    nodes = _nodes(ray)
    processors = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    share: dict[str, float] = {"num_cpus": max(1, min([threads, *processors]))}
    if device in ("auto", "cuda") and any(node.get("GPU", 0) >= 1 for node in nodes):
        share["num_gpus"] = 1
    return share


def tasks_at_once(ray: ModuleType, share: dict[str, float]) -> int:
    """How many tasks of a share the cluster has room for; at least 1."""
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    return max(1, sum(min(int(node.get(names[n], 0) // need) for n, need in share.items()) for node in _nodes(ray)))


def said_of_loss(error: Exception) -> str:
    """Why Ray has no answer of a task, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{lines[0]} ({lines[-1]})" if len(lines) > 1 else type(error).__name__
    return text[:300]


def _nodes(ray: ModuleType) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _connect(ray: ModuleType, address: str) -> None:
    more: dict[str, Any] = {"num_cpus": usable_threads()} if address == LOCAL else {"address": address}
    try:
        ray.init(
            include_dashboard=False if address == LOCAL else None, log_to_driver=False, logging_level="error", **more
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UnknownName(
            f"no Ray cluster answers ({str(error).strip().partition(chr(10))[0]})",
            where=f"--ray {address}",
            do="start one with ray start --head, or use --ray local",
        ) from error


def _ray() -> ModuleType:
    # Software that handles patients' data reports to nobody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise MissingExtra("ray is not installed", do="pip install 'triplenet[ray]'") from error
    module: ModuleType = ray
    return module
