"""Heat maps as pictures and in numbers: overlays, colour bars, legends, panels, scores."""

from triplenet.explanation.legend import Legend, legend
from triplenet.explanation.maps import heat_maps
from triplenet.explanation.overlay import ABSOLUTE, PAPER, STYLES, Style, outlined, overlay
from triplenet.explanation.panel import Tile, panel
from triplenet.explanation.scores import THRESHOLD, Overlap, overlap

__all__ = [
    "ABSOLUTE",
    "PAPER",
    "STYLES",
    "THRESHOLD",
    "Legend",
    "Overlap",
    "Style",
    "Tile",
    "heat_maps",
    "legend",
    "outlined",
    "overlap",
    "overlay",
    "panel",
]
