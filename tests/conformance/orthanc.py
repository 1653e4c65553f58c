"""A PACS on loopback: Orthanc in a temporary folder, stored to and asked by DICOM's own protocol and by DICOMweb."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

SERVER, CLIENT = "ORTHANC", "TESTS"
#: Where Debian puts it.
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STARTED_S = 60.0
#: Parametric Map: getscu 3.6.7 proposes a fixed list of classes, which is without it.
NOT_BY_DCMTK = {"1.2.840.10008.5.1.4.1.1.30"}


@dataclass(frozen=True)
class Orthanc:
    """One that answers."""

    dicom_port: int
    http_port: int

    def store(self, files: Sequence[Path]) -> None:
        """C-STORE of dcmtk, each file as it is encoded: uncompressed or in JPEG 2000."""
        call = [dcmtk("storescu"), "-R", "-xv", "-aet", CLIENT, "-aec", SERVER, "127.0.0.1", str(self.dicom_port)]
        subprocess.run([*call, *map(str, files)], check=True, capture_output=True)

    def get(self, sent: Sequence[Dataset], folder: Path) -> list[Dataset]:
        """C-GET, series by series: of dcmtk, and of pynetdicom where dcmtk knows no such class."""
        found: list[Dataset] = []
        for number, (series, (study, sop_class)) in enumerate(_series(sent).items()):
            if sop_class in NOT_BY_DCMTK:
                found += self._get_class(study, series, sop_class)
                continue
            into = folder / str(number)
            into.mkdir(parents=True)
            keys = ["-S", "-k", "0008,0052=SERIES", "-k", f"0020,000D={study}", "-k", f"0020,000E={series}"]
            call = [dcmtk("getscu"), "+B", *keys, "-od", str(into), "-aet", CLIENT, "-aec", SERVER]
            subprocess.run([*call, "127.0.0.1", str(self.dicom_port)], check=True, capture_output=True)
            found += [dcmread(path) for path in into.iterdir()]
        return found

    def _get_class(self, study: str, series: str, sop_class: str) -> list[Dataset]:
        """The objects of one series and class."""
        net = pytest.importorskip("pynetdicom", reason="pynetdicom is not installed")
        model = "1.2.840.10008.5.1.4.1.2.2.3"  # Study Root GET
        keys = Dataset()
        keys.QueryRetrieveLevel, keys.StudyInstanceUID, keys.SeriesInstanceUID = "SERIES", study, series
        found: list[Dataset] = []

        def take(event: Any) -> int:
            one = event.dataset
            one.file_meta = event.file_meta
            found.append(one)
            return 0

        entity = net.AE(ae_title=CLIENT)
        entity.add_requested_context(model)
        entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
        association = entity.associate(
            "127.0.0.1",
            self.dicom_port,
            ae_title=SERVER,
            ext_neg=[net.build_role(sop_class, scp_role=True)],
            evt_handlers=[(net.evt.EVT_C_STORE, take)],
        )
        assert association.is_established
        statuses = [status.Status for status, _ in association.send_c_get(keys, model)]
        association.release()
        assert statuses[-1] == 0, statuses
        return found

    def stow(self, files: Sequence[Path]) -> None:
        """STOW-RS."""
        answer = self._web().store_instances([dcmread(path) for path in files])
        assert not answer.get("FailedSOPSequence"), answer
        assert len(answer.ReferencedSOPSequence) == len(files)

    def wado(self, sent: Sequence[Dataset], _: Path) -> list[Dataset]:
        """WADO-RS, study by study, as they were stored."""
        studies = dict.fromkeys(one.StudyInstanceUID for one in sent)
        any_syntax, web = (("application/dicom", "*"),), self._web()
        return [one for study in studies for one in web.retrieve_study(study, media_types=any_syntax)]

    def forget(self) -> None:
        """Delete all that was stored."""
        for patient in json.loads(self.ask("patients")):
            self.ask(f"patients/{patient}", "DELETE")

    def ask(self, what: str, how: str = "GET") -> bytes:
        """Of its own interface."""
        with urlopen(Request(f"http://127.0.0.1:{self.http_port}/{what}", method=how), timeout=30) as answer:
            return bytes(answer.read())

    def _web(self) -> Any:
        web = pytest.importorskip("dicomweb_client", reason="dicomweb-client is not installed")
        return web.DICOMwebClient(f"http://127.0.0.1:{self.http_port}/dicom-web")


def dcmtk(tool: str) -> str:
    """Its program and not a script of that name, as pynetdicom installs some beside Python."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(tool, path=folder)
        if found is not None and not Path(found).read_bytes().startswith(b"#!"):
            return found
    pytest.skip(f"{tool} is not installed (apt-get install dcmtk)")


@contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """Orthanc, its storage in this folder; it ends with the block, whatever happens."""
    server = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if server is None or not PLUGIN.is_file():
        pytest.skip("Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)")
    found = Orthanc(*_free_ports(2))
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(_settings(found, folder)), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([server, str(settings)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait_for(found, process, folder / "log")
            yield found
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _settings(one: Orthanc, folder: Path) -> Mapping[str, object]:
    """It hears this machine only: others are refused by HTTP, and by DICOM as no modality that it knows."""
    return {
        "Name": "triplenet's tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": one.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": one.dicom_port,
        "DicomAet": SERVER,
        "DicomAlwaysAllowStore": False,
        "DicomCheckModalityHost": True,
        "DicomModalities": {"tests": [CLIENT, "127.0.0.1", 1]},
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _wait_for(one: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end and process.poll() is None:
        try:
            one.ask("system")
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
            continue
        return
    pytest.fail(f"Orthanc does not answer: {log.read_text(errors='replace')[-2000:]}")


def differences(sent: Dataset, back: Dataset, place: str = "") -> list[str]:
    """Where two data sets are not equal: elements, their representation, values as they are written."""
    found = []
    for tag in sorted({*sent.keys(), *back.keys()}):
        if tag not in sent or tag not in back:
            found.append(f"{place}{tag} is not in {'what was sent' if tag in back else 'what came back'}")
            continue
        one, other = sent[tag], back[tag]
        name = f"{place}{one.keyword or tag}"
        if one.VR != other.VR:
            found.append(f"{name}: {one.VR}, {other.VR}")
        elif one.VR == "SQ":
            if len(one.value) != len(other.value):
                found.append(f"{name}: {len(one.value)} items, {len(other.value)}")
            for number, (item, again) in enumerate(zip(one.value, other.value, strict=False), start=1):
                found += differences(item, again, f"{name}[{number}].")
        elif _written(one.value) != _written(other.value):
            found.append(f"{name}: {str(one.value)[:80]}, {str(other.value)[:80]}")
    return found


def _written(value: Any) -> object:
    """A value by what is written of it, digits and bytes of a name included."""
    if value is None or isinstance(value, bytes):
        return value or b""
    if getattr(value, "original_string", None) is not None:
        return value.original_string
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value).encode() if value != "" else b""
    return [_written(one) for one in value]


def _series(sent: Sequence[Dataset]) -> Mapping[str, tuple[str, str]]:
    """Study and class of every series."""
    return {one.SeriesInstanceUID: (one.StudyInstanceUID, one.SOPClassUID) for one in sent}


#: How objects go in, and how they come back.
INTO: Mapping[str, Callable[[Orthanc, Sequence[Path]], None]] = {"C-STORE": Orthanc.store, "STOW-RS": Orthanc.stow}
BACK: Mapping[str, Callable[[Orthanc, Sequence[Dataset], Path], list[Dataset]]] = {
    "C-GET": Orthanc.get,
    "WADO-RS": Orthanc.wado,
}
