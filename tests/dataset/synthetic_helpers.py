"""A head drawn by code as a label map, and a normal volume, for tests without data."""

import numpy as np

from brain_cnn.dataset.synthetic.heads import head_from_labels

_SHAPE = (170, 200, 190)


def drawn_labels(shift=0):
    """Return int16 (170, 200, 190): skin, bone, fluid, cortex, white matter, ventricles, sella."""
    x, y, z = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in _SHAPE), indexing="ij")

    def ellipsoid(centre, radii):
        parts = ((a - c) / r for a, c, r in zip((x, y, z), centre, radii, strict=True))
        return sum(part**2 for part in parts) < 1

    middle = (85, 100 + shift, 95)
    labels = np.zeros(_SHAPE, np.int16)
    for value, less in ((511, 0), (515, 7), (24, 12), (3, 15), (2, 21)):
        labels[ellipsoid(middle, (76 - less, 92 - less, 86 - less))] = value
    labels[(labels == 2) & (z < 80) & (y < 85)] = 46
    for side in (-12, 12):
        labels[ellipsoid((85 + side, 100 + shift, 108), (7, 22, 9))] = 4
    falx = (np.abs(x - 85) < 1.6) & np.isin(labels, (2, 3)) & (z > 112)
    labels[falx] = 24
    labels[ellipsoid((85, 110 + shift, 78), (3, 3, 2))] = 85
    return labels


def drawn_head(name="01", shift=0):
    return head_from_labels(name, drawn_labels(shift))


def drawn_volume():
    """Return uint8 (X, Y, Z), like a T1 of the same head."""
    labels = drawn_labels()
    greys = {511: 190, 515: 20, 24: 35, 3: 100, 2: 145, 46: 140, 4: 30, 85: 120}
    volume = np.zeros(labels.shape, np.uint8)
    for value, grey in greys.items():
        volume[labels == value] = grey
    return volume
