"""``triplenet explain`` as a call: where a run's model looked, a picture a patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from triplenet.explanation.cases import Case, Partition, cases, chosen_patients, class_index, open_prepared
from triplenet.explanation.gallery import Gallery, write_gallery
from triplenet.explanation.overlay import Style, style_of
from triplenet.files import refuse_existing
from triplenet.prepare.store import PreparedSet
from triplenet.training.run import Run, open_run


def explain(
    run: Run | Path | str,
    out: Path | str,
    partition: Partition = "test",
    *,
    prepared: PreparedSet | Path | str | None = None,
    patients: Sequence[str] = (),
    limit: int | None = None,
    class_: str | None = None,
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
    :param style: ``absolute``, ``own-maximum`` or ``paper``, or one of your own
    :param identifiers: pseudonyms in file names and on the pictures too
    :param on_progress: called with (patients done, patients in all)
    :raises OutputExists: ``out`` holds something
    :raises UnknownName: no such patient, class or style
    :raises BadRun: the training is not finished
    :raises BadPreparedSet: damaged, or another one than the run's
    """
    from triplenet.training.device import choose_device

    out = Path(out)
    chosen_style = style_of(style)
    refuse_existing(out)
    opened = run if isinstance(run, Run) else open_run(run)
    target = None if class_ is None else class_index(opened, class_)
    data = open_prepared(opened, prepared)
    chosen = chosen_patients(opened, data, partition, patients, limit)

    def followed() -> Iterator[Case]:
        on_progress(0, len(chosen))
        explained = cases(opened, data, chosen, target=target, device=str(choose_device(device)))
        for done, case in enumerate(explained, start=1):
            yield case
            on_progress(done, len(chosen))

    return write_gallery(followed(), opened, partition, out, target=target, style=chosen_style, identifiers=identifiers)
