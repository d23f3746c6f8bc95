"""Pituitary tumours: from the sella upwards, sometimes down or to the sides."""

from __future__ import annotations

import numpy as np

from brain_cnn.dataset.synthetic.anatomy import Layer, Lesion, push_away
from brain_cnn.dataset.synthetic.planes import LabelSlice
from brain_cnn.dataset.synthetic.shapes import blob, depth_of, smooth_noise
from brain_cnn.dataset.synthetic.tissues import INDEX


def grow_pituitary(one: LabelSlice, rng: np.random.Generator) -> Lesion:
    """Grow a pituitary tumour in a slice through the sella."""
    side = one.tissues.shape[0]
    radius = float(np.exp(rng.uniform(np.log(12), np.log(40))))
    upright = one.plane != "axial"
    rise = radius * rng.uniform(0.1, 0.6) if upright else rng.normal(0, 4)
    centre = one.sella[0] - rise, one.sella[1] + rng.normal(0, 4)
    tissues = push_away(one.tissues, centre, radius, rng.uniform(0.2, 0.8))
    angle = 0.0 if rng.random() < 0.5 else None
    mask = (
        blob(
            rng, side, centre, radius, eccentric=rng.uniform(1, 1.35), angle=angle,
            rough=rng.uniform(0.05, 0.22),
        )
        < 1
    )  # fmt: skip
    if rng.random() < 0.3:  # into the sphenoid sinus; in axial slices, backwards
        below = centre[0] + rng.uniform(0.3, 0.9) * radius, centre[1]
        mask |= blob(rng, side, below, radius * rng.uniform(0.5, 0.8)) < 1
    if one.plane != "sagittal" and rng.random() < 0.25:  # into a cavernous sinus
        where = centre[1] + rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.0) * radius
        mask |= blob(rng, side, (one.sella[0], where), radius * rng.uniform(0.4, 0.7)) < 1
    layers = [Layer(mask.astype(np.float32), INDEX["solid"], rng.uniform(0.7, 2))]
    inner = rng.random()
    if inner < 0.2:
        cyst = mask & (depth_of(mask) > rng.uniform(4, 8))
        layers.append(Layer(cyst.astype(np.float32), INDEX["core"], 1.5))
    elif inner < 0.45:
        holes = mask & (smooth_noise(rng, side, 18) > 0.8)
        layers.append(Layer(holes.astype(np.float32), INDEX["core"], 1.5))
    elif inner < 0.5:  # blood or fluid that has settled: a level
        level = np.arange(side)[:, None] > centre[0] + rng.uniform(-0.3, 0.3) * radius
        low = mask & (level | np.zeros_like(mask))
        layers.append(Layer(low.astype(np.float32), INDEX["core"], 1.2))
    return Lesion(tissues, layers, mask)
