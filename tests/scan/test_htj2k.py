"""High-throughput JPEG 2000 is read by the decoder that is installed by default.

No encoder for it is a dependency of the tests, so the two streams below were made once with imagecodecs 2026.3.6
(OpenJPH 0.26.3): ``imagecodecs.htj2k_encode((HU + 1024).astype(np.uint16), reversible=..., resolutions=2)``.
"""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2K, UID, HTJ2KLossless, HTJ2KLosslessRPCL

from scan.dicom_builder import save, slice_dataset
from triplenet import scan
from triplenet.errors import UnreadableFile, UnsupportedSyntax
from triplenet.scan import dicom_syntax
from triplenet.scan.inspection import inspect

Y, X = np.mgrid[0:16, 0:20]
FROM_MIDDLE = (Y - 8) ** 2 + (X - 10) ** 2
HU = np.where(FROM_MIDDLE < 36, -850 + 10 * (Y % 4), np.where(FROM_MIDDLE < 80, 30 + Y + 2 * X, -1000))
LOSSLESS = b64decode("""
/0//UQApQAAAAAAUAAAAEAAAAAAAAAAAAAAAFAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAIEBEAB/1wACiCIkJCQiIiI/2QAFwAB
T3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAcUAAf+TwAAuxA0A9wI6/w/bL9Vf/jH1mv9k/357v/9KgFP8EPyof4P/av9Bfz+/kh/+uFQPoSAZmgDA
ABdHAABdHAABdICbXCGeuc4Ku3UQBaB2ODfM1QAYTHEwENn0AHQzmG8IgFmaAF9h6qqkXBB1QYReyXxwaR8htCAIOsSq8xMwCBRIF4hAapsA/1IKJpl4
sgErm5RAhyyf+IRJGwAwClJ80PYFPkXKD4xgRzoAwAAvV4AAXsUAAL0cAhMZkMTwKoxfSYgJ4aVAInFkIFwcohrb4PgFLAuxkLVEUMlA5J1E5GUUYgzr
EggmDcKRkm++EU44QmLCyws15CGVzR5/Y/nPQGN21XFkG8gp9iEAjlcBgAKJSiKJjYF0kPQgKZgCpEuWCCEMSOGvCPiGBRNMMGEcFtIS4DQQxF1nmaZJ
7llQBA1SkqKNCGUBQN8AlAEAkA5h0iRDDP0AJTIIUowAPTTTHBSXr8ZYHyABjAWhGECaWwEGMuDAbwd+/eDbJhwnIQoFFti3BJFLUGELCSYYt3CGNWCg
weE46Ltxy6EhDTL8Ev52rfKIDyAeQIEZefMB5lG8opkMYHJZAf/Z
""")
LOSSY = b64decode("""
/0//UQApQAAAAAAUAAAAEAAAAAAAAAAAAAAAFAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAAKv9SAAwAAgABAAIEBEAA/1wAESKfhpADkAOQRpfSl9KX
Yf9kABcAAU9wZW5KUEggVmVyIDAuMjYuMy7/kAAKAAAAAAIcAAH/k8AAC7k9H0x48IWCdQK08j9rwQr/RSsIo2CugMwKyju4Z8BAAuI1aKEgRoOmCb4R
eDngAH/6y7QfWsARuwDAABdLAABdJAABdEDpn4O9/wMV7JPaF19hfUVT3gYX6CzhRJs44wBzZzOYbxCAMrsAtbHJz2ywOaSdP5aMhWadYY63wL038O6l
cwCzyCXKF4xgapsAtbLGfIvLIOrbSuBC8m0WIuiIzkZSRncWAO0kSg+IQEc6AMAAF7hAABe6QAAXtIAbeujn2sgAinzbOY4oMzoz7u85+JFcQP1C1Fyx
CS0iASQBnehCzRwa/MFfMrT5BkU0dHgXnNgSCIDCy+d5wCEI6xhRI2j4fhY2oAzzksqkQhVTkzakCLAtdZHGAAA1Oyl1Q5JJAkVCMYKJrQgga5UBNTVk
gkPhQYE4x6wQwNTJ3GCCOUuASm6vNPjK0xkQqVAhiwmWqECLCa1QcdgHljQcXu0hhpMJclcgD5QFM2hPI3AaLisC4aUmUVVwnZBHKoEfUsgqeJ3gUV1q
WfIAJTIIUrWSpQLIpG4BDEYuGMDbBhAjmAEvbnhVRip06wAyREuzF9BKbRZcmDwlXbymUQGMjQIDBuAoEELMYBbR7LicyMxKWTDAxg/AQeUCi8N2qrWI
o0lia5dLVuAO76jSojagsEieWfcAUc9dwk5LJS0io/nlotEGCibCEIC7mAH/2Q==
""")


def write(folder: Path, syntax: UID, stream: bytes) -> None:
    """Three slices with the same pixels."""
    for k in range(3):
        dataset: Dataset = slice_dataset(HU + 1024, (0, 0, 2.0 * k))
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].is_undefined_length = True
        save(dataset, folder / f"{k}.dcm", syntax)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K], ids=lambda uid: uid.keyword)
def test_a_lossless_stream_gives_the_same_values(tmp_path: Path, syntax: UID) -> None:
    write(tmp_path, syntax, LOSSLESS)
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, np.stack([HU] * 3))
    assert np.array_equal(scan.open(tmp_path).slice(1), HU)
    assert inspect(tmp_path).series[0]["transfer_syntax"] == [syntax.name]
    # The syntax that allows loss does not tell whether there was any.
    assert any("loss" in note for note in found.source.notes) == (syntax == HTJ2K)


def test_a_lossy_stream_comes_close_and_is_noted(tmp_path: Path) -> None:
    write(tmp_path, HTJ2K, LOSSY)
    found = scan.read(tmp_path)
    assert np.abs(found.hu - HU).max() <= 4
    assert any("compressed with loss" in note for note in found.source.notes)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_stream_that_is_cut_is_refused(tmp_path: Path, share: float) -> None:
    write(tmp_path, HTJ2KLossless, LOSSLESS[: int(share * len(LOSSLESS))])
    with pytest.raises(UnreadableFile):
        scan.read(tmp_path)


def test_without_its_decoder_it_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, HTJ2KLossless, LOSSLESS)
    monkeypatch.setattr(dicom_syntax, "BY_PLUGIN", {HTJ2KLossless: "not installed"})
    with pytest.raises(UnsupportedSyntax, match="High-Throughput JPEG 2000"):
        scan.open(tmp_path)
