"""Freed memory is kept for the next step."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
from triplenet.training.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
import numpy as np
for _ in range(3):
    np.ones(16 * 2**20)  # 128 MiB, freed at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(16 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode):
    done = subprocess.run([sys.executable, "-c", CODE, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_a_block_that_is_asked_for_again_is_not_mapped_anew():
    assert faults("keep") < faults("default") / 10
