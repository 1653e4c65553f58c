"""An event file for TensorBoard, written here since torch's and TensorBoard's own writers name it after the machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from triplenet.files import make_folder, output_failed

_VERSION = "brain.Event:2"


class EventFile:
    """Numbers by step, in one file a training or continued training; TensorBoard reads all files of the folder.

    :raises OutputFailed: no room, no permission
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        """:param first_step: what earlier files say of this step and later ones is forgotten"""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        make_folder(folder)
        # TensorBoard reads files in the order of their names; "tfevents" is how it knows them.
        self._path = folder / f"events.out.tfevents.{time.time_ns():020d}"
        try:
            self._stream = self._path.open("xb")
        except OSError as error:
            raise output_failed(self._path, error) from error
        self._write(Event(wall_time=time.time(), step=first_step, file_version=_VERSION))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=first_step, session_log=start))

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """The numbers of one step, on the disk when this returns."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write(self, event: object) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        try:
            RecordWriter(self._stream).write(event.SerializeToString())  # type: ignore[attr-defined]  # a protobuf message
            self._stream.flush()
        except OSError as error:
            raise output_failed(self._path, error) from error
