"""Whose a file is, in clear, for importers; and a survey of some of a folder's files."""

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from scan.dicom_builder import body, save, slice_dataset, write_series
from triplenet import scan
from triplenet.errors import UnreadableFile
from triplenet.scan.dicom_identity import Identity, read_identity

HU = body(4, 16, 16)
SAID = {"PatientID": "PUBLIC-7", "StudyInstanceUID": "1.2.3", "series": "1.2.3.4"}


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", DeflatedExplicitVRLittleEndian])
def test_a_file_says_whose_it_is(tmp_path, syntax):
    path = save(slice_dataset(HU[0] + 1024, **SAID), tmp_path / "IM1", syntax)
    assert read_identity(path) == Identity("PUBLIC-7", "1.2.3", "1.2.3.4")


def test_what_a_file_does_not_say_is_empty(tmp_path):
    path = save(slice_dataset(HU[0] + 1024, PatientID=None, StudyInstanceUID=None), tmp_path / "IM1")
    identity = read_identity(path)
    assert identity is not None
    assert (identity.patient, identity.study) == ("", "")


def test_what_is_no_dicom_file_is_nobodys_and_what_is_cut_is_refused(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("not DICOM")
    assert read_identity(other) is None
    path = save(slice_dataset(HU[0] + 1024, **SAID), tmp_path / "IM1")
    whole = path.read_bytes()
    for text in (b"PUBLIC-7", b"1.2.3\0", b"1.2.3.4\0"):  # a UID that is cut may be another's
        path.write_bytes(whole[: whole.index(text) + 5])
        with pytest.raises(UnreadableFile, match="ends inside its header"):
            read_identity(path)
    path.write_bytes(whole[: whole.index(b"1.2.3.4\0") + 8])
    assert read_identity(path) == Identity("PUBLIC-7", "1.2.3", "1.2.3.4")


def test_a_survey_of_some_files_knows_nothing_of_the_others(tmp_path):
    ours = write_series(tmp_path, HU, names=list("abcd"), series="1.2.3.4")
    write_series(tmp_path, HU, names=list("efgh"), series="1.2.3.5")
    found = scan.survey_files(tmp_path, ours)
    assert [candidate.key for candidate in found.candidates] == ["1.2.3.4"]
    assert len(found.candidates[0].frames) == 4
    assert len(scan.survey(tmp_path).candidates) == 2
    assert scan.choose(found).candidate.key == "1.2.3.4"
