"""``safetensors``: the model file itself, whole and checked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from triplenet.export.description import Written
from triplenet.model import verify_model


def write(model_file: Path, to: Path, on_step: Callable[[str], None]) -> Written:
    """Copy a model file, and compare the copy with its checksum.

    :raises BadModel: damaged, or not a triplenet model
    """
    on_step("checking")
    verify_model(model_file)
    on_step("copying")
    shutil.copyfile(model_file, to)
    card = verify_model(to)
    return Written(facts={"tensors_sha256": card.tensors_sha256 or "none in the file"})
