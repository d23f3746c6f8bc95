"""What a prepared slice looks like, in numbers: the gate's own eyes.

The network's features say what it sees of its classes, which is little in a knee. These
numbers say how bright, how fine, how round and how symmetric the picture is, and which way
its edges run. All of it comes from a quarter-size copy: cheap beside the network.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 80
_THUMB = _SIDE // 4
_CELLS = 5
_DIRECTIONS = 6
_GREYS = 16
_RINGS = 14
_SCALES = 4

THUMB_NUMBERS = _THUMB * _THUMB
EDGE_NUMBERS = _CELLS * _CELLS * _DIRECTIONS
SUMMARY_NUMBERS = _GREYS + _RINGS + _SCALES + _DIRECTIONS + 2 + 8
NUMBERS = THUMB_NUMBERS + EDGE_NUMBERS + SUMMARY_NUMBERS
"""How many numbers describe a slice: thumbnail, edges by location, summary, in this order."""


def _ring_matrix() -> NDArray[np.float32]:
    """Return (_RINGS, _SIDE * _SIDE): the mean over each ring around the middle."""
    places = (np.arange(_SIDE) + 0.5) / _SIDE * 2 - 1
    radius = np.hypot(places[:, None], places[None]).ravel()
    inside = np.floor(radius * 10).astype(int)[None] == np.arange(_RINGS)[:, None]
    result: NDArray[np.float32] = (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def _rim() -> NDArray[np.int64]:
    """Return the pixels of eight places at the rim, (8, M): four sides, then four corners."""
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE]
    deep, corner = 2, _SIDE // 8
    wide = corner * corner // deep  # of each side, from its middle: as many as in a corner
    middle = slice((_SIDE - wide) // 2, (_SIDE - wide) // 2 + wide)
    near, far = slice(0, corner), slice(_SIDE - corner, _SIDE)
    parts = [
        (slice(0, deep), middle), (slice(_SIDE - deep, _SIDE), middle),
        (middle, slice(0, deep)), (middle, slice(_SIDE - deep, _SIDE)),
        (near, near), (near, far), (far, near), (far, far),
    ]  # fmt: skip
    return np.stack([(rows[part] * _SIDE + columns[part]).ravel() for part in parts])


_RING_MEANS = _ring_matrix()
_RIM = _rim()
_CELL_OF = np.arange(_SIDE) // (_SIDE // _CELLS)
# An angle of 0..360 degrees is one of twice as many directions and, rounded, once more the
# first: opposite angles are one direction of an edge, not of its rise.
_ANGLES = 2 * _DIRECTIONS + 1
_PLACES = (_CELL_OF[:, None] * _CELLS + _CELL_OF[None]) * _ANGLES
_FOLD = np.eye(_DIRECTIONS)[np.arange(_ANGLES) % _DIRECTIONS]


def describe(tensors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Describe prepared slices.

    Args:
        tensors: float (N, S, S, 1) in 0..1, as `prepare` makes them.

    Returns:
        float32 (N, NUMBERS); NaN in gives NaN out, which no check lets pass.
    """
    if not len(tensors):
        return np.zeros((0, NUMBERS), np.float32)
    return np.stack([_describe(one[..., 0]) for one in tensors])


def _describe(tensor: NDArray[np.floating]) -> NDArray[np.float32]:
    image = np.ascontiguousarray(tensor, dtype=np.float32)
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    if not np.isfinite(small.sum()):
        return np.full(NUMBERS, np.nan, np.float32)
    # Halved again and again: what is lost each time is the detail of that scale.
    layers = [small]
    for _ in range(_SCALES):
        side = len(layers[-1]) // 2
        layers.append(cv2.resize(layers[-1], (side, side), interpolation=cv2.INTER_AREA))
    detail = [_apart(fine, cv2.resize(coarse, fine.shape)) for fine, coarse in pairwise(layers)]
    edges = _edges(small)
    flat = small.ravel()
    grey = np.minimum((flat * _GREYS).astype(np.int64), _GREYS - 1)
    summary = np.concatenate(
        [
            np.sqrt(np.bincount(grey, minlength=_GREYS) / grey.size),
            _RING_MEANS @ flat,
            detail,
            edges.sum(axis=0),
            [_apart(small, cv2.flip(small, code)) for code in (1, 0)],
            flat[_RIM].mean(axis=1),
        ]
    )
    return np.concatenate([layers[2].ravel(), np.sqrt(edges).ravel(), summary]).astype(np.float32)


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the mean absolute difference of two pictures."""
    return cv2.norm(one, other, cv2.NORM_L1) / one.size


def _edges(small: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the strength of edges by place and direction (places, directions), of 1 in all."""
    across, down = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    strength, angle = cv2.cartToPolar(across, down)
    bins = (angle * (_DIRECTIONS / np.pi)).astype(np.int64)
    bins += _PLACES
    counts = np.bincount(bins.ravel(), strength.ravel(), _CELLS * _CELLS * _ANGLES)
    edges = counts.reshape(-1, _ANGLES) @ _FOLD
    result: NDArray[np.float64] = edges / (edges.sum() + 1e-3)
    return result
