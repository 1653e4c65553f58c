"""Downloaded public data sets -> cohort tables. One file a data set; what each expects is in its docstring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from triplenet.datasets.import_notes import NOTES, import_notes
from triplenet.datasets.passed_over import PASSED_OVER, passed_over
from triplenet.errors import PathMissing, UnknownName
from triplenet.files import refuse_existing

__all__ = ["GROUPS", "IMPORTERS", "NOTES", "PASSED_OVER", "import_dataset", "import_notes", "passed_over"]

Progress = Callable[[int, int], None]

#: data set -> module and function of this package, ``(src, out, jobs, on_progress) -> Path``.
IMPORTERS: Mapping[str, tuple[str, str]] = {
    "mosmed": ("mosmed", "run"),
    "covid19-ct-seg": ("covid19_ct_seg", "run"),
    "covid-ct-md": ("covid_ct_md", "run"),
    "covid-ct": ("folders", "run_covid_ct"),
    "medseg": ("medseg", "run"),
    "covid-19-20": ("covid_19_20", "run"),
    "cc-ccii": ("cc_ccii", "run"),
    "stoic": ("stoic", "run"),
    "ricord": ("ricord", "run"),
    "ricord-covid": ("ricord", "run_covid"),
    "folders": ("folders", "run"),
}

#: What the group of a row stands for, where several rows may have one.
GROUPS: Mapping[str, str] = {
    "covid19-ct-seg": "patient",
    "covid-ct": "publication",
    "covid-19-20": "patient",
    "ricord": "patient",
    "ricord-covid": "patient",
}


def import_dataset(
    dataset: str,
    src: Path | str,
    out: Path | str,
    *,
    jobs: int | None = None,
    on_progress: Progress = lambda _done, _total: None,
) -> Path:
    """Turn a downloaded data set into ``out/cohort.csv``; scans that can be used as they are stay where they are.

    Whatever else lies in the data set is listed in ``out/passed-over.csv``, see ``passed_over``; pictures and studies
    that cannot be used in ``out/rejected.csv``; what else should be known of the table in ``out/notes.txt``, see
    ``import_notes``.

    :raises UnknownName: there is no importer of this name
    :raises PathMissing: there is no such folder
    :raises BadDataset: the folder is not laid out as the importer expects, or one of its folders gives nothing
    :raises OutputExists: ``out`` is there already
    """
    if dataset not in IMPORTERS:
        raise UnknownName("unknown data set", where=repr(dataset), do=f"choose one of {', '.join(IMPORTERS)}")
    src = Path(src)
    if not src.is_dir():
        raise PathMissing("no such folder", where=src)
    refuse_existing(Path(out))  # before anything is read, which may take minutes
    module, function = IMPORTERS[dataset]
    path: Path = getattr(import_module(f"{__name__}.{module}"), function)(
        src.resolve(), Path(out).resolve(), jobs, on_progress
    )
    return path
