"""What is inside the body, told from the table that it lies on."""

import numpy as np

from triplenet.prepare.body import find_body

SPACING = (4.0, 4.0, 4.0)


def test_the_air_between_the_back_and_a_thick_table_is_not_enclosed():
    """A table top of 32 mm is no sheet, but it is a small part of all that is solid."""
    y, x = np.mgrid[0:96, 0:96]
    hu = np.full((6, 96, 96), -1000, np.float32)
    hu[:, ((x - 47.5) / 34) ** 2 + ((y - 40) / 24) ** 2 < 1] = 40
    hu[:, 30:40, 30:40] = -860  # lung
    hu[:, 76:84, 30:66] = 100
    body = find_body(hu, -500.0, SPACING)
    enclosed, air = np.zeros(hu.shape, bool), np.zeros(hu.shape, bool)
    enclosed[body.box], air[body.box] = body.enclosed, body.air
    assert enclosed[:, 30:40, 30:40].all() and air[:, 30:40, 30:40].all()
    assert not enclosed[:, 68:75, 40:56].any() and not air[:, 68:75, 40:56].any()
    assert abs(body.middle + body.box[2].start - 47.5) < 1
    assert abs(body.width - 67) <= 2
