"""What the system refuses has a code that says why; INTERNAL is for faults of triplenet."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from triplenet.cli.printable import printable
from triplenet.errors import system_error


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOENT, "PATH_MISSING"),
        (errno.ENAMETOOLONG, "NAME_TOO_LONG"),
        (errno.EACCES, "NO_PERMISSION"),
        (errno.EROFS, "NO_PERMISSION"),
        (errno.ENOSPC, "OUTPUT_FAILED"),
        (errno.EDQUOT, "OUTPUT_FAILED"),
        (errno.EIO, "SYSTEM_FAILED"),
        (errno.EMFILE, "SYSTEM_FAILED"),
    ],
)
def test_each_cause_has_its_code(number, code):
    error = system_error(OSError(number, os.strerror(number), "/place"))
    assert error.code == code and "/place" in str(error)


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_standard_output_on_a_full_device(json):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "triplenet", "methods", *json],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error[OUTPUT_FAILED]: cannot write (No space left on device): standard output")


def test_nowhere_to_say_anything():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-m", "triplenet", "methods"], stdout=full, stderr=full, check=False)
    assert done.returncode == 1


def test_a_reader_that_has_gone_is_no_error():
    command = f"{sys.executable} -m triplenet methods --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.parametrize("name", ["n" * 300, "/".join(["n" * 200] * 25)])
def test_a_name_that_is_too_long(triplenet, tmp_path, name):
    done = triplenet("inspect", tmp_path / name)
    assert done.returncode == 1 and done.stderr.startswith("error[NAME_TOO_LONG]: ")


def test_a_place_that_may_not_be_written_to(triplenet, tmp_path):
    """Below a file, which nobody may write to, not even root."""
    (tmp_path / "file").write_text("x")
    for verb in (["phantom", tmp_path / "file" / "out", "--patients", "1", "--matrix", "64"],):
        done = triplenet(*verb)
        assert done.returncode == 1 and done.stderr.startswith("error[OUTPUT_FAILED]: ")


def test_no_raw_control_character_reaches_the_terminal(triplenet, tmp_path):
    (tmp_path / "esc").mkdir()
    (tmp_path / "esc" / "\x1b[31mX\u202e\x9b.nii").write_bytes(b"no volume")
    for more in ([], ["--json"]):
        done = triplenet("inspect", tmp_path / "esc", *more)
        shown = done.stdout + done.stderr
        assert "\\u001b[31mX\\u202e\\u009b" in shown
        assert not {"\x1b", "\u202e", "\x9b"} & set(shown)


def test_harmless_text_is_shown_as_it_is():
    for text in ("Grüße\n\tmit Tab", "日本語", "emoji 🫁", "زفير"):
        assert printable(text) == text
