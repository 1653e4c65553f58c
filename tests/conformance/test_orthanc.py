"""Which programs speak to the PACS."""

from __future__ import annotations

import pytest

from conformance.orthanc import dcmtk


def program(path, begins):
    path.parent.mkdir()
    path.write_text(begins)
    path.chmod(0o755)
    return path


def test_a_script_of_the_same_name_is_not_taken_for_dcmtk(tmp_path, monkeypatch):
    script = program(tmp_path / "first" / "storescu", "#!/bin/python\n")
    binary = program(tmp_path / "second" / "storescu", "\x7fELF")
    monkeypatch.setenv("PATH", f"{script.parent}:{binary.parent}")
    assert dcmtk("storescu") == str(binary)
    monkeypatch.setenv("PATH", str(script.parent))
    with pytest.raises(pytest.skip.Exception, match="storescu is not installed"):
        dcmtk("storescu")
