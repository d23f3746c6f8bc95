"""Gliomas: tumours that arise inside the brain and grow along and through it."""

from __future__ import annotations

import numpy as np

from brain_cnn.dataset.synthetic.anatomy import Layer, Lesion, push_away
from brain_cnn.dataset.synthetic.settings import SyntheticSettings
from brain_cnn.dataset.synthetic.shapes import (
    Floats,
    Mask,
    Place,
    blob,
    depth_of,
    smooth_noise,
    travel_time,
)
from brain_cnn.dataset.synthetic.tissues import COUNT, INDEX, INTRACRANIAL, Tissues, index_of

_HOMES = (
    "white", "grey", "deep", "ventricle", "hippocampus", "stem", "cerebellar_white",
    "cerebellar_grey",
)  # fmt: skip
_FLUID_PATHS = index_of("white", "deep", "cerebellar_white", "pallidum", "stem")

# How much slower a tumour spreads through a tissue than along white matter.
_RESISTANCE = {
    "white": 1.0, "stem": 1.2, "cerebellar_white": 1.1, "deep": 1.4, "pallidum": 1.4,
    "hippocampus": 1.4, "grey": 1.5, "cerebellar_grey": 1.6, "chiasm": 1.5, "spot": 1.0,
    "choroid": 6.0, "ventricle": 9.0, "csf": 4.0, "artery": 5.0,
}  # fmt: skip


def grow_glioma(
    tissues: Tissues, settings: SyntheticSettings, rng: np.random.Generator
) -> Lesion | None:
    """Grow a glioma at a random place of the brain; None where the slice has no room.

    Args:
        tissues: int16 (n, n), the slice without it.
    """
    inside = INTRACRANIAL[tissues]
    home = np.isin(tissues, index_of(*_HOMES)) & (depth_of(inside) > 14)
    chances = np.where(np.isin(tissues, index_of("white", "deep", "stem")), 1.0, 0.3) * home
    if chances.sum() < 800:
        return None
    rows, columns = np.nonzero(home)
    weights = chances[rows, columns]
    chosen = int(rng.choice(rows.size, p=weights / weights.sum()))
    centre = float(rows[chosen]), float(columns[chosen])
    radius = min(np.exp(rng.uniform(np.log(14), np.log(76))), 0.22 * np.sqrt((tissues != 0).sum()))
    infiltrating = rng.random() < settings.infiltrating
    strength = rng.uniform(0.0, 0.4) if infiltrating else rng.uniform(0.1, 0.75)
    tissues = push_away(tissues, centre, radius, strength)
    if infiltrating:
        return _infiltrating(tissues, centre, radius, rng)
    return _bulky(tissues, centre, radius, rng)


def _infiltrating(
    tissues: Tissues, centre: Place, radius: float, rng: np.random.Generator
) -> Lesion:
    """A tumour that follows the white matter, crosses the callosum and spares the fluid."""
    side = tissues.shape[0]
    reach = 1.25 * radius
    cost = np.full(COUNT, 40.0, np.float32)
    for name, resistance in _RESISTANCE.items():
        cost[INDEX[name]] = resistance
    roughness = np.exp(rng.uniform(0.1, 0.5) * smooth_noise(rng, side, rng.uniform(10, 40)))
    spread = travel_time(cost[tissues] * roughness, centre, 2.5 * reach) / reach
    solid_brain = INTRACRANIAL[tissues] & ~np.isin(tissues, index_of("ventricle", "csf", "artery"))
    mask = (spread < 1) & solid_brain
    # Healthy tissue shows through: it is in between the tumour's cells, the more the farther out.
    density = np.clip((1.15 - spread) / rng.uniform(0.15, 0.7), 0, 1) * rng.uniform(0.8, 1.0)
    grey = np.isin(tissues, index_of("grey", "cerebellar_grey", "deep", "hippocampus"))
    density = density * np.where(grey, rng.uniform(0.65, 1.0), 1.0) * solid_brain
    layers = []
    if rng.random() < 0.35:
        layers.append(_oedema(tissues, centre, radius, rng))
    layers.append(Layer(density.astype(np.float32), INDEX["low"], rng.uniform(1.0, 4.0)))
    inner = (spread < rng.uniform(0.35, 0.75)) & solid_brain
    style = rng.random()
    if style < 0.25:
        layers += _ring(inner, rng)
    elif style < 0.45:
        layers += _mixed(inner, rng)
    elif style < 0.6:  # small cysts in it
        holes = inner & (smooth_noise(rng, side, rng.uniform(10, 24)) > 0.9)
        layers.append(Layer(holes.astype(np.float32), INDEX["core"], rng.uniform(1, 2.5)))
    return Lesion(tissues, layers, mask)


