"""Where a head lies in a prepared slice, and how to lay a patch into it without a seam.

The tools of `edits`. Slices are uint8 (S, S), as `prepare` leaves them; lengths are in
pixels of that grid unless their name has "share".
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

# Grey value, as a share of the brightest, above which a pixel belongs to the head.
_HEAD_LEVEL = 0.10
# How deep under the head's outline the brain begins, as a share of the square root of its area.
_BRAIN_DEPTH = 0.085
# A crop that is filled like this is not a head but a picture with grey air.
_FULL = 0.88
# How far the ring around a patch reaches, on which both sides are made to agree.
_RING = 4
_WHOLE_ELLIPSE = (0, 0, 360)  # turn of the axes, first and last degree of the arc


@dataclass(frozen=True)
class Head:
    """The head in one slice.

    Attributes:
        depth: float32 (S, S), distance from the head's outline, 0 outside.
        brain: bool (S, S), deep enough to be brain, and not neck or face.
        box: (top, left, height, width) of the head.
        size: square root of the head's area: what "large" and "deep" are measured by.
        has_neck: it goes on below the picture, as coronal and sagittal slices do.
    """

    depth: Floats
    brain: Mask
    box: tuple[int, int, int, int]
    size: float
    has_neck: bool


def find_head(image: Image) -> Head | None:
    """Find the head in uint8 (S, S); None where there is none."""
    side = image.shape[0]
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5)
    bright = (smooth > _HEAD_LEVEL * float(smooth.max())).astype(np.uint8)
    found = _outline(bright)
    if found is not None and found[0].sum() > _FULL * found[1][2] * found[1][3]:
        # A frame drawn around the picture goes; grey air does not.
        found = _outline(cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8)))
    if found is None:
        return None
    filled, (top, left, height, width) = found
    if filled.sum() > _FULL * width * height:
        filled[:] = 0
        middle = (left + width // 2, top + height // 2)
        axes = (width // 2 - 1, height // 2 - 1)
        cv2.ellipse(filled, middle, axes, *_WHOLE_ELLIPSE, 1, cv2.FILLED)
    size = float(np.sqrt(filled.sum()))
    if size < 0.3 * side:
        return None
    padded = cv2.copyMakeBorder(filled, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    brain = depth > _BRAIN_DEPTH * size
    has_neck = bool(filled[-side // 20 :].any(axis=0).mean() > 0.12)
    if has_neck:  # and a face
        brain[top + round(0.55 * height) :] = False
    if brain.sum() < 0.1 * size**2:
        return None
    return Head(depth, brain, (top, left, height, width), size, has_neck)


def _outline(bright: Image) -> tuple[Image, tuple[int, int, int, int]] | None:
    """Return the largest part, filled, and its (top, left, height, width)."""
    # A square: its closing is the fast one.
    square = np.ones((bright.shape[0] // 10, bright.shape[0] // 10), np.uint8)
    closed = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, square)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    outline = max(outlines, key=cv2.contourArea)
    left, top, width, height = cv2.boundingRect(outline)
    filled = np.zeros_like(bright)
    cv2.drawContours(filled, [outline], -1, 1, cv2.FILLED)
    return filled, (top, left, height, width)


def disc(radius: int) -> Image:
    """Return a disc for morphology, uint8 (2 r + 1, 2 r + 1)."""
    width = 2 * max(radius, 0) + 1
    result: Image = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return result


def grow(mask: Mask, radius: int) -> Mask:
    """Return the mask with `radius` more pixels around it."""
    result: Mask = cv2.dilate(mask.astype(np.uint8), disc(radius)).astype(bool)
    return result


def centre_of(mask: Mask) -> tuple[float, float]:
    """Return (row, column) of the mask's centre of mass."""
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def grain(image: Floats, where: Mask) -> float:
    """Return the standard deviation of what is finer than about a pixel, inside `where`."""
    fine = image - cv2.GaussianBlur(image, (0, 0), 1.0)
    values = np.abs(fine[where])
    # The median, so that the edges of the anatomy do not count as noise.
    return 1.4826 * float(np.median(values)) if values.size else 0.0


