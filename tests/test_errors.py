"""Errors: stable codes, one line, whole through a process pool."""

import inspect
import pickle

import pytest

from triplenet import errors
from triplenet.errors import BadCohort, Fault, MaskMismatch, TripleNetError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TripleNetError)]


def test_every_kind_has_a_code_of_its_own():
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert all(code.isupper() for code in codes)


def test_a_message_is_one_line_with_what_where_and_what_to_do():
    error = MaskMismatch("the mask\nis elsewhere", where="a.nii", do="draw it again")
    assert str(error) == "the mask is elsewhere: a.nii; draw it again"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_back_from_another_process(kind):
    error = kind("what", where="where", do="do")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, str(error))


def test_the_faults_of_a_cohort_survive_it_too():
    fault = Fault(2, "scan", "NO_SCAN", "is empty")
    again = pickle.loads(pickle.dumps(BadCohort("bad", faults=[fault])))
    assert again.faults == (fault,)
    assert again.as_dict()["faults"] == [{"row": 2, "column": "scan", "code": "NO_SCAN", "text": "is empty"}]
