"""A report that is written without the objects it would point at keeps its template too."""

from __future__ import annotations

import pytest

from conformance import peers
from outputs.dicom_results import chest_hu, result_of, source
from triplenet.outputs import FORMATS, write

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize("lesion", [None, (4, 40, 28, 5)])
@pytest.mark.parametrize("formats", [["sr"], ["sr", "seg"]])
def test_the_template_is_kept(tmp_path, formats, lesion):
    source(tmp_path / "scan", chest_hu(lesion=lesion))
    write(result_of(tmp_path / "scan"), tmp_path / "out", formats)
    allowed = peers.PIXELMED_NEWER if formats == ["sr"] else peers.PIXELMED
    path = tmp_path / "out" / FORMATS["sr"].files[0]
    assert peers.pixelmed(path, "TID_1500 (MeasurementReport)", allowed) == []
