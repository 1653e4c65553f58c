"""Data goes down the house and never back up."""

import subprocess
import sys
from pathlib import Path


def test_rooms_import_only_rooms_above_them():
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_answers_without_torch():
    code = (
        "import sys; from triplenet.cli import app; import typer.main; typer.main.get_command(app.app);"
        "heavy = {'torch', 'matplotlib', 'sklearn', 'scipy', 'pydicom', 'nibabel', 'SimpleITK'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_worker_that_prepares_begins_without_what_only_some_scans_need():
    code = (
        "import sys; import triplenet.prepare.kept_samples;"
        "heavy = {'torch', 'scipy', 'nibabel', 'SimpleITK'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
