"""What a benchmark leaves beside its runs: ``predictions.csv``, ``statistics.json``, ``maps.json``, ``tables/``."""

from __future__ import annotations

from collections.abc import Iterator

from triplenet.benchmark.benchmark_results import BenchmarkResults
from triplenet.benchmark.benchmark_tables import tables
from triplenet.evaluation.tables import Table, write_table
from triplenet.files import write_csv, write_json
from triplenet.training.run import PROBABILITY

PREDICTIONS, STATISTICS, MAPS, TABLES, REPORT = (
    "predictions.csv",
    "statistics.json",
    "maps.json",
    "tables",
    "report.html",
)


def write_results(results: BenchmarkResults) -> tuple[Table, ...]:
    """Write them, replacing what an earlier call wrote; gives the tables.

    :raises OutputFailed: no room, no permission
    """
    folder = results.benchmark.folder
    write_csv(folder / PREDICTIONS, list(prediction_rows(results)))
    write_json(folder / STATISTICS, results.as_dict())
    found = tables(results)
    for old in (folder / TABLES).glob("*.*"):
        if old.stem not in {table.name for table in found}:
            old.unlink()
    for table in found:
        write_table(folder / TABLES, table)
    return found


def prediction_rows(results: BenchmarkResults) -> Iterator[dict[str, object]]:
    """A line a patient, run and partition: no network was trained on the patients it speaks of here.

    Probabilities are at the temperature of their line; 1 is as the network says.
    """
    classes = results.classes
    for job, run in results.benchmark.runs.items():
        predictions = run.predictions()
        probabilities = results.shown(job, predictions.probabilities)
        for row, patient in enumerate(predictions.patients):
            label = int(predictions.labels[row])
            yield {
                "patient": patient,
                "method": job.method,
                "fold": job.fold,
                "seed": job.seed,
                "partition": predictions.partitions[row],
                "label": classes[label] if label >= 0 else "",
                "predicted": classes[int(predictions.predicted[row])],
                "temperature": f"{results.temperature(job):.6g}",
                **{PROBABILITY + name: f"{value:.9g}" for name, value in zip(classes, probabilities[row], strict=True)},
            }
