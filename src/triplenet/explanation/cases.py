"""The patients of a run, each with what the model says and where it looked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from triplenet import catalog
from triplenet.errors import BadPreparedSet, BadRun, PathMissing, UnknownName
from triplenet.explanation.map_cost import MapCost
from triplenet.explanation.map_kinds import MAPS, OWN, MapKind
from triplenet.explanation.map_scores import MapScores, score_map
from triplenet.explanation.maps import array_read, classify_and_explain, network_inputs
from triplenet.prepare.store import PreparedPatient, PreparedSet

if TYPE_CHECKING:
    from triplenet.model import Model
    from triplenet.training.run import Run

Partition = Literal["test", "validation", "train"]
PARTITIONS: tuple[Partition, ...] = get_args(Partition)
FrameRule = Literal["the slice with the mask", "most heat"]
#: Images at once; a volume of frames is as much work as its frames.
BATCH = {2: 16, 3: 1}

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """One patient, explained."""

    number: int
    """Position in the partition, from 1: the same whatever selection is shown"""
    patient: PreparedPatient
    label: int | None
    """The true class; None without a finding"""
    probabilities: npt.NDArray[np.float64]
    """(C,)"""
    target: int | None
    """The class that the heat map speaks of; None when it does not depend on one"""
    image: Bytes
    """(H, W) grey; of a 3D method the frame that is shown"""
    heat: npt.NDArray[np.float32]
    """(H, W) in 0..1"""
    infection: npt.NDArray[np.bool_] | None
    """(H, W); None when nobody knows, or when the mask lies on another slice than the one shown"""
    lung: npt.NDArray[np.bool_] | None = None
    """(H, W), the infection included; None likewise"""
    frame: int | None = None
    """Which frame is shown, from the feet from 0; None for a 2D method"""
    frame_rule: FrameRule | None = None
    class_heat: npt.NDArray[np.float32] | None = None
    """(H, W) in 0..1, what speaks for a class; None where ``heat`` does that already"""
    class_target: int | None = None
    """That class"""

    @property
    def predicted(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())

    @property
    def right(self) -> bool | None:
        """Whether the prediction is the truth; None without a finding."""
        return None if self.label is None else self.label == self.predicted

    @cached_property
    def map_scores(self) -> MapScores:
        """The heat map beside the true infection and the lung."""
        return score_map(self.heat, self.infection, self.lung)

    def scores(self) -> dict[str, object]:
        """The map in numbers, by the columns of a table; None where one is not defined."""
        return {"heat_max": float(self.heat.max()), **asdict(self.map_scores)}


def open_prepared(run: Run, given: PreparedSet | Path | str | None = None) -> PreparedSet:
    """The prepared set that a run was trained on, checked.

    :param given: where it is now, or the set itself; by default where it was
    :raises PathMissing: it is not there
    :raises BadPreparedSet: damaged, or another one than the run's
    """
    if given is None:
        given = run.folder / run.info.prepared
        if not given.is_dir():
            raise PathMissing(
                "the prepared set is no longer where the run found it", where=given, do="say where with --prepared"
            )
    prepared = PreparedSet.of(given)
    if prepared.info.sha256 != run.info.data_sha256:
        raise BadPreparedSet(
            f"not the prepared set that the run was trained on ({prepared.info.sha256[:12]}, "
            f"not {run.info.data_sha256[:12]})",
            where=prepared.folder,
            do="give the right one with --prepared",
        )
    return prepared


def chosen_patients(
    run: Run, prepared: PreparedSet, partition: Partition, names: Sequence[str] = (), limit: int | None = None
) -> dict[str, int]:
    """Patients of a partition in the fold's order, with their numbers in the prepared set, from 1.

    :param names: only these
    :param limit: only the first ones
    :raises UnknownName: a name that is not in the partition
    """
    fold = prepared.fold(run.info.fold)
    members: dict[Partition, tuple[str, ...]] = {
        "test": fold.test,
        "validation": fold.validation,
        "train": fold.train,
    }
    rows = {patient.patient: number for number, patient in enumerate(prepared.patients, start=1)}
    number_of = {name: rows[name] for name in members[partition]}
    for name in names:
        if name in number_of:
            continue
        elsewhere = next((one for one in PARTITIONS if name in members[one]), None)
        near = get_close_matches(name, number_of, n=1)
        raise UnknownName(
            f"no such patient among the {partition} patients of fold {run.info.fold}",
            where=repr(name),
            do=f"it is a {elsewhere} patient: --partition {elsewhere}"
            if elsewhere
            else f"did you mean {near[0]!r}?"
            if near
            else "see the prepared set's table.csv",
        )
    kept = [name for name in number_of if not names or name in names]
    return {name: number_of[name] for name in kept[:limit]}


def class_index(run: Run, name: str) -> int:
    """The class of this name.

    :raises UnknownName: there is none
    """
    if name not in run.info.classes:
        raise UnknownName("no such class", where=repr(name), do=f"choose one of {', '.join(run.info.classes)}")
    return run.info.classes.index(name)


def cases(
    run: Run,
    prepared: PreparedSet,
    patients: dict[str, int],
    *,
    target: int | None = None,
    kind: MapKind = MAPS[OWN],
    device: str = "cpu",
    cost: MapCost | None = None,
) -> Iterator[Case]:
    """Explain patients of a finished run, in order, as they are ready.

    Of a 3D method's volume one frame is shown: that of the slice with the mask when it is among the frames, else the
    one with the most heat. A mask is known for that slice only.

    :param patients: name -> number, as ``chosen_patients`` gives them
    :param target: class to explain; the predicted one by default
    :param kind: of heat map; only beside the method's own stands a second one
    :param cost: is added to: what the maps of ``kind`` cost
    :raises BadRun: the training is not finished
    :raises BadPreparedSet: the set lacks what the network reads
    """
    from triplenet.model import load_model

    if not run.complete:
        raise BadRun("the training is not finished", where=run.folder, do="go on with triplenet train --resume")
    model = load_model(run.model, device)
    dimensions = model.card.dimensions
    array_read(model, prepared)  # refused before there is anything
    depends = kind.caption(catalog.method(model.card.method).explanation).depends_on_class
    labels = prepared.labels(run.task)
    rows = prepared.rows(list(patients))
    numbers = list(patients.values())
    for first in range(0, len(rows), BATCH[dimensions]):
        batch = rows[first : first + BATCH[dimensions]]
        images, lungs = network_inputs(model, prepared, batch)
        of_pass = MapCost()
        with of_pass.counting(model.network, len(batch)):
            found = classify_and_explain(model, images, lungs, target)
        if kind.name != OWN:
            of_pass = MapCost()
            with of_pass.counting(model.network, len(batch)):
                heat = _of_kind(model, images, kind, target, lungs)
            found = replace(found, heat=heat, class_heat=None)
        if cost is not None:
            cost.add(of_pass)
        probabilities = found.probabilities
        for place, row in enumerate(batch):
            label = int(labels[row])
            class_heat = None if found.class_heat is None else found.class_heat[place]
            explained = int(probabilities[place].argmax()) if target is None else target
            case = Case(
                number=numbers[first + place],
                patient=prepared.patients[row],
                label=None if label < 0 else label,
                probabilities=probabilities[place],
                target=explained if depends else None,
                image=images[place],
                heat=found.heat[place],
                infection=prepared.lesion(int(row)),
                lung=prepared.lung(int(row)),
                class_heat=class_heat,
                class_target=None if class_heat is None else explained,
            )
            yield case if dimensions == 2 else _one_frame(case, np.asarray(prepared.images[row]))


def _one_frame(case: Case, labelled: Bytes) -> Case:
    """Of a case whose image and maps are volumes (T, H, W) the frame that is shown.

    :param labelled: (H, W) the slice that the mask lies on
    """
    frame, rule = frame_to_show(case.image, case.heat, labelled)
    shown = replace(
        case,
        image=case.image[frame],
        heat=case.heat[frame],
        class_heat=None if case.class_heat is None else case.class_heat[frame],
        frame=frame,
        frame_rule=rule,
    )
    if rule != "the slice with the mask":
        return replace(shown, infection=None, lung=None)
    return shown


def _of_kind(
    model: Model, images: Bytes, kind: MapKind, target: int | None, lungs: Bytes | None
) -> npt.NDArray[np.float32]:
    from triplenet.explanation.attribution import explain_batch

    return explain_batch(model, images, kind, target, lungs=lungs)


def table_cell(value: object) -> object:
    """A value as the tables of explanations write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6f}" if isinstance(value, float) else value


def frame_to_show(frames: Bytes, heat: npt.NDArray[np.float32], labelled: Bytes) -> tuple[int, FrameRule]:
    """Which of the frames to show.

    :param frames: (T, H, W); ``heat`` likewise
    :param labelled: (H, W) the slice that the mask lies on
    """
    sums = heat.sum(axis=(1, 2), dtype=np.float64)
    same = labelled_frames(frames, labelled)
    if same.any():
        return int(np.where(same, sums, -1.0).argmax()), "the slice with the mask"
    return int(sums.argmax()), "most heat"


def labelled_frames(frames: Bytes, labelled: Bytes) -> npt.NDArray[np.bool_]:
    """(T,) which frames are the slice that the mask lies on: the same image; none where frames have another size.

    :param frames: (T, H, W)
    :param labelled: (H, W)
    """
    if labelled.shape != frames.shape[1:]:
        return np.zeros(len(frames), dtype=bool)
    same: npt.NDArray[np.bool_] = (frames == labelled).all(axis=(1, 2))
    return same
