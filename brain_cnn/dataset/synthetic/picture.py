"""From tissues and layers to a picture: greys, texture, partial volume, and the scanner."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.synthetic.anatomy import Layer
from brain_cnn.dataset.synthetic.greys import Greys
from brain_cnn.dataset.synthetic.settings import SIDE, SyntheticSettings
from brain_cnn.dataset.synthetic.shapes import Floats, Mask, smooth_noise
from brain_cnn.dataset.synthetic.tissues import Tissues


def paint(tissues: Tissues, layers: list[Layer], greys: Greys, rng: np.random.Generator) -> Floats:
    """Return float32 (n, n) on the fine grid: every tissue with its texture, layers over it."""
    side = tissues.shape[0]
    texture = (
        0.55 * smooth_noise(rng, side, 4)
        + 0.6 * smooth_noise(rng, side, 10)
        + 0.5 * smooth_noise(rng, side, 22)
    )
    picture = greys.mean[tissues] + greys.spread[tissues] * texture
    if layers:
        texture = 0.6 * smooth_noise(rng, side, 8) + 0.7 * smooth_noise(rng, side, 20)
    for layer in layers:
        share = layer.share
        if layer.softness > 0.6:
            share = cv2.GaussianBlur(share, (0, 0), layer.softness)
        own = greys.mean[layer.paint] + greys.spread[layer.paint] * texture
        picture = picture + (own - picture) * share
    result: Floats = picture.astype(np.float32)
    return result


def acquire(
    picture: Floats, settings: SyntheticSettings, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return uint8 (SIDE, SIDE): what a scanner makes of float32 (n, n).

    Uneven coil, slice thickness and in-plane resolution (blur, then means of fine pixels),
    artefacts, noise, and now and then a reconstruction that smooths.
    """
    side = picture.shape[0]
    picture = picture * (1 + 0.05 * smooth_noise(rng, side, 90))
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1.0, 2.2))
    picture = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if rng.random() < settings.artefacts:
        picture = _ghost(picture, rng)
    if rng.random() < settings.artefacts:
        picture = _move(picture, rng)
    if rng.random() < settings.artefacts / 3:
        picture = _zipper(picture, rng)
    if rng.random() < settings.artefacts / 3:
        shift = int(rng.integers(8, 40)) * int(rng.choice([-1, 1]))
        picture = np.roll(picture, shift, axis=0)  # the field of view was too small
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    picture = picture + noise * np.float32(rng.uniform(0.5, 5))
    if rng.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 0.7))
    if rng.random() < 0.25:  # a window that cuts off the brightest or the darkest
        low, high = rng.uniform(-5, 15), rng.uniform(170, 260)
        picture = (picture - low) * (255 / (high - low))
    return np.clip(picture, 0, 255).astype(np.uint8)


def shrink_mask(mask: Mask) -> NDArray[np.uint8]:
    """Return uint8 (SIDE, SIDE), 255 where most fine pixels of bool (n, n) are set."""
    share = cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.where(share > 0.5, 255, 0).astype(np.uint8)


def _ghost(picture: Floats, rng: np.random.Generator) -> Floats:
    """Faint copies along the phase direction, as breathing and pulsing vessels leave."""
    axis = int(rng.integers(2))
    shift = int(rng.integers(SIDE // 8, SIDE // 2))
    strength = np.float32(rng.uniform(0.02, 0.08))
    return picture + strength * (np.roll(picture, shift, axis) + np.roll(picture, -shift, axis))


def _move(picture: Floats, rng: np.random.Generator) -> Floats:
    """The mean of a few positions: a head that did not keep still."""
    result = np.zeros_like(picture)
    for _ in range(3):
        turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), float(rng.normal(0, 0.7)), 1.0)
        turn[:, 2] += rng.normal(0, 1.0, 2)
        result += cv2.warpAffine(picture, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return result / np.float32(3)


def _zipper(picture: Floats, rng: np.random.Generator) -> Floats:
    """A line of alternating noise: a radio signal from outside."""
    picture = picture.copy()
    row = int(rng.integers(SIDE))
    picture[row : row + 2] += rng.normal(0, rng.uniform(15, 60), SIDE).astype(np.float32)
    return picture
