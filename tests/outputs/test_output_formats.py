"""The registry of outputs: what writes each is there, names the same files, and is imported when it is due."""

import subprocess
import sys
from importlib import import_module

from triplenet.outputs import FORMATS

MODULES = (
    "dicom_segmentation", "parametric_map", "secondary_capture", "presentation_state", "structured_report",
    "key_object_selection",
)  # fmt: skip


def test_each_object_is_written_under_names_of_its_own():
    files = [name for one in FORMATS.values() for name in one.files]
    assert len(set(files)) == len(files)
    objects = {import_module(f"triplenet.outputs.{module}").FILE for module in MODULES}
    assert objects == {one.files[0] for one in FORMATS.values() if one.is_dicom}


def test_what_no_output_asked_for_needs_is_not_imported():
    code = (
        "import sys, triplenet.outputs.output_formats; print('pydicom.sr' in sys.modules, 'highdicom' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
