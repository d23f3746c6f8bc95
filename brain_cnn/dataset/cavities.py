"""Dark smooth cavities that are no tumour: what a wide ventricle looks like.

A glioma is often dark in its middle, and few heads of a training set have ventricles that
its neighbour pressed wide. A network then takes the one for the other. A cavity that is laid
into a head *beside* its tumour, or into one without a tumour, changes no label: so it teaches
that darkness without a rim, without oedema and without enhancement means nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.blending import Floats, Head, Mask, find_head, grow

Image = NDArray[np.uint8]

# How deep under the head's outline a cavity may begin, as a share of the head's size.
_DEPTH = 0.12
# Room left around the tumour, pixels of the prepared slice.
_ROOM = 4
# Pixels that must be left of a cavity where the tumour and the skull have taken their part.
_LEAST = 40


def lay_cavity(image: Image, mask: Image | None, rng: np.random.Generator) -> Image:
    """Lay one smooth dark cavity, or a pair of them, into a head.

    Args:
        image: uint8 (S, S), a prepared slice.
        mask: uint8 (S, S), 255 inside its tumour, which stays as it is; None: no tumour.
        rng: where the randomness comes from.

    Returns:
        uint8 (S, S); the picture itself where there is no head, or no room.
    """
    head = find_head(image)
    if head is None:
        return image
    room = head.depth > _DEPTH * head.size
    if mask is not None:
        room &= ~grow(mask > 127, _ROOM)
    shape = _draw(head, room, rng)
    if shape is None:
        return image
    edge = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), rng.uniform(0.6, 1.4))
    values = image[head.brain]
    dark, middle = np.percentile(values[::3], [2, 50])
    level = dark + rng.uniform(0.0, 0.5) * (middle - dark)
    grain = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(0.5, 3.0)
    # Fluid is darker than brain in these weightings, and never brightens what was dark.
    filled = np.minimum(level + grain, image.astype(np.float32) + 4.0)
    mixed = image + edge * (filled - image)
    result: Image = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return result


def _draw(head: Head, room: Mask, rng: np.random.Generator) -> Mask | None:
    """Return where the cavity lies: a bent, tapering tube, sometimes with its mirror image."""
    rows, columns = np.nonzero(room)
    if rows.size < _LEAST:
        return None
    start = int(rng.integers(rows.size))
    row, column = float(rows[start]), float(columns[start])
    canvas = np.zeros(room.shape, np.uint8)
    radius = rng.uniform(0.03, 0.10) * head.size
    angle, bend = rng.uniform(0, 2 * np.pi), rng.normal(0.0, 0.35)
    for _ in range(int(rng.integers(1, 7))):
        cv2.circle(canvas, (round(column), round(row)), max(2, round(radius)), 1, cv2.FILLED)
        step = 0.8 * radius
        row, column = row + step * np.sin(angle), column + step * np.cos(angle)
        angle += bend
        radius *= rng.uniform(0.75, 1.1)
    if rng.random() < 0.4:
        left, width = head.box[1], head.box[3]
        mirror: Floats = np.array(
            [[-1.0, 0.0, 2 * left + width - 1.0], [0.0, 1.0, 0.0]], np.float32
        )
        canvas |= cv2.warpAffine(canvas, mirror, canvas.shape[::-1], flags=cv2.INTER_NEAREST)
    shape: Mask = (canvas > 0) & room
    return shape if shape.sum() >= _LEAST else None
