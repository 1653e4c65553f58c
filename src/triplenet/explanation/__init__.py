"""Heat maps as pictures and in numbers: overlays, colour bars, captions, panels, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triplenet.explanation.caption import Caption, caption
from triplenet.explanation.map_kinds import MAPS, MapKind
from triplenet.explanation.map_scores import MEASURES, THRESHOLD, MapScores, Measure, score_map
from triplenet.explanation.maps import heat_maps
from triplenet.explanation.overlay import ABSOLUTE, OWN_MAXIMUM, PAPER, STYLES, Style, outlined, overlay
from triplenet.explanation.panel import Tile, panel
from triplenet.explanation.reference_maps import REFERENCES, mean_lesion, noise_seed, reference_maps
from triplenet.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from triplenet.explanation.attribution import explain
    from triplenet.explanation.explained_run import explain_run
else:
    __getattr__ = lazy_exports(
        __name__, {"explain": "explanation.attribution", "explain_run": "explanation.explained_run"}
    )

__all__ = [
    "ABSOLUTE",
    "MAPS",
    "MEASURES",
    "OWN_MAXIMUM",
    "PAPER",
    "REFERENCES",
    "STYLES",
    "THRESHOLD",
    "Caption",
    "MapKind",
    "MapScores",
    "Measure",
    "Style",
    "Tile",
    "caption",
    "explain",
    "explain_run",
    "heat_maps",
    "mean_lesion",
    "noise_seed",
    "outlined",
    "overlay",
    "panel",
    "reference_maps",
    "score_map",
]
