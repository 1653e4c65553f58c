"""The published JSON Schema is that of the code, and whatever is written keeps to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outputs.dicom_results import chest_hu
from prepare.synthetic import chest
from toy_model import marker
from triplenet.errors import NoLung
from triplenet.inference import Keep, predict, refusal
from triplenet.outputs import result_schema, write, write_refusal
from triplenet.scan import Scan, Source

jsonschema = pytest.importorskip("jsonschema")
DOCS = Path(__file__).parents[2] / "docs"
PUBLISH = "run what result_schema.py's head says, and commit both files"


@pytest.fixture(scope="module")
def check():
    schema = json.loads(result_schema.published_schema())
    validator = jsonschema.validators.validator_for(schema)
    assert validator is jsonschema.Draft202012Validator
    validator.check_schema(schema)
    return validator(schema).validate


def scanned(**options):
    hu, geometry = chest_hu(), chest()[3]
    scan = Scan(hu, geometry, Source("nifti", "x"))
    return predict(scan, marker(evidence=options.pop("evidence", False)), keep=Keep(segments=True), **options)


def test_both_published_schemas_are_the_codes():
    made = result_schema.result_schema()
    assert json.loads(result_schema.published_schema()) == made, PUBLISH
    assert json.loads((DOCS / result_schema.FILE).read_text(encoding="utf-8")) == made, PUBLISH


@pytest.mark.parametrize(
    "options", [{}, {"evidence": True, "every_slice": True}, {"slice_from_feet": 0, "identifiers": True}]
)
def test_a_written_result_keeps_to_the_schema(tmp_path, check, options):
    write(scanned(**options), tmp_path / "out", ["json"])
    written = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    check(written)
    for key, wrong in (("predicted", 3), ("format", "another"), ("version", 2), ("unknown", "key")):
        with pytest.raises(jsonschema.ValidationError):
            check(written | {key: wrong})
    for key in ("slice", "predicted", "classes"):
        with pytest.raises(jsonschema.ValidationError):
            check({name: value for name, value in written.items() if name != key})


def test_a_written_refusal_keeps_to_the_schema(tmp_path, check):
    write_refusal(refusal(NoLung("no lung", do="give a mask")), tmp_path / "out")
    check(json.loads((tmp_path / "out" / "refused.json").read_text(encoding="utf-8")))


def test_the_schema_says_what_the_values_are():
    parts = result_schema.result_schema()["$defs"]
    told = parts["SliceInfo"]["properties"]["z_mm"]["description"]
    assert told == "Height of the slice's centre on the patient's axis to the head (LPS)"
