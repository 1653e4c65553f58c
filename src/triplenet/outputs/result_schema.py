"""The JSON Schema of ``result.json`` and ``refused.json``, made from the classes that write them.

It is published as ``docs/result.schema.json`` and lies in the package beside this module. After a change of the record:
``python -c "from triplenet.outputs.result_schema import publish; publish('docs')"``, which writes both.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from triplenet.files import write_json
from triplenet.inference.result import Record, Refusal

FILE = "result.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def result_schema() -> dict[str, Any]:
    """The schema of a result or a refusal, told apart by ``format``."""
    either = TypeAdapter[Any](Annotated[Record | Refusal, Field(discriminator="format")])
    told = either.json_schema(mode="serialization")
    return {"$schema": DIALECT, "$id": "urn:triplenet:result:1", "title": "triplenet result or refusal", **told}


def published_schema() -> str:
    """The schema's text as the package brings it."""
    return files("triplenet.outputs").joinpath(FILE).read_text(encoding="utf-8")


def publish(docs: Path | str) -> None:
    """Write the schema beside this module, and into the folder of the documentation.

    :raises OutputFailed: no room, no permission
    """
    for folder in (Path(__file__).parent, Path(docs)):
        write_json(folder / FILE, result_schema())
