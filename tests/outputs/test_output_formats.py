"""The registry of outputs: what writes each is there, names the same files, and is imported when it is due."""

import subprocess
import sys
from importlib import import_module

import pytest

from triplenet.outputs import FORMATS

MODULES = {
    "seg": "dicom_segmentation",
    "pm": "parametric_map",
    "sc": "secondary_capture",
    "gsps": "presentation_state",
    "sr": "structured_report",
    "kos": "key_object_selection",
}


@pytest.mark.parametrize(("name", "module"), MODULES.items())
def test_an_objects_file_is_the_one_that_its_writer_names(name, module):
    writer = import_module(f"triplenet.outputs.{module}")
    assert FORMATS[name].files[0] == writer.FILE
    assert FORMATS[name].files[1:] == ((writer.SECOND_FILE,) if name == "pm" else ())
    assert set(MODULES) == {name for name, one in FORMATS.items() if one.is_dicom}


def test_what_no_output_asked_for_needs_is_not_imported():
    code = (
        "import sys, triplenet.outputs.output_formats; print('pydicom.sr' in sys.modules, 'highdicom' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
