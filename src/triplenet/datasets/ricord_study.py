"""One study of RICORD: its series is chosen and the infection drawn on that series' own grid.

The series is the axial one with the most drawings. Contours are pixels of the stored image, so that nothing is
resampled: slice by slice in the order in which ``scan`` has them, at the place that their headers give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from triplenet import scan
from triplenet.datasets.contours import Bool, fill_areas
from triplenet.datasets.downloaded_studies import folder_of
from triplenet.datasets.mdai_export import Annotation
from triplenet.datasets.ricord_labels import StudyLabels
from triplenet.errors import BadDataset, NoCtSeries, ScanError, SeriesGap
from triplenet.scan import Candidate, MaskArray, Survey
from triplenet.scan.stack import SAME_PLACE_MM, Stack
from triplenet.scan.survey import build


@dataclass(frozen=True)
class StudyTask:
    """What is to be done with a study.

    :param series: SeriesInstanceUID -> its files
    :param mask: the NIfTI to write, where an infection is drawn
    :param annotations: their file, for messages
    """

    study: str
    series: Mapping[str, Sequence[Path]]
    labels: StudyLabels
    mask: Path
    annotations: Path | None


@dataclass(frozen=True)
class StudyScan:
    """What became of it.

    :param series: key of the series to use
    :param folder: where that lies
    :param used: contours of an infection that are in the mask; 0: none was written
    :param elsewhere: contours of an infection on other series, which are left out
    """

    series: str
    folder: Path
    used: int
    elsewhere: int


def read_study(task: StudyTask) -> StudyScan | ScanError:
    """Choose the series and write the mask; the error where no series can be used.

    :raises BadDataset: a drawing is on an image that the study does not have, or does not fit it
    """
    files = [path for paths in task.series.values() for path in paths]
    found = scan.survey_files(folder_of(files), files)
    counts = Counter(one.image for one in task.labels.lesions if one.drawing is not None)
    damaged = [*found.problems, *(error for candidate in found.candidates for error in candidate.damaged)]
    try:
        _refuse_unknown_images(task, found)
    except BadDataset:
        if damaged:  # the image may be one that cannot be read, which costs its study only
            return damaged[0]
        raise
    try:
        candidate, stacked = _chosen(found, counts)
        infectious = [one for one in task.labels.infectious if one.drawing is not None]
        slice_of = _slices(candidate, stacked)
        ours = [one for one in infectious if one.image in slice_of]
        if ours:
            _write_mask(task, stacked, slice_of, ours)
    except ScanError as error:
        return error
    own = task.series[candidate.key.split("#")[0]]
    return StudyScan(candidate.key, folder_of(list(own)), len(ours), len(infectious) - len(ours))


def _refuse_unknown_images(task: StudyTask, found: Survey) -> None:
    frames = Counter(frame.sop_uid for candidate in found.candidates for frame in candidate.frames)
    for one in task.labels.lesions:
        what = f"the annotation {one.id} ({one.label}) is on the image {one.image}, which"
        if one.image and one.image not in frames:
            raise BadDataset(
                f"{what} its study {task.study} has not",
                where=task.annotations,
                do="download the study with all of its series, or leave it out with all of them",
            )
        if one.image and frames[one.image] > 1:
            raise BadDataset(f"{what} has {frames[one.image]} frames: drawn on which?", where=task.annotations)


def _chosen(found: Survey, drawings: Mapping[str, int]) -> tuple[Candidate, Stack]:
    """The axial series with the most drawings; without any drawing the one that ``scan.open`` would take.

    :raises ScanError: there is none, or its slices form no volume
    """
    usable = [candidate for candidate in found.candidates if candidate.score.excluded is None]
    if not usable:
        reasons = sorted({str(candidate.score.excluded) for candidate in found.candidates})
        raise NoCtSeries(f"no axial CT series ({'; '.join(reasons)})", where=found.path)

    def count(candidate: Candidate) -> int:
        return sum(drawings.get(frame.sop_uid, 0) for frame in candidate.frames)

    most = max(usable, key=count)  # of several the best scored one, which stands first
    if count(most):
        return most, build(most, found.place(most), allow_gaps=True)
    try:
        choice = scan.choose(found)
    except SeriesGap:
        choice = scan.choose(found, allow_gaps=True)
    return choice.candidate, choice.stack


def _slices(candidate: Candidate, stacked: Stack) -> dict[str, int]:
    """SOPInstanceUID -> slice, also of an image that was dropped as the double of another."""
    found = {frame.sop_uid: number for number, frame in enumerate(stacked.frames)}
    places = np.array([frame.position for frame in stacked.frames], np.float64)
    for frame in candidate.frames:
        if frame.sop_uid not in found and frame.position is not None:
            off = np.linalg.norm(places - np.array(frame.position), axis=1)
            if off.min() <= SAME_PLACE_MM:
                found[frame.sop_uid] = int(off.argmin())
    return found


def _write_mask(task: StudyTask, stacked: Stack, slice_of: Mapping[str, int], drawn: Sequence[Annotation]) -> None:
    geometry = stacked.geometry
    mask: MaskArray = np.zeros(geometry.shape, np.uint8)
    for one in drawn:
        mask[slice_of[one.image]] |= _filled(one, geometry.shape[1:], task)
    task.mask.parent.mkdir(parents=True, exist_ok=True)
    # NIfTI holds even grids only; a mask on the mean step is laid on uneven slices by their number when it is read.
    scan.write_nifti(task.mask, mask, replace(geometry, positions=None))


def _filled(one: Annotation, shape: tuple[int, ...], task: StudyTask) -> Bool:
    """(Y, X) bool: the pixels of a drawing."""
    what = f"the annotation {one.id} ({one.label}) on the image {one.image}"
    if one.size is not None and one.size != shape:
        drawn, stored = (f"{columns} x {rows}" for rows, columns in (one.size, shape))
        raise BadDataset(f"{what} was drawn on {drawn} pixels, the image has {stored}", where=task.annotations)
    assert one.drawing is not None
    filled = fill_areas(one.drawing.areas, one.drawing.holes, (shape[0], shape[1]))
    if not filled.any():
        raise BadDataset(f"{what} lies beyond the image", where=task.annotations)
    return filled
