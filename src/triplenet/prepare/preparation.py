"""``triplenet prepare`` as a call: cohort tables -> a prepared set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triplenet.catalog import TASKS, WINDOWS, FrameSampling, Task
from triplenet.cohort import Cohort, combine, load_task, read_cohort
from triplenet.cohort.folds import Scheme
from triplenet.errors import UnknownName
from triplenet.prepare.build import Progress
from triplenet.prepare.build import prepare as build
from triplenet.prepare.found_lungs import LungBy
from triplenet.prepare.patient import Options
from triplenet.prepare.store import PreparedSet
from triplenet.scan import NO_NAMES, SegmentNames

Table = Cohort | Path | str


def prepare(
    cohort: Table | Sequence[Table],
    out: Path | str,
    *,
    window: str | tuple[float, float] = "paper",
    size: int = 256,
    frames: int = 0,
    frame_size: int = 224,
    frame_sampling: FrameSampling = "nearest",
    frame_lungs: bool = False,
    derive_lung: bool = False,
    lung_by: LungBy = "thresholds",
    any_body_part: bool = False,
    allow_gaps: bool = False,
    task: Sequence[Task | Path | str] = (),
    folds: Scheme = "order",
    allow_leakage: bool = False,
    skip_bad_masks: bool = False,
    segments: SegmentNames = NO_NAMES,
    seed: int = 0,
    jobs: int | None = None,
    on_progress: Progress = lambda _done, _total: None,
) -> PreparedSet:
    """Choose each patient's slice and write the prepared set that training reads into the folder ``out``.

    :param cohort: a table, read or its CSV; several are taken together
    :param window: ``paper``, ``lung``, ``wide``, or (lower, upper) in HU
    :param size: height and width of the images, pixels
    :param frames: slices a patient for the 3D methods; 0 for none
    :param task: tasks of your own, so that their findings are known
    :param folds: ``order``: the paper's numerical order; ``stratified``: shuffled by ``seed``; ``site``: leave sites
        out, see ``cohort.split``
    :raises UnknownName: no such window
    :raises BadCohort: a table is damaged

    The other parameters and errors are those of ``patient.Options`` and ``build.prepare``.
    """
    tasks = [*TASKS.values(), *(load_task(one) for one in task)]
    tables = [cohort] if isinstance(cohort, Cohort | Path | str) else list(cohort)
    options = Options(
        window_hu=_window(window),
        size=size,
        frames=frames,
        frame_size=frame_size,
        frame_sampling=frame_sampling,
        frame_lungs=frame_lungs,
        derive_lung=derive_lung,
        lung_by=lung_by,
        any_body_part=any_body_part,
        allow_gaps=allow_gaps,
        segments=segments,
    )
    read = [
        table if isinstance(table, Cohort) else read_cohort(table, tasks=tasks, missing_masks=skip_bad_masks)
        for table in tables
    ]
    return build(
        combine(read),
        out,
        options,
        scheme=folds,
        fold_seed=seed,
        allow_leakage=allow_leakage,
        skip_bad_masks=skip_bad_masks,
        jobs=jobs,
        on_progress=on_progress,
    )


def _window(window: str | tuple[float, float]) -> tuple[float, float]:
    if not isinstance(window, str):
        return window
    if window not in WINDOWS:
        raise UnknownName("no such window", where=repr(window), do=f"choose one of {', '.join(WINDOWS)}")
    return WINDOWS[window]
