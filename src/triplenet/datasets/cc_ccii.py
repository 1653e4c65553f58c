"""The lesion pictures of CC-CCII (Zhang et al. 2020): slices of COVID-19 patients with drawn lung, ground glass and
consolidation.

``ct_lesion_seg/image/<scan>/<number>.jpg`` and ``ct_lesion_seg/mask/<scan>/<number>.png``, whose values are 0
background, 1 lung, 2 ground glass and 3 consolidation; only some slices of a scan have a mask. A slice with one is a
row of the group of its scan. What is not published is taken as follows: the pictures are upright, and their grey window
is unknown, so that they are tied to HU by their lungs.

All are positive, without one of the paper's findings: they take part in the segmentation only. The pictures of the
whole CC-CCII, sorted by NCP, CP and Normal, are not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver
from triplenet.datasets.pictures import Labels, Picture, write_slice_cohort
from triplenet.datasets.scan_files import take_pictures
from triplenet.errors import BadDataset

SITE = "CC-CCII"
_LABELS = Labels(known=frozenset({0, 1, 2, 3}), infection=frozenset({2, 3}), lung=frozenset({1, 2, 3}))


def run(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    """Make ``out/cohort.csv``."""
    root = next((folder for folder in (src, src / "ct_lesion_seg") if (folder / "mask").is_dir()), None)
    if root is None or not (root / "image").is_dir():
        raise BadDataset("no ct_lesion_seg/image and mask", where=src, do="unpack ct_lesion_seg.zip here")
    left = PassedOver(src)
    rows: list[tuple[Mapping[str, str], Picture]] = []
    scans = {folder.name for part in ("image", "mask") for folder in (root / part).iterdir() if folder.is_dir()}
    for scan in sorted(scans, key=lambda name: (len(name), name)):
        images, masks = (take_pictures(root / part / scan, left) for part in ("image", "mask"))
        for number in sorted(masks, key=lambda name: (len(name), name)):
            if number not in images:
                left.add(masks[number], "a mask without a slice of the same name in image")
                continue
            patient = f"CC-CCII-{scan}-{number}"
            file = f"{len(rows) + 1:05d}.nii.gz"  # a folder's name may hold anything; the file's does not
            picture = Picture(
                images[number],
                out / "scans" / file,
                infection=(masks[number], out / "infection" / file),
                lung=(masks[number], out / "lung" / file),
                cropped=True,
                labels=_LABELS,
            )
            rows.append(({"patient": patient, "finding": "", "group": f"CC-CCII-{scan}", "site": SITE}, picture))
        for number in sorted(images.keys() - masks.keys()):
            left.add(images[number], "a slice without a mask")
    if not rows:
        raise BadDataset("no slice has a mask", where=root)
    return write_slice_cohort(out, rows, jobs, on_progress, left)