def _bulky(tissues: Tissues, centre: Place, radius: float, rng: np.random.Generator) -> Lesion:
    """A mass of its own: ring, mixed, faint and smooth, or a cyst with a nodule."""
    side = tissues.shape[0]
    inside = INTRACRANIAL[tissues]
    shape = blob(
        rng, side, centre, radius, eccentric=rng.uniform(1, 1.7), rough=rng.uniform(0.15, 0.5)
    )
    mask = (shape < 1) & inside & (depth_of(inside) > 4)
    style = rng.choice(["ring", "mixed", "low", "nodule"], p=[0.4, 0.28, 0.22, 0.1])
    layers = []
    if rng.random() < (0.35 if style == "low" else 0.75):
        layers.append(_oedema(tissues, centre, radius, rng))
    if style == "ring":
        layers += _ring(mask, rng)
    elif style == "mixed":
        layers += _mixed(mask, rng)
    elif style == "low":
        density = mask * np.float32(rng.uniform(0.75, 1.0))
        layers.append(Layer(density, INDEX["low"], rng.uniform(1, 7)))
    else:
        layers += _cyst_with_nodule(mask, centre, radius, rng)
    return Lesion(tissues, layers, mask)


def _oedema(tissues: Tissues, centre: Place, radius: float, rng: np.random.Generator) -> Layer:
    """Water in the white matter around a tumour, in fingers between the gyri."""
    around = centre[0] + rng.normal(0, radius * 0.3), centre[1] + rng.normal(0, radius * 0.3)
    wide = radius * rng.uniform(1.3, 2.3)
    shape = blob(rng, tissues.shape[0], around, wide, eccentric=rng.uniform(1, 1.6), rough=0.5)
    share = ((shape < 1) & np.isin(tissues, _FLUID_PATHS)).astype(np.float32)
    return Layer(share, INDEX["oedema"], rng.uniform(2, 8))


def _ring(mask: Mask, rng: np.random.Generator) -> list[Layer]:
    side = mask.shape[0]
    wall = rng.uniform(3, 10) * (1 + 0.6 * smooth_noise(rng, side, 28))
    core = mask & (depth_of(mask) > np.maximum(wall, 1.5))
    return [
        Layer(mask.astype(np.float32), INDEX["rim"], rng.uniform(0.7, 2)),
        Layer(core.astype(np.float32), INDEX["core"], rng.uniform(0.7, 2.5)),
    ]


def _mixed(mask: Mask, rng: np.random.Generator) -> list[Layer]:
    pattern: Floats = smooth_noise(rng, mask.shape[0], rng.uniform(12, 30))
    return [
        Layer(mask.astype(np.float32), INDEX["solid"], rng.uniform(1, 4)),
        Layer((mask & (pattern > 0.7)).astype(np.float32), INDEX["core"], rng.uniform(1, 3)),
        Layer((mask & (pattern < -0.5)).astype(np.float32), INDEX["rim"], rng.uniform(1, 3)),
    ]


def _cyst_with_nodule(
    mask: Mask, centre: Place, radius: float, rng: np.random.Generator
) -> list[Layer]:
    turn = rng.uniform(0, 2 * np.pi)
    at = centre[0] + 0.7 * radius * np.sin(turn), centre[1] + 0.7 * radius * np.cos(turn)
    nodule = (blob(rng, mask.shape[0], at, radius * rng.uniform(0.3, 0.55)) < 1) & mask
    return [
        Layer(mask.astype(np.float32), INDEX["core"], rng.uniform(0.7, 2)),
        Layer(nodule.astype(np.float32), INDEX["rim"], rng.uniform(0.7, 2)),
    ]
