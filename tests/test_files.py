"""Files and folders appear whole or not at all."""

import pytest

from triplenet.errors import OutputExists, OutputFailed
from triplenet.files import refuse_existing, whole_file, whole_folder, write_csv, write_json


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
