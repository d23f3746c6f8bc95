"""Which pictures look alike, whatever way up they are: descriptors, an index, comparisons.

Everything compares *local contrast normalised* pictures: each pixel minus the mean around it,
over the spread around it. Stretching, equalising or sharpening a picture changes its levels
much and this hardly.

The index rests on one property of the cosine transform: mirroring a picture only flips signs
of its coefficients a[u, v], turning it also swaps a[u, v] with a[v, u]. Absolute values, in
sorted order, are therefore the same for all eight views of a picture, and two such
descriptors are never farther apart than the closest views of their pictures. Nearest
neighbours among them, found by a k-d tree, lose no copy and need no comparison of all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

WORKERS = 2
_COARSE = 32  # side in pixels of the pictures that the views are compared on
_FINE = 160  # side in pixels of the pictures on which copies are separated from neighbours
_FREQUENCIES = 10  # cosine frequencies per axis in a descriptor
_DIMENSIONS = 20  # of the index: k-d trees gain nothing beyond
_LOCAL_SIGMA = 2.0  # of "around a pixel", in pixels of the coarse picture
_FINE_BLUR = 0.8  # in pixels of the fine picture; takes JPEG's grain away
_PAIRS_AT_ONCE = 4096


class Pictures:
    """N images, uint8 (H, W) each, made ready to be compared.

    Attributes:
        coarse: float32 (N, 1024): local contrast normalised, 32 x 32, of unit length; all
            zero for a picture without content.
        invariant: float32 (N, D): equal for all eight views of a picture.
    """

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        with ThreadPoolExecutor(WORKERS) as pool:
            self.coarse = np.stack(list(pool.map(_local_contrast, images)))
            self._fine = np.stack(list(pool.map(_fine_picture, images)))
        self.invariant = _invariants(self.coarse)

    def neighbours(
        self, members: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return candidate pairs among `members`: each with its `count` nearest.

        Returns:
            Two int64 arrays, first < second, no pair twice.
        """
        points = _principal(self.invariant[members])
        _, near = cKDTree(points).query(points, k=min(count + 1, len(points)), workers=WORKERS)
        near = near.reshape(len(points), -1)  # one neighbour comes as a flat array
        first = np.repeat(np.arange(len(points)), near.shape[1])
        second = near.ravel()
        keep = first != second
        low = np.minimum(first, second)[keep]
        high = np.maximum(first, second)[keep]
        code = np.unique(low.astype(np.int64) * len(points) + high)
        return members[code // len(points)], members[code % len(points)]

    def coarse_correlation(
        self, first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Compare pairs on the coarse picture, in all eight views of the second.

        Returns:
            correlation float32 (P,) in -1..1 of the best view, and that view int64 (P,).
        """
        best = np.full(len(first), -1.0, np.float32)
        view = np.zeros(len(first), np.int64)
        for number in range(8):
            turned = _turn(self.coarse.reshape(-1, _COARSE, _COARSE), number)
            turned = np.ascontiguousarray(turned).reshape(len(self.coarse), -1)
            for start in range(0, len(first), _PAIRS_AT_ONCE):
                part = slice(start, start + _PAIRS_AT_ONCE)
                value = np.einsum("ij,ij->i", self.coarse[first[part]], turned[second[part]])
                better = value > best[part]
                best[part][better] = value[better]
                view[part][better] = number
        return best, view

    def gradient_agreement(
        self, first: NDArray[np.int64], second: NDArray[np.int64], view: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Compare pairs on the fine picture: do edges run alike everywhere?

        Neighbouring slices of one head agree coarsely; only the same picture agrees in the
        direction of its fine edges, and no change of levels turns an edge.

        Returns:
            float64 (P,) in -1..1: mean cosine between the gradients where both have one.
        """

        def one(pair: int) -> float:
            other = np.ascontiguousarray(_turn(self._fine[second[pair]], int(view[pair])))
            return _edge_agreement(self._fine[first[pair]], other)

        with ThreadPoolExecutor(WORKERS) as pool:
            return np.array(list(pool.map(one, range(len(first)))), dtype=np.float64)


def canonical_view(pixels: NDArray[np.uint8]) -> bytes:
    """Return bytes that are equal for all eight views of uint8 (H, W), and no other picture."""
    return min(
        f"{turned.shape}".encode() + turned.tobytes()
        for turned in (_turn(pixels, number) for number in range(8))
    )


def _turn(pictures: NDArray[Any], number: int) -> NDArray[Any]:
    """Return view `number` (0..7) of pictures (..., H, W): 4..7 are mirrored."""
    flipped = pictures[..., ::-1] if number >= 4 else pictures
    return np.rot90(flipped, number % 4, axes=(-2, -1))


def _local_contrast(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.resize(pixels, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    values = small.astype(np.float32)
    # The floor keeps noise in the black around a head from being blown up.
    floor = 0.1 * max(float(values.std()), 1.0)
    values -= cv2.GaussianBlur(values, (0, 0), _LOCAL_SIGMA)
    spread = np.sqrt(cv2.GaussianBlur(values * values, (0, 0), _LOCAL_SIGMA))
    flat = (values / (spread + floor)).ravel()
    flat -= flat.mean()
    length = float(np.linalg.norm(flat))
    result: NDArray[np.float32] = (flat / length if length > 1e-6 else np.zeros_like(flat)).astype(
        np.float32
    )
    return result


def _fine_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shrinking = min(pixels.shape) >= _FINE
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    result: NDArray[np.uint8] = cv2.resize(pixels, (_FINE, _FINE), interpolation=how).astype(
        np.uint8
    )
    return result


def _edge_agreement(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    ax, ay, a_size = _gradient(one)
    bx, by, b_size = _gradient(other)
    if a_size.mean() < 1e-3 or b_size.mean() < 1e-3:
        return 0.0
    a_mean, b_mean = a_size.mean(), b_size.mean()
    ax, ay, a_size = ax / a_mean, ay / a_mean, a_size / a_mean
    bx, by, b_size = bx / b_mean, by / b_mean, b_size / b_mean
    weight = np.minimum(np.minimum(a_size, b_size), 1.0)
    # Where there is hardly an edge its direction is noise: the constant pulls it to 0.
    cosine = (ax * bx + ay * by) / ((a_size + 0.1) * (b_size + 0.1))
    return float((cosine * weight).sum() / weight.sum())


def _gradient(
    pixels: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    blurred = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), _FINE_BLUR)
    dx, dy = cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)
    return dx, dy, cv2.magnitude(dx, dy)


def _invariants(coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return descriptors (N, D) that all eight views of a coarse picture share."""
    from scipy.fft import dctn

    pictures = coarse.reshape(-1, _COARSE, _COARSE)
    spectrum = dctn(pictures, axes=(1, 2), norm="ortho")[:, :_FREQUENCIES, :_FREQUENCIES]
    even = np.arange(_FREQUENCIES) % 2 == 0
    # Frequencies that are even on both axes keep their sign under every mirroring.
    signed = np.where(even[:, None] & even[None, :], spectrum, np.abs(spectrum))
    row, column = np.triu_indices(_FREQUENCIES)
    upper, lower = signed[:, row, column], signed[:, column, row]
    off_diagonal = row != column
    return np.concatenate(
        [np.maximum(upper, lower), np.minimum(upper, lower)[:, off_diagonal]], axis=1
    ).astype(np.float32)


def _principal(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project (N, D) onto its `_DIMENSIONS` strongest directions."""
    centred = points - points.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(centred @ vectors[:, -_DIMENSIONS:])
