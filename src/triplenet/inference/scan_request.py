"""A scan that is to be classified, and what is told of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from triplenet.prepare.masks import MaskInput
from triplenet.scan import Scan, Series

ScanSource = Scan | Series | Path | str


@dataclass(frozen=True)
class ScanRequest:
    """One scan of a batch; the fields are those of ``Classifier.__call__``."""

    source: ScanSource
    infection: MaskInput | None = None
    lung: MaskInput | None = None
    mask: MaskInput | None = None
    series: str | None = None
    slice_from_feet: int | None = None
    patient: str | None = None
    """Whose scan it is: an identity, written only when asked for"""

    @classmethod
    def of(cls, scan: ScanRequest | ScanSource) -> ScanRequest:
        """A request for a scan of which nothing is told; a request is one already."""
        return scan if isinstance(scan, ScanRequest) else cls(scan)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders that it names, the scan's first."""
        named = (self.source, self.infection, self.lung, self.mask)
        return tuple(Path(one) for one in named if isinstance(one, Path | str))

    def absolute(self) -> ScanRequest:
        """The same, wherever it is worked on."""
        named = {name: getattr(self, name) for name in ("source", "infection", "lung", "mask")}
        paths: dict[str, Any] = {n: Path(one).absolute() for n, one in named.items() if isinstance(one, Path | str)}
        return replace(self, **paths)
