"""The demo, small: every step runs, and the report stands on its own."""

import json
import re

import pytest

from triplenet.demo import run
from triplenet.errors import OutputExists
from triplenet.evaluation.single_run import evaluate
from triplenet.model import load_model
from triplenet.prepare import PreparedSet
from triplenet.training import open_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    said = []
    demo = run(tmp_path_factory.mktemp("demo") / "demo", patients=40, epochs=1, say=said.append)
    return demo, said


def test_each_step_is_said_and_leaves_what_it_promises(made):
    demo, said = made
    assert [line[:3] for line in said if line[0].isdigit()] == [f"{number}/6" for number in range(1, 7)]
    prepared = PreparedSet.open(demo.folder / "prepared", verify=True)
    assert len(prepared) == 40
    assert any((demo.folder / "cohort" / "scans").rglob("*.dcm"))
    for method in ("baseline", "triple"):
        opened = open_run(demo.folder / "runs" / method)
        assert opened.complete
        assert load_model(opened.model).card.data_sha256 == prepared.info.sha256
        assert evaluate(opened).matrix.sum() == len(prepared.fold(1).test)


def test_the_new_scan_is_explained_and_is_none_of_the_cohorts(made):
    demo, _ = made
    record = json.loads((demo.folder / "result" / "result.json").read_text())
    assert record["slice"]["rule"] == "infection mask"
    assert record["explanation"]["kind"] == "attention"
    assert (demo.folder / "result" / "overlay.png").stat().st_size > 10_000
    hashes = {path.read_bytes() for path in (demo.folder / "cohort" / "scans" / "phantom-0001").iterdir()}
    assert not hashes & {path.read_bytes() for path in (demo.folder / "new-scan" / "scans").rglob("*.dcm")}


def test_the_report_needs_nothing_but_itself(made):
    demo, _ = made
    page = demo.report.read_text()
    for title in ("Baseline ResNet18", "Triple Net", "Where they looked", "A new scan"):
        assert title in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "not a medical device" in page
    assert str(demo.folder) not in page


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(OutputExists):
        run(tmp_path)
