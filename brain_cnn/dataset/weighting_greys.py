"""A tumour seen in contrast T1, repainted as another weighting would show it.

The donors of `edits.transplant` are contrast T1 slices; a head in T1, T2 or FLAIR needs the
same tumour with other greys: what takes up contrast agent is no longer bright, what is
dead or fluid is dark in T1 and bright in T2, and the water around it shows.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.blending import Head, Mask, grow

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

REPAINTED = ("t1", "t2", "flair")
"""Weightings in which a contrast T1 tumour is repainted."""

# Weighting -> for gliomas and pituitary tumours, then for meningiomas: lowest and highest
# level of the tumour over that of the brain around it.
_LEVELS = {
    "t1": ((0.55, 0.95), (0.75, 1.03)),
    "t2": ((1.15, 1.9), (0.95, 1.5)),
    "flair": ((1.15, 1.8), (1.0, 1.5)),
}
# Weighting -> what is brighter than the brain in contrast T1, and what is darker, is this much
# of the brain's level brighter here (lowest, highest).
_PATTERN = {
    "t1": ((-0.1, 0.15), (-0.45, -0.1)),
    "t2": ((-0.35, 0.15), (0.0, 0.6)),
    "flair": ((-0.15, 0.3), (-0.5, 0.3)),
}
_BRIGHTEST = 240.0
_OEDEMA_SHARE = {"glioma": 0.6, "meningioma": 0.4}


def repaint(
    donor_image: Image,
    tumour: Mask,
    levels: tuple[float, float],
    weighting: str,
    label: str,
    rng: np.random.Generator,
) -> Floats:
    """Return the donor in the greys of another weighting, float32 (S, S).

    Args:
        donor_image: uint8 (S, S), contrast T1; tumour: bool (S, S).
        levels: median grey of the brain around the tumour, in the donor and at its new place.
        weighting: one of `REPAINTED`; label: class of the tumour.
    """
    level_donor, level_head = levels
    apart = donor_image.astype(np.float32) - level_donor
    bright = np.clip(apart / max(float(np.percentile(apart[tumour], 90)), 10.0), 0, 1)
    dark = np.clip(-apart / max(float(np.percentile(-apart[tumour], 90)), 10.0), 0, 1)
    share = rng.uniform(*_LEVELS[weighting][int(label == "meningioma")])
    base = min(level_head * share, _BRIGHTEST)
    for_bright, for_dark = (rng.uniform(*span) for span in _PATTERN[weighting])
    inside = base + level_head * (for_bright * bright + for_dark * dark)
    edge = cv2.GaussianBlur(grow(tumour, 1).astype(np.float32), (0, 0), 0.8)
    patch = level_head + edge * (np.clip(inside, 3.0, _BRIGHTEST + 10) - level_head)
    result: Floats = patch.astype(np.float32)
    return result


def lay_oedema(
    image: Image, head: Head, tumour: Mask, weighting: str, label: str, rng: np.random.Generator
) -> Image:
    """Return the head with water in the white matter around a tumour, or as it is.

    Args:
        image: uint8 (S, S), the head; tumour: bool (S, S), where it will lie.
    """
    if rng.random() >= _OEDEMA_SHARE.get(label, 0.0):
        return image
    radius = np.sqrt(tumour.sum() / np.pi)
    side = image.shape[0]
    coarse = rng.standard_normal((side // 10 + 2,) * 2).astype(np.float32)
    noise = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    away = cv2.distanceTransform((~tumour).astype(np.uint8), cv2.DIST_L2, 3)
    reach = radius * rng.uniform(0.4, 1.2)
    values = image[head.brain]
    low, high = np.percentile(values, [20, 80])
    tissue = (image > low - 0.5 * (high - low)) & (image < high + 0.5 * (high - low))
    wet = ((away + 0.45 * reach * noise) < reach) & head.brain & tissue
    share = cv2.GaussianBlur(wet.astype(np.float32), (0, 0), rng.uniform(1.0, 2.5))
    level = float(np.median(values))
    grey = level * (
        rng.uniform(0.7, 0.92) if weighting in ("t1", "t1c") else rng.uniform(1.25, 1.8)
    )
    painted = image + share * rng.uniform(0.6, 1.0) * (min(grey, _BRIGHTEST) - image)
    result: Image = np.clip(np.rint(painted), 0, 255).astype(np.uint8)
    return result