def seamless(
    image: Image,
    patch: Floats,
    region: Mask,
    rng: np.random.Generator,
    *,
    feather: float,
    allowed: Mask | None = None,
) -> Image:
    """Lay `patch` over `image` inside `region` so that the seam cannot be seen.

    On a ring around the region the two are compared; their difference, spread smoothly
    over the region (a cheap stand-in for Poisson blending), is added to the patch, so that
    it fits on every side, and grain is added where the patch has less than its
    surroundings.

    Args:
        image: uint8 (S, S).
        patch: float32 (S, S), 0..255 and beyond; valid inside the region and its ring.
        region: bool (S, S), not empty.
        feather: standard deviation of the soft edge, pixels.
        allowed: where the ring may lie (not on another tumour); None: everywhere.

    Returns:
        uint8 (S, S), equal to `image` far from the region.
    """
    rows, columns = np.nonzero(region)
    reach = 2 * _RING + 6
    window = (
        slice(max(rows.min() - reach, 0), rows.max() + reach + 1),
        slice(max(columns.min() - reach, 0), columns.max() + reach + 1),
    )
    old, new, inside = image[window].astype(np.float32), patch[window], region[window]
    ring = grow(inside, _RING) & ~inside
    if allowed is not None and (ring & allowed[window]).sum() >= 8:
        ring &= allowed[window]
    new = new + _spread(np.clip(old - new, -80, 80), ring)
    missing = grain(old, ring) ** 2 - grain(new, inside) ** 2
    if missing > 0.5:
        noise = cv2.GaussianBlur(rng.standard_normal(old.shape, dtype=np.float32), (0, 0), 0.6)
        new = new + noise * (min(np.sqrt(missing), 10.0) / max(float(noise.std()), 1e-6))
    alpha = cv2.GaussianBlur(grow(inside, 1).astype(np.float32), (0, 0), feather)
    result = image.copy()
    result[window] = np.clip(np.rint(old + alpha * (new - old)), 0, 255).astype(np.uint8)
    return result


def _spread(difference: Floats, ring: Mask) -> Floats:
    """Carry the values on the ring smoothly over the whole window, near ones weighing most."""
    weight = ring.astype(np.float32)
    both = np.dstack([difference * weight, weight])
    total = cv2.GaussianBlur(both, (0, 0), 2.0)
    height, width = ring.shape
    # Fine near the ring, coarse in the middle: each scale fills what the finer one leaves.
    # The coarse ones on a quarter of the side: they are smooth anyway.
    small = cv2.resize(
        both, (max(width // 4, 2), max(height // 4, 2)), interpolation=cv2.INTER_AREA
    )
    coarse = 0.1 * cv2.GaussianBlur(small, (0, 0), 1.25)
    coarse += 0.01 * cv2.GaussianBlur(small, (0, 0), 3.5)
    total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    result: Floats = total[..., 0] / np.maximum(total[..., 1], 1e-6)
    return result


def mirror_matrix(image: Image, head: Head, tumour: Mask) -> NDArray[np.float64] | None:
    """Return the (2, 3) reflection that maps the head onto itself best.

    Args:
        tumour: bool (S, S); neither it nor its mirror image counts.

    Returns:
        The matrix for `cv2.warpAffine`, or None where the head is not symmetric enough
        (a sagittal slice) for one half to stand in for the other.
    """
    step = max(1, image.shape[0] // 40)
    shape = (image.shape[1] // step, image.shape[0] // step)
    small = cv2.resize(image, shape, interpolation=cv2.INTER_AREA).astype(np.float32)
    inside = cv2.resize((head.depth > 0).astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    healthy = cv2.resize(1.0 - tumour.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    moments = cv2.moments(inside)
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    tilt = 0.5 * np.arctan2(2 * moments["mu11"], moments["mu20"] - moments["mu02"])
    best, best_score = None, 0.0

    def compare(angle: float, shift: float) -> None:
        nonlocal best, best_score
        point = (x - shift * np.sin(angle), y + shift * np.cos(angle))
        matrix = _reflection(angle, point)
        # Picture and weight in one call: two channels.
        both = cv2.warpAffine(np.dstack([small, inside * healthy]), matrix, shape)
        weight = both[..., 1] * inside * healthy
        score = _weighted_correlation(small, both[..., 0], weight)
        if score > best_score:
            best, best_score = (angle, shift), score

    for angle in (np.pi / 2, tilt, tilt + np.pi / 2):
        compare(angle, 0.0)
    for spread in (1.0, 0.5):
        if best is None:
            return None
        angle, shift = best
        for turn, move in ((0, 1), (0, -1), (0.08, 0), (-0.08, 0)):
            compare(angle + spread * turn, shift + spread * move)
    if best is None or best_score < _SYMMETRIC:
        return None
    angle, shift = best
    point = (x - shift * np.sin(angle), y + shift * np.cos(angle))
    # From cells of the small picture to pixels: centres at (i + 0.5) * step - 0.5.
    return _reflection(angle, tuple((p + 0.5) * step - 0.5 for p in point))


_SYMMETRIC = 0.75
"""Correlation of a head with its mirror image from which its halves may be exchanged."""


def _reflection(angle: float, point: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the reflection at the line through `point` (x, y) that runs along `angle`."""
    turn = np.array(
        [[np.cos(2 * angle), np.sin(2 * angle)], [np.sin(2 * angle), -np.cos(2 * angle)]]
    )
    offset = np.array(point) - turn @ np.array(point)
    return np.concatenate([turn, offset[:, None]], axis=1)


def _weighted_correlation(a: Floats, b: Floats, weight: Floats) -> float:
    total = float(weight.sum())
    if total < 1.0:
        return 0.0
    a, b = a - (a * weight).sum() / total, b - (b * weight).sum() / total
    norm = float((a * a * weight).sum() * (b * b * weight).sum())
    return float((a * b * weight).sum()) / np.sqrt(norm) if norm > 0 else 0.0
