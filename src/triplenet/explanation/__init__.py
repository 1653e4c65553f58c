"""Heat maps as pictures and in numbers: overlays, colour bars, captions, panels, scores."""

from triplenet.explanation.caption import Caption, caption
from triplenet.explanation.map_scores import THRESHOLD, Overlap, overlap
from triplenet.explanation.maps import heat_maps
from triplenet.explanation.overlay import ABSOLUTE, PAPER, STYLES, Style, outlined, overlay
from triplenet.explanation.panel import Tile, panel

__all__ = [
    "ABSOLUTE",
    "PAPER",
    "STYLES",
    "THRESHOLD",
    "Caption",
    "Overlap",
    "Style",
    "Tile",
    "caption",
    "heat_maps",
    "outlined",
    "overlap",
    "overlay",
    "panel",
]
