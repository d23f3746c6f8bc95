"""Healthy brain for a hole in a prepared slice: what takes a tumour's place in `edits`."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.blending import Head, Mask, centre_of, grow, mirror_matrix, seamless

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

# A patch is tried at this many places of the same brain; the best fitting one is taken.
_PLACES = 24
# A hole above this share of the head's area is not inpainted: the blur would be seen.
_LARGE = 0.012


def hole_for(tumour: Mask) -> Mask:
    """Return what has to go with the tumour: its blurred edge, and some of its oedema."""
    radius = np.sqrt(tumour.sum() / np.pi)
    return grow(tumour, round(2.5 + 0.15 * radius))


def contrast(image: NDArray[Any], brain: Mask) -> float:
    """Return how far the grey values of the brain spread: 15th to 85th percentile."""
    low, high = np.percentile(image[brain][::3], [15, 85])
    return float(max(high - low, 12.0))


def fill_hole(
    image: Image, head: Head, hole: Mask, tumour: Mask, rng: np.random.Generator
) -> Image | None:
    """Fill `hole` with healthy brain of the same slice; `tumour` is never copied.

    From the other half of a roughly symmetric head, else from the place of the same brain
    that fits the hole's edge best, else by inpainting; None where the hole is too large.
    """
    if not hole.any():
        return None
    source = image.astype(np.float32)
    sick = grow(tumour, 3)
    patch: Floats | None = None
    matrix = mirror_matrix(image, head, sick)
    if matrix is not None:
        wrong = cv2.warpAffine((sick | hole).astype(np.float32), matrix, hole.shape[::-1]) > 0.3
        if (wrong & hole).sum() < 0.05 * hole.sum():
            patch = cv2.warpAffine(source, matrix, hole.shape[::-1])
    if patch is None:
        patch = _best_place(source, head, hole, sick, rng)
    if patch is None:
        if hole.sum() > _LARGE * head.size**2:
            return None
        # Only the rim of a hole tells what belongs into it: blurred, then given grain.
        patch = cv2.inpaint(image, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA).astype(np.float32)
    return seamless(image, patch, hole, rng, feather=rng.uniform(0.8, 1.6), allowed=~sick | hole)


def _best_place(
    source: Floats, head: Head, hole: Mask, sick: Mask, rng: np.random.Generator
) -> Floats | None:
    """Return the slice moved so that healthy brain fits the hole's rim; None without room."""
    rows, columns = np.nonzero(head.brain & ~sick)
    if rows.size == 0:
        return None
    chosen = rng.integers(rows.size, size=_PLACES)
    row, column = centre_of(hole)
    # (places, 1) each: how far down and right a place lies from the hole.
    down = np.rint(rows[chosen] - row).astype(np.int64)[:, None]
    right = np.rint(columns[chosen] - column).astype(np.int64)[:, None]
    ring = grow(hole, 3) & ~hole
    if (ring & ~sick).sum() >= 8:
        ring &= ~sick
    ring_rows, ring_columns = np.nonzero(ring)
    hole_rows, hole_columns = (part[:: max(1, part.size // 150)] for part in np.nonzero(hole))
    side = source.shape[0]
    at = np.clip(hole_rows + down, 0, side - 1), np.clip(hole_columns + right, 0, side - 1)
    bad = (sick | hole | (head.depth < 0.06 * head.size))[at].mean(axis=1)
    inside = source[at].std(axis=1)
    at = np.clip(ring_rows + down, 0, side - 1), np.clip(ring_columns + right, 0, side - 1)
    rim = source[ring_rows, ring_columns]
    apart = source[at] - rim
    # A level offset is no misfit: the blending takes it away. A pattern is, when it is
    # stronger than that around the hole.
    misfit = apart.std(axis=1) + 0.2 * np.abs(apart.mean(axis=1))
    misfit += np.maximum(inside - 1.3 * float(rim.std()), 0.0)
    misfit[bad > 0.03] = np.inf
    best = int(np.argmin(misfit))
    if misfit[best] > 0.8 * contrast(source, head.brain) + 12.0:
        return None
    move = np.array([[1.0, 0.0, -float(right[best, 0])], [0.0, 1.0, -float(down[best, 0])]])
    result: Floats | None = cv2.warpAffine(
        source, move, (side, side), borderMode=cv2.BORDER_REPLICATE
    )
    return result
