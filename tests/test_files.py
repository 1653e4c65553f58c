"""Files and folders appear whole or not at all."""

import csv
import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from triplenet import files, ownership
from triplenet.errors import OutputExists, OutputFailed
from triplenet.files import (
    clear_abandoned,
    jsonable,
    make_folder,
    read_csv,
    refuse_existing,
    whole_file,
    whole_folder,
    write_csv,
    write_json,
    write_text,
)


def test_a_file_appears_only_when_it_is_finished(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list((tmp_path / "deep").iterdir()) == []
    with whole_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.txt"]


def test_a_failed_rewrite_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"


def test_a_folder_appears_only_when_it_is_finished(tmp_path):
    path = tmp_path / "set"
    with pytest.raises(RuntimeError), whole_folder(path) as temporary:
        (temporary / "a").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with whole_folder(path) as temporary:
        (temporary / "a").write_text("x")
    assert (path / "a").read_text() == "x"


def test_what_is_there_is_never_overwritten_by_a_folder(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("full", "file"):
        with pytest.raises(OutputExists):
            refuse_existing(tmp_path / name)
    refuse_existing(tmp_path / "empty")
    refuse_existing(tmp_path / "free")


def test_a_place_that_cannot_be_written_to_is_said_so(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputFailed, match="cannot write"), whole_file(tmp_path / "file" / "below"):
        pass


def test_written_files_have_the_users_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    with whole_file(tmp_path / "ours") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode


def test_csv_cells_that_a_row_lacks_stay_empty(tmp_path):
    write_csv(tmp_path / "a.csv", [{"b": 1}, {"a": "x,y", "c": None}], columns=("a",))
    assert (tmp_path / "a.csv").read_text() == 'a,b,c\n,1,\n"x,y",,\n'


def test_json_that_others_cannot_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "cell", ["=1+2", "@SUM(A1)", "+49 30", "-x", "\tx", "\rx", "'=x", "''+y", "-0.12 (-0.3 to 0.1)"]
)
def test_a_spreadsheet_runs_no_cell_and_it_reads_back_as_it_was(tmp_path, cell):
    write_csv(tmp_path / "a.csv", [{"patient": cell, cell: "x"}])
    with (tmp_path / "a.csv").open(newline="") as stream:
        header, row = csv.reader(stream)
    assert row[0] == header[1] == "'" + cell
    assert read_csv(tmp_path / "a.csv") == [{"patient": cell, cell: "x"}]


@pytest.mark.parametrize(
    "cell", ["-0.5", "+1", "-1e-05", "-.5", "-inf", "-nan", "-", "P01", "a=b", "'quoted'", "", "x-1"]
)
def test_numbers_and_harmless_texts_are_written_as_they_are(tmp_path, cell):
    write_csv(tmp_path / "a.csv", [{"a": cell, "b": "x"}])
    assert (tmp_path / "a.csv").read_text() == f"a,b\n{cell},x\n"
    assert read_csv(tmp_path / "a.csv") == [{"a": cell, "b": "x"}]
    write_csv(tmp_path / "a.csv", [{"a": -0.5, "b": -3}])
    assert (tmp_path / "a.csv").read_text() == "a,b\n-0.5,-3\n"


def test_a_table_with_a_row_too_short_or_too_long_is_not_read(tmp_path):
    for text in ("a,b\n1\n", "a,b\n1,2,3\n"):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(ValueError, match="cells"):
            read_csv(tmp_path / "a.csv")


@pytest.mark.parametrize("write", [write_text, lambda path, text: make_folder(path)])
def test_a_name_that_is_too_long_is_a_refusal(tmp_path, write):
    with pytest.raises(OutputFailed, match=r"too long.*; choose a shorter one"):
        write(tmp_path / ("n" * 300), "x")
    with pytest.raises(OutputFailed, match="too long"):
        refuse_existing(tmp_path / ("n" * 300))
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_that_a_file_system_takes_can_be_written(tmp_path):
    for name in ("n" * 251 + ".txt", "\U0001fac1" * 62 + ".nii.gz"):
        write_text(tmp_path / name, "x")
        with whole_folder(tmp_path / name[:-1]):
            pass
    assert len(list(tmp_path.iterdir())) == 4


def test_a_name_that_is_not_utf8_is_written_escaped(tmp_path):
    write_json(tmp_path / "a.json", {"name": os.fsdecode(b"caf\xe9")})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "name": "caf\\udce9"\n}\n'


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_whatever_the_system_refuses_while_writing_has_a_code_and_leaves_nothing(tmp_path, number):
    for place in (whole_file, whole_folder):
        with pytest.raises(OutputFailed, match=os.strerror(number)), place(tmp_path / "a"):
            raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_cleared_by_the_next_one_in_that_place(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom triplenet.files import *\n"
        "place = Path(sys.argv[1])\n"
        "with whole_file(place / 'a.onnx'), whole_folder(place / 'b') as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 2 and all(name.startswith(".tmp-") for name in left)
    write_text(tmp_path / "c", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_what_is_not_defined_is_nothing_in_json(tmp_path):
    numbers = {"nan": float("nan"), "inf": [float("inf"), -float("inf")], "half": np.float32(0.5), "count": np.int64(3)}
    assert jsonable(numbers) == {"nan": None, "inf": [None, None], "half": 0.5, "count": 3}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"nan": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom triplenet.files import *\n"
        "with whole_folder(Path(sys.argv[1]) / 'b'):\n    print('begun', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with whole_file(tmp_path / "ours"):
            clear_abandoned(tmp_path)
            assert len(list(tmp_path.iterdir())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "ours"]


def test_a_process_elsewhere_is_believed_to_live_for_a_week(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ownership, "_machine", lambda: "0123abcd")
        name = f".tmp-{ownership.owner()}-x-a.txt"
    (tmp_path / name).write_text("half")
    (tmp_path / ".tmp-of-another-program").write_text("x")
    clear_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    week = (tmp_path / name).stat().st_mtime - 8 * 24 * 3600
    os.utime(tmp_path / name, (week, week))
    clear_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".tmp-of-another-program"]


def test_a_later_process_with_the_same_number_is_not_taken_for_the_owner(tmp_path):
    machine, number, life = ownership.owner().split("-")
    other = "0" * 8 if life != "0" * 8 else "1" * 8
    (tmp_path / f"{files.PREFIX}{machine}-{number}-{other}-x-a.txt").write_text("half")
    (tmp_path / f"{files.PREFIX}{machine}-{number}-{life}-x-b.txt").write_text("half")
    clear_abandoned(tmp_path)
    assert [path.name[-5:] for path in tmp_path.iterdir()] == ["b.txt"]
