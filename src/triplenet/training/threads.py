"""How many threads the processor really gives this process: affinity, container quota, OMP_NUM_THREADS."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available(cgroup: Path = CGROUP) -> int:
    """At least 1; more threads than this only make them wait for each other."""
    counts = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    quota = _quota(cgroup)
    if quota is not None:
        counts.append(quota)
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdecimal():
        counts.append(int(named))
    return max(1, min(counts))


def _quota(cgroup: Path) -> int | None:
    """Processors' worth of time that the container may use, rounded up; None without a limit."""
    try:  # version 2
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:  # version 1
            limit = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not limit.isdecimal() or not period.isdecimal():  # "max", "-1": no limit
        return None
    return math.ceil(int(limit) / int(period)) or None
