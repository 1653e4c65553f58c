"""``triplenet explain`` as a call, ``explain_run``: where a run's model looked, a picture a patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from triplenet.explanation.cases import Case, Partition, cases, chosen_patients, class_index, open_prepared
from triplenet.explanation.gallery import Gallery, write_gallery
from triplenet.explanation.map_cost import MapCost
from triplenet.explanation.map_kinds import OWN, find_map
from triplenet.explanation.overlay import Style, style_of
from triplenet.files import refuse_existing
from triplenet.prepare.store import PreparedSet
from triplenet.training.run import Run, open_run


def explain_run(
    run: Run | Path | str,
    out: Path | str,
    partition: Partition = "test",
    *,
    prepared: PreparedSet | Path | str | None = None,
    patients: Sequence[str] = (),
    limit: int | None = None,
    class_: str | None = None,
    map_: str = OWN,
    style: Style | str = "absolute",
    identifiers: bool = False,
    device: str = "cpu",
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Gallery:
    """Show the heat maps of a run's patients: a picture each, a panel a class, and ``explanations.csv``.

    :param run: opened, or its folder
    :param prepared: the run's prepared set, where it was moved
    :param patients: only these
    :param limit: only the first ones
    :param class_: the class to explain; the predicted one by default
    :param map_: the kind of heat map, of ``map_kinds.MAPS``; by default the method's own, with the evidence for the
        class beside it where that is another map
    :param style: ``absolute``, ``own-maximum`` or ``paper``, or one of your own
    :param identifiers: pseudonyms in file names and on the pictures too
    :param on_progress: called with (patients done, patients in all)
    :raises OutputExists: ``out`` holds something
    :raises UnknownName: no such patient, class, kind of map or style
    :raises MissingExtra: what the kind of map needs is not installed
    :raises BadRun: the training is not finished
    :raises BadPreparedSet: damaged, or another one than the run's
    """
    from triplenet.training.device import choose_device

    out = Path(out)
    chosen_style, kind = style_of(style), find_map(map_)
    refuse_existing(out)
    opened = run if isinstance(run, Run) else open_run(run)
    target = None if class_ is None else class_index(opened, class_)
    data = open_prepared(opened, prepared)
    cost = MapCost()
    chosen = chosen_patients(opened, data, partition, patients, limit)

    def followed() -> Iterator[Case]:
        on_progress(0, len(chosen))
        device_ = str(choose_device(device))
        explained = cases(opened, data, chosen, target=target, kind=kind, device=device_, cost=cost)
        for done, case in enumerate(explained, start=1):
            yield case
            on_progress(done, len(chosen))

    return write_gallery(
        followed(),
        opened,
        partition,
        out,
        target=target,
        kind=kind,
        style=chosen_style,
        identifiers=identifiers,
        cost=cost,
    )
