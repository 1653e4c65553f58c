"""What the grid and the header of a scan tell of how it was made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from scan.dicom_builder import body, enhanced_dataset, save, write_series
from triplenet import scan
from triplenet.prepare.technique import Technique, kernel_word, millimetres, technique
from triplenet.scan.contrast import contrast_of


@pytest.mark.parametrize(
    ("agent", "given"),
    [
        (None, "no"), ("", ""), ("  ", ""), ("ANONYMIZED", ""), ("N/A", ""), ("-", ""),
        ("Omnipaque 350", "yes"), ("IV", "yes"), ("NONIONIC", "yes"), ("Iomeron", "yes"), ("NOVOLON", "yes"),
        ("none", "no"), ("NO CONTRAST", "no"), ("w/o", "no"), ("0", "no"), ("Non-contrast", "no"),
    ],
)  # fmt: skip
def test_contrast_medium_is_told_by_its_agent(agent: str | None, given: str) -> None:
    assert contrast_of(agent) == given


def test_a_dicom_series_says_kernel_thickness_and_contrast(tmp_path: Path) -> None:
    agents = {"with": "Iomeron 400", "blank": ""}
    for name in ("without", *agents):
        more = {"ContrastBolusAgent": agents[name]} if name in agents else {}
        write_series(tmp_path / name, body(4, 24, 20), thickness=2.5, ConvolutionKernel=["I50f", "3"], **more)
    headers = {name: scan.open(tmp_path / name).source.header for name in ("without", *agents)}
    assert {name: header["contrast"] for name, header in headers.items()} == {
        "without": "no",
        "with": "yes",
        "blank": "",
    }
    found = technique((2.0, 0.7, 0.7), headers["with"])
    assert found == Technique(2.0, 0.7, 2.5, "I50f/3", "yes")


def test_an_enhanced_ct_names_its_agents_in_a_sequence(tmp_path: Path) -> None:
    dataset = enhanced_dataset(body(4, 24, 20))
    save(dataset, tmp_path / "plain.dcm")
    agent = Dataset()
    agent.ContrastBolusAgentNumber = 1
    dataset.ContrastBolusAgentSequence = Sequence([agent])
    save(dataset, tmp_path / "given.dcm")
    assert [scan.open(tmp_path / f"{name}.dcm").source.header["contrast"] for name in ("plain", "given")] == [
        "no",
        "yes",
    ]


def test_what_nobody_says_is_none() -> None:
    assert technique((0.0, 0.8, 0.2), {}) == Technique(None, 0.4)
    assert technique(
        (1.0, -1.0, 1.0), {"kernel": None, "slice_thickness_mm": "thick", "contrast": "perhaps"}
    ) == Technique(1.0)
    for value in (0, -1, np.nan, np.inf, 1e6, 1e-9, None, "1 mm", "-"):
        assert millimetres(value) is None
    assert millimetres("0.123456") == 0.1235


def test_a_kernel_is_one_short_line() -> None:
    assert kernel_word("  B40f\n\x1b[31m\u202e Q ") == "B40f [31m Q"
    assert kernel_word("\0") == ""
    assert kernel_word("x" * 500) == "x" * 64
