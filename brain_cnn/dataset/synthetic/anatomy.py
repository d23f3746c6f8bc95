"""What differs from head to head without being a tumour, and what a tumour does to a head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from brain_cnn.dataset.synthetic.settings import SyntheticSettings
from brain_cnn.dataset.synthetic.shapes import Floats, Mask, Place, blob, depth_of, grown
from brain_cnn.dataset.synthetic.tissues import BRAIN, INDEX, INTRACRANIAL, Tissues, index_of


@dataclass(frozen=True)
class Layer:
    """Something painted over the tissues.

    Attributes:
        share: float32 (n, n) in 0..1, how much of each fine pixel it covers.
        paint: index of its grey, one of `LAYERS` or a tissue.
        softness: standard deviation of its edge in fine pixels.
    """

    share: Floats
    paint: int
    softness: float


@dataclass(frozen=True)
class Lesion:
    """A slice with something in it.

    Attributes:
        tissues: int16 (n, n), after the mass effect.
        layers: to paint, the lowest first.
        mask: bool (n, n), what counts as the lesion.
    """

    tissues: Tissues
    layers: list[Layer]
    mask: Mask


def vary_brain(tissues: Tissues, settings: SyntheticSettings, rng: np.random.Generator) -> Tissues:
    """Return the slice with thinner sulci or wider ventricles, or as it is."""
    if rng.random() < settings.thin_sulci:
        cortex = np.isin(tissues, index_of("grey", "cerebellar_grey"))
        swollen = grown(cortex, int(rng.integers(1, 6))) & (tissues == INDEX["csf"])
        tissues = np.where(swollen, INDEX["grey"], tissues).astype(np.int16)
    if rng.random() < settings.wide_ventricles:
        ventricle = tissues == INDEX["ventricle"]
        if ventricle.any():
            wider = grown(ventricle, int(rng.integers(1, 8))) & BRAIN[tissues]
            tissues = np.where(wider, INDEX["ventricle"], tissues).astype(np.int16)
    return tissues


def push_away(tissues: Tissues, centre: Place, radius: float, strength: float) -> Tissues:
    """Return the slice after a mass has pressed what lies around it outwards.

    Args:
        centre: of the mass; radius: of it, fine pixels.
        strength: by how many radii the tissue at its edge has moved.
    """
    side = tissues.shape[0]
    rows = np.arange(side, dtype=np.float32)[:, None]
    columns = np.arange(side, dtype=np.float32)[None, :]
    down, right = rows - np.float32(centre[0]), columns - np.float32(centre[1])
    distance = np.sqrt(down * down + right * right) + np.float32(1e-3)
    fall = np.exp(-np.maximum(distance - radius, 0) / np.float32(1.3 * radius))
    shift = np.minimum(np.float32(strength * radius) * fall, 0.9 * distance)
    inside = INTRACRANIAL[tissues]
    shift = shift * np.clip(depth_of(inside) / 28, 0, 1)  # the skull stands firm
    share = (shift / distance).astype(np.float32)
    moved = cv2.remap(tissues, columns - right * share, rows - down * share, cv2.INTER_NEAREST)
    pressed = np.where(INTRACRANIAL[moved], moved, INDEX["csf"])
    return np.where(inside, pressed, tissues).astype(np.int16)


def white_spots(tissues: Tissues, rng: np.random.Generator) -> list[Layer]:
    """Return a few small white matter lesions, as many heads have with the years."""
    white = np.argwhere(tissues == INDEX["white"])
    if len(white) < 100:
        return []
    spots = np.zeros(tissues.shape, np.float32)
    for _ in range(int(rng.integers(1, 10))):
        row, column = white[rng.integers(len(white))]
        cv2.circle(spots, (int(column), int(row)), int(rng.integers(1, 5)), 1.0, -1)
    return [Layer(spots * (tissues == INDEX["white"]), INDEX["oedema"], 1.5)]


def pituitary_gland(sella: Place, rng: np.random.Generator, side: int) -> Layer:
    """Return the normal gland in its sella: the label maps have none."""
    centre = sella[0] + rng.normal(0, 2), sella[1] + rng.normal(0, 2)
    shape = blob(rng, side, centre, rng.uniform(5, 9), eccentric=1.6, angle=0.0, rough=0.08) < 1
    return Layer(shape.astype(np.float32), INDEX["gland"], 1.0)


def other_lesion(tissues: Tissues, rng: np.random.Generator) -> Lesion | None:
    """Return a fluid-filled lesion that is no tumour: an arachnoid cyst or an old infarct."""
    side = tissues.shape[0]
    inside = INTRACRANIAL[tissues]
    depth = depth_of(inside)
    cyst = rng.random() < 0.5
    wanted = inside & ((depth < 8) if cyst else (depth > 14) & BRAIN[tissues])
    rows, columns = np.nonzero(wanted)
    if rows.size < 200:
        return None
    chosen = int(rng.integers(rows.size))
    centre = float(rows[chosen]), float(columns[chosen])
    shape = blob(rng, side, centre, rng.uniform(8, 34), eccentric=rng.uniform(1, 2), rough=0.3)
    mask = (shape < 1) & inside & (cyst | (depth > 3))
    layers = [Layer(mask.astype(np.float32), INDEX["csf"], rng.uniform(0.7, 2.0))]
    if not cyst and rng.random() < 0.6:  # the scar around an old infarct
        rim = (shape < 1.25) & inside & (tissues == INDEX["white"])
        layers.insert(0, Layer(rim.astype(np.float32), INDEX["oedema"], 2.0))
    return Lesion(tissues, layers, mask)
