"""Meningiomas: smooth masses that sit on the dura and press the brain away."""

from __future__ import annotations

import cv2
import numpy as np

from brain_cnn.dataset.synthetic.anatomy import Layer, Lesion, push_away
from brain_cnn.dataset.synthetic.shapes import (
    Floats,
    Mask,
    Place,
    blob,
    depth_of,
    grown,
    smooth_noise,
)
from brain_cnn.dataset.synthetic.tissues import INDEX, INTRACRANIAL, Tissues, index_of

_FLUID_PATHS = index_of("white", "deep", "cerebellar_white", "pallidum", "stem")


def grow_meningioma(tissues: Tissues, rng: np.random.Generator) -> Lesion | None:
    """Grow a meningioma on skull, falx or tentorium, or in a ventricle; None without room.

    Args:
        tissues: int16 (n, n), the slice without it.
    """
    inside = INTRACRANIAL[tissues]
    depth = depth_of(inside)
    base, site = _base(tissues, inside, depth, rng)
    if base is None:
        return None
    radius = min(np.exp(rng.uniform(np.log(14), np.log(66))), 0.2 * np.sqrt((tissues != 0).sum()))
    inwards = _inwards(depth, base, site, rng)
    sunk = rng.uniform(0.2, 0.7) * radius
    centre = base[0] + inwards[0] * sunk, base[1] + inwards[1] * sunk
    tissues = push_away(tissues, centre, radius, rng.uniform(0.3, 0.85))
    shape = blob(
        rng,
        tissues.shape[0],
        centre,
        radius,
        eccentric=rng.uniform(1, 1.4),
        angle=float(np.arctan2(inwards[0], inwards[1]) + np.pi / 2),  # its base is its long side
        rough=rng.uniform(0.03, 0.18),
    )
    mask = (shape < 1) & INTRACRANIAL[tissues]
    layers = _layers(tissues, shape, mask, centre, radius, site, rng)
    return Lesion(tissues, layers, mask)


def _base(
    tissues: Tissues, inside: Mask, depth: Floats, rng: np.random.Generator
) -> tuple[Place | None, str]:
    """Return where on the dura it arises, and which dura that is."""
    hard = np.isin(tissues, index_of("bone", "sinus"))
    near_bone = cv2.dilate(hard.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    places, site = inside & (depth <= 4) & near_bone, "skull"
    pick = rng.random()
    if pick < 0.3:
        fluid = tissues == INDEX["csf"]
        cleft = cv2.boxFilter(fluid.astype(np.float32), -1, (13, 13)) > 0.25
        fold = fluid & (depth > 24) & cleft
        if fold.sum() > 120:
            places, site = fold, "fold"
    elif pick < 0.34:
        ventricle = tissues == INDEX["ventricle"]
        if ventricle.sum() > 600:
            places, site = ventricle, "ventricle"
    rows, columns = np.nonzero(places)
    if rows.size < 60:
        return None, site
    chosen = int(rng.integers(rows.size))
    return (float(rows[chosen]), float(columns[chosen])), site


def _inwards(depth: Floats, base: Place, site: str, rng: np.random.Generator) -> Place:
    """Return the unit vector (row, column) from the base into the brain."""
    smooth = cv2.GaussianBlur(depth, (0, 0), 6)
    last = depth.shape[0] - 1
    row, column = int(base[0]), int(base[1])
    down = float(smooth[min(row + 1, last), column] - smooth[max(row - 1, 0), column])
    right = float(smooth[row, min(column + 1, last)] - smooth[row, max(column - 1, 0)])
    length = float(np.hypot(down, right))
    if site != "skull" or length < 1e-3:
        turn = rng.uniform(0, 2 * np.pi)
        return float(np.sin(turn)), float(np.cos(turn))
    return down / length, right / length


def _layers(
    tissues: Tissues, shape: Floats, mask: Mask, centre: Place, radius: float, site: str,
    rng: np.random.Generator,
) -> list[Layer]:  # fmt: skip
    side = tissues.shape[0]
    inside = INTRACRANIAL[tissues]
    layers = []
    if rng.random() < 0.45:
        halo = blob(rng, side, centre, radius * rng.uniform(1.3, 2.1), rough=0.4) < 1
        water = (halo & np.isin(tissues, _FLUID_PATHS)).astype(np.float32)
        layers.append(Layer(water, INDEX["oedema"], rng.uniform(2, 8)))
    if site == "skull" and rng.random() < 0.12:  # the bone above it thickens
        thick = (shape < rng.uniform(1.05, 1.3)) & grown(tissues == INDEX["bone"], 6)
        layers.append(Layer(thick.astype(np.float32), INDEX["bone"], 1.0))
    if rng.random() < 0.6:  # fluid between tumour and brain
        cleft = (shape < 1 + rng.uniform(2, 5) / radius) & inside
        layers.append(Layer(cleft.astype(np.float32), INDEX["csf"], 1.0))
    layers.append(Layer(mask.astype(np.float32), INDEX["solid"], rng.uniform(0.7, 2)))
    inner = rng.random()
    if inner < 0.12:
        hole = mask & (smooth_noise(rng, side, 24) > 1.0)
        layers.append(Layer(hole.astype(np.float32), INDEX["core"], 1.5))
    elif inner < 0.22:
        chalk = mask & (smooth_noise(rng, side, rng.uniform(6, 20)) > rng.uniform(-0.5, 1.0))
        layers.append(Layer(chalk.astype(np.float32), INDEX["calcium"], 1.2))
    if site == "skull" and rng.random() < 0.55:  # the dural tail
        tail = inside & (depth_of(inside) < rng.uniform(2.4, 6)) & (shape < rng.uniform(1.2, 1.7))
        layers.append(Layer(tail.astype(np.float32), INDEX["solid"], 1.0))
    return layers
