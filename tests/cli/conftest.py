"""The command line, run as its users run it."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def triplenet():
    """Run ``triplenet`` with these arguments in a process of its own."""

    def run(*arguments, **environment):
        command = [sys.executable, "-m", "triplenet", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200", **environment}
        )

    return run
