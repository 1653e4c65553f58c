"""The rescale of a series: a slice that lacks slope or intercept among others that have them is not its own judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from triplenet.errors import NotHu
from triplenet.scan.dicom_frames import Frame


def with_series_rescale(frames: Sequence[Frame], where: object) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """The frames with the rescale of their series where they have none of their own, and a note of it.

    :raises NotHu: some slices lack it and the others do not agree, or are frames of the same file
    """
    known = list(dict.fromkeys(frame.rescale for frame in frames if frame.rescale is not None))
    lacking = [frame for frame in frames if frame.rescale is None]
    if not lacking or not known:
        return tuple(frames), ()
    what = f"{len(lacking)} of {len(frames)} slices lack the rescale slope or intercept"
    enhanced = {(frame.file.name, frame.sop_uid) for frame in frames if frame.pixels.frames > 1}
    if len(known) > 1 or enhanced:
        why = "the frames of one file must have their own" if enhanced else "the others have several"
        raise NotHu(f"{what}, and {why}", where=where, do="give the original series")
    filled = tuple(frame if frame.rescale is not None else replace(frame, rescale=known[0]) for frame in frames)
    one = known[0]
    return filled, (f"{what}: the others' is used ({one.slope:g} x stored + {one.intercept:g})",)
