"""Damaged inputs guided by the branches that they reach; those by chance are a test (``make test-slow``).

    pip install atheris
    python benchmarks/fuzz_guided.py dicom 600     # ten minutes

A finding ends the run; the file that did it stays in the folder that is named.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzz.kinds import KINDS, verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("seconds", type=int)
    options = parser.parse_args()
    import atheris

    # Loaded here first, so that atheris sees their branches.
    with atheris.instrument_imports(include=["triplenet", "pydicom", "nibabel"], enable_loader_override=False):
        import triplenet.scan
        import triplenet.scan.metaimage
        import triplenet.scan.nrrd
        import triplenet.scan.segmentation  # noqa: F401
    made = KINDS[options.kind]
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{options.kind}-"))
    beside, corpus = folder / "beside", folder / "corpus"
    beside.mkdir()
    corpus.mkdir()
    for n, source in enumerate(made.sources(beside)):
        for k in range(5):
            (corpus / f"{n}-{k}").write_bytes(source(random.Random(k)))
    print(f"findings go to {folder}", file=sys.stderr)

    def target(data: bytes) -> None:
        (folder / made.name).write_bytes(data)
        verdict(options.kind, folder / made.name, beside)

    limits = (f"-max_total_time={options.seconds}", "-max_len=20000", "-timeout=20", "-rss_limit_mb=3000")
    atheris.Setup([sys.argv[0], str(corpus), *limits, f"-artifact_prefix={folder}/"], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
