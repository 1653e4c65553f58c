"""How far runs are, read from their folders."""

from triplenet.benchmark.progress import RunProgress, refresh
from triplenet.benchmark.records import run_folder
from triplenet.training.job import Job
from triplenet.training.run import write_history


def test_a_running_one_has_done_as_many_epochs_as_its_history_has_lines(tmp_path):
    begun, deep, waiting = (Job("baseline", fold, 0) for fold in (1, 2, 3))
    for job in (deep, waiting):
        run_folder(tmp_path, job).mkdir(parents=True)
        rows = [{"epoch": epoch, "validation_accuracy": accuracy} for epoch, accuracy in enumerate((0.25, 0.5, 0.75))]
        write_history(run_folder(tmp_path, job), rows)
    progress = {job: RunProgress("running", of=10) for job in (begun, deep)} | {waiting: RunProgress(of=10)}
    refresh(tmp_path, progress)
    assert (progress[begun].epochs, progress[begun].accuracy) == (0, None)
    assert (progress[deep].epochs, progress[deep].accuracy) == (3, 0.75)
    assert progress[waiting] == RunProgress(of=10)
