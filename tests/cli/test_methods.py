"""The list of methods."""

from __future__ import annotations

import json
import subprocess
import sys

import typer
from typer.testing import CliRunner

from triplenet import catalog
from triplenet.cli.methods import methods

app = typer.Typer()
app.command()(methods)


def test_lists_the_ten_methods_in_the_order_of_the_tables() -> None:
    done = CliRunner().invoke(app, [], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    rows = done.stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == list(catalog.METHODS)
    assert len(rows) == 10
    assert "12,753,029" in rows[8] and "attention map" in rows[8]


def test_as_json_with_the_options_of_each_network() -> None:
    done = CliRunner().invoke(app, ["--json"])
    listed = {entry["name"]: entry for entry in json.loads(done.stdout)["methods"]}
    assert list(listed) == list(catalog.METHODS)
    assert listed["triple"]["parameters"] == 12_753_029
    assert listed["triple"]["options"]["attention_resize"] == "area"
    assert listed["resnet3d"]["dimensions"] == 3 and listed["resnet3d"]["options"] == {"shortcut": "B"}


def test_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from triplenet.cli.methods import methods\n"
        "methods(json=False); methods(json=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "triple-wsdl" in done.stdout and '"options": null' in done.stdout
