"""How much of the lung in a slice is opaque by its Hounsfield units alone: nothing is searched for and nothing learnt.

The limits are those from literature that the package goes by elsewhere: aerated lung lies below -700 HU (Colombi et al.
2020), and above -200 HU lies consolidation (Chaganti et al. 2020), which no threshold tells from vessels and walls.
Blood, scars and dependent lung count as well; ``opacity`` finds opacities with more care.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triplenet.catalog import HIGH_OPACITY_HU
from triplenet.prepare.mask_check import AERATED_HU

#: Opaque lies between these, Hounsfield units; neither of them is.
OPACITY_HU = (AERATED_HU, HIGH_OPACITY_HU)


def opacity_share(
    hu: npt.ArrayLike, lung: npt.NDArray[np.bool_], limits_hu: tuple[float, float] = OPACITY_HU
) -> float | None:
    """Share of the lung that lies between two limits, 0 to 1; None without lung.

    :param hu: (Y, X) Hounsfield units at the scan's own resolution
    :param lung: (Y, X), what is ill in it included
    """
    inside = np.asarray(hu)[lung]
    return float(np.mean((inside > limits_hu[0]) & (inside < limits_hu[1]))) if inside.size else None
