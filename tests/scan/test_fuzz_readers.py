"""A short run of the fuzz script over every format: damage is refused with a code, whatever it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz_readers.py"
FORMATS = ("dicom", "enhanced", "compressed", "seg", "zip", "dicomdir", "nifti", "nrrd", "metaimage", "picture")


def test_damaged_files_of_every_format_are_read_or_refused() -> None:
    if not SCRIPT.is_file():
        pytest.skip("benchmarks/ is not part of this copy")
    pytest.importorskip("highdicom", reason="highdicom writes the segmentations")
    command = [sys.executable, str(SCRIPT), "all", "--mutations", "60", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(FORMATS)
