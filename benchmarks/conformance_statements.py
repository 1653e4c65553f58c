"""Write the DICOM conformance statement and the IHE integration statement from what the code does.

    python benchmarks/conformance_statements.py     # half a minute; writes into docs/

Objects of small scans are written in several circumstances and compared: what is said of an attribute was found out.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.statements import dicom_statement, ihe_statement
from benchmarks.statements.dicom_statement import Found
from benchmarks.statements.material import without_finding, writings

ROOT = Path(__file__).parents[1]
DICOM, IHE = "dicom-conformance-statement.md", "ihe-integration-statement.md"


def pages(folder: Path, today: date) -> dict[str, str]:
    """Both pages by the name of their file.

    :param folder: an empty one, for scans and objects
    """
    told, healthy = writings(folder / "told"), without_finding(folder / "healthy")
    everything = (told.plain, told.other_scan, *told.changed.values(), healthy)
    found = Found.of([*everything, *([told.unknown] if told.unknown is not None else [])])
    return {
        DICOM: dicom_statement.statement(told, found),
        IHE: ihe_statement.statement(told.plain, healthy, found, today),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in pages(Path(folder), date.today()).items():
            (ROOT / "docs" / name).write_text(text, encoding="utf-8")
            print(f"docs/{name}")


if __name__ == "__main__":
    main()
