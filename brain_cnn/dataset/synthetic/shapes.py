"""Shapes on the fine grid of a synthetic slice: noise, blobs, distances, ways through tissue."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Place = tuple[float, float]
"""(row, column) in fine pixels."""


def smooth_noise(rng: np.random.Generator, side: int, scale: float) -> Floats:
    """Return float32 (side, side) of unit variance at the knots, `scale` pixels apart."""
    knots = max(2, int(side / scale) + 2)
    coarse = rng.standard_normal((knots, knots)).astype(np.float32)
    result: Floats = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return result


def blob(
    rng: np.random.Generator,
    side: int,
    centre: Place,
    radius: float,
    *,
    eccentric: float = 1.0,
    angle: float | None = None,
    rough: float = 0.15,
) -> Floats:
    """Return float32 (side, side): distance from `centre`, 1 at a random closed outline.

    Args:
        radius: mean radius in pixels; eccentric: length over width; angle: of the long axis
            (x to y, radians; None: random); rough: how far the outline is from an ellipse.
    """
    angle = rng.uniform(0, np.pi) if angle is None else angle
    rows = np.arange(side, dtype=np.float32)[:, None] - np.float32(centre[0])
    columns = np.arange(side, dtype=np.float32)[None, :] - np.float32(centre[1])
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along = columns * cosine + rows * sine
    across = (rows * cosine - columns * sine) * np.float32(eccentric)
    length, turn = cv2.cartToPolar(along, across)
    # The outline by angle, looked up: one cosine a harmonic of 256 angles, not of every pixel.
    angles = np.linspace(0, 2 * np.pi, 257, dtype=np.float32)
    outline = np.ones_like(angles)
    for harmonic in range(2, 9):
        size = rough * rng.normal() / harmonic
        outline += size * np.cos(harmonic * angles + rng.uniform(0, 2 * np.pi))
    reach = (radius * np.maximum(outline, 0.35)).astype(np.float32)
    table = reach[np.minimum((turn * (256 / (2 * np.pi))).astype(np.int32), 256)]
    result: Floats = length / table
    return result


def depth_of(inside: Mask) -> Floats:
    """Return float32: distance in pixels of every inner pixel from what is outside."""
    result: Floats = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    return result


def grown(mask: Mask, radius: int) -> Mask:
    """Return the mask with everything within `radius` pixels."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    result: Mask = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return result


def travel_time(cost: Floats, start: Place, reach: float, *, step: int = 4) -> Floats:
    """Return float32, shaped as `cost`: how long the way from `start` through `cost` is.

    Worked out on a grid `step` times as coarse, with steps along and across alternating
    (an octagon for a circle), as far as `reach`; beyond that it is large.

    Args:
        cost: float32 (n, n), time per pixel; at least 1 where one can go.
        reach: largest time that is wanted.
    """
    side = cost.shape[0]
    small = cv2.resize(cost, (side // step,) * 2, interpolation=cv2.INTER_AREA) * step
    far = np.float32(4 * reach + 1000)
    times = np.full_like(small, far)
    row, column = (min(max(int(edge / step), 0), small.shape[0] - 1) for edge in start)
    times[row, column] = 0.0
    square = np.ones((3, 3), np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for turn in range(int(1.5 * reach / step) + 4):
        kernel = square if turn % 3 == 2 else cross
        times = np.minimum(times, cv2.erode(times, kernel) + small)
    result: Floats = cv2.resize(times, (side, side), interpolation=cv2.INTER_LINEAR)
    return result
