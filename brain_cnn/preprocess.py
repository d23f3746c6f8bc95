"""Slice -> network input: the one function that training and serving share.

What it removes is what must not decide: where the head lies in the picture, how wide the
black border is, how bright the file was saved, how many pixels it has. The steps are

1. find the head (the large bright parts), and crop a square around it;
2. resample the square to `size` x `size` pixels;
3. stretch the grey values so that the 1st and 99.5th percentile of the square become 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.percentiles import low_and_high, value_at

INPUT_SIZE = 160
"""Side of the network's input in pixels."""

PREPROCESS_VERSION = 2
"""Raised whenever `prepare` changes its result: a bundle trained with another is refused."""

# The head is looked for on a small copy: cheap, and blind to noise and thin annotations.
_SEARCH_SIDE = 128
# Share of the brightest smoothed value above which a pixel belongs to the head.
_HEAD_THRESHOLD = 0.12
# A bright part joins the head's box when it has this share of the largest part's area.
_PART_SHARE = 0.10
# Air left around the head on each side, as a share of the box.
_MARGIN = 0.03
# The same for the copy on which the head is looked for again.
_SEARCH_MARGIN = 0.12
# Share of the darkest smoothed values that are taken for air.
_AIR_SHARE = 0.05
# Shares of the square's pixels below the values that become 0 and 1.
_LOW_SHARE = 0.01
_HIGH_SHARE = 0.995
# Standard deviation of the blur before shrinking by s < 2, over sqrt(s^2 - 1): what means of
# areas and the bilinear steps between them would blur, at a fifth of their cost.
_SHRINK_BLUR = 0.6
_RING = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class PreparedSlice:
    """The network's input and the way back to the slice.

    Attributes:
        tensor: float32 (S, S, 1), 0..1.
        box: (top, left, side) of the square head crop, in slice pixels; the square may
            reach beyond the slice, where it is filled with black.
        pixels_shape: (H, W) of the slice, in pixels.
    """

    tensor: NDArray[np.float32]
    box: tuple[float, float, float]
    pixels_shape: tuple[int, int]

    def to_slice(self, grid: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map a grid of the network (a class map) back onto the slice.

        Args:
            grid: float (h, w); its cells tile the head crop evenly.

        Returns:
            float32 (H, W), bilinear between cell centres; 0 outside the head crop.
        """
        height, width = self.pixels_shape
        top, left, side = self.box
        rows, columns = grid.shape
        wide = grid.astype(np.float32) @ _between_cells(width, left, side, columns).T
        down = _between_cells(height, top, side, rows)
        result = np.empty((height, width), np.float32)
        # Down to the centre of the third cell only the first three have a share, and so on:
        # products with three cells at a time cost a third of one with all.
        begin = 0
        for cell in range(0, max(rows - 1, 1), 2):
            centre = math.ceil((cell + 2.5) * side / rows + top - 0.5)
            end = height if cell + 3 >= rows else min(max(centre, begin), height)
            near = slice(cell, cell + 3)
            np.matmul(down[begin:end, near], wide[near], out=result[begin:end])
            begin = end
        return result


def _between_cells(count: int, start: float, side: float, cells: int) -> NDArray[np.float32]:
    """Return float32 (count, cells): the share of each grid cell in each slice pixel.

    Products with such matrices are faster than a resampling with one pair of coordinates
    for each pixel, and exact.
    """
    # Position of every pixel's centre on the grid, where cell centres are integers.
    place = (np.arange(count) + (0.5 - start)) * (cells / side) - 0.5
    # A cell's share falls from 1 at its centre to 0 at its neighbours' centres. It stays 1
    # in the outer half of the cells at the rim: their far side has no neighbour.
    within = np.minimum(np.maximum(place, 0.0), cells - 1.0).astype(np.float32)
    shares = np.subtract.outer(within, np.arange(cells, dtype=np.float32))
    np.abs(shares, out=shares)
    np.subtract(1.0, shares, out=shares)
    np.maximum(shares, 0.0, out=shares)
    shares[: max(math.ceil(start - 0.5), 0)] = 0.0
    shares[max(math.floor(start + side - 0.5) + 1, 0) :] = 0.0
    result: NDArray[np.float32] = shares
    return result


def prepare(pixels: NDArray[np.uint8], size: int = INPUT_SIZE) -> PreparedSlice:
    """Crop the head, resample, and stretch the grey values.

    A 20 % black border, half the brightness or twice the pixels change the tensor by at
    most 0.02 on average.

    Args:
        pixels: uint8 (H, W), a slice as a radiologist would see it (air dark).
        size: side of the result in pixels.

    Returns:
        The prepared slice; an empty (constant) picture gives a tensor of zeros.

    Raises:
        ValueError: `pixels` is not a two-dimensional uint8 array with at least one pixel.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(f"pixels must be uint8 (H, W), got {pixels.dtype} {pixels.shape}")
    source = _Source(pixels)
    box = _square_around(*_head_box(source), margin=_MARGIN)
    square = source.crop(box, size)
    if pixels.min() == pixels.max():  # else its edge against the black around would be seen
        square = np.zeros_like(square)
    return PreparedSlice(_stretch(square)[..., None], box, (pixels.shape[0], pixels.shape[1]))


def _head_box(source: _Source) -> tuple[float, float, float, float]:
    """Return (top, left, height, width) of the large bright parts, in slice pixels.

    Looked for twice, the second time on a copy that is sampled around what was found before:
    so the grid on which the head is measured hangs on the head, not on the picture's size
    or border, and the box moves by less than a pixel when those change.
    """
    height, width = source.shape
    side = float(max(height, width))
    box = (height / 2 - side / 2, width / 2 - side / 2, side)
    found = (0.0, 0.0, float(height), float(width))
    for _ in range(2):
        small = cv2.GaussianBlur(source.crop(box, _SEARCH_SIDE, fine=False), (0, 0), 1.0)
        edges = _bright_box(small)
        if edges is None:
            break
        step = box[2] / _SEARCH_SIDE
        top, left, bottom, right = (edge * step for edge in edges)
        found = (box[0] + top, box[1] + left, bottom - top, right - left)
        box = _square_around(*found, margin=_SEARCH_MARGIN)
    return found


def _bright_box(small: NDArray[np.float32]) -> tuple[float, float, float, float] | None:
    """Return (top, left, bottom, right) of the large bright parts of (n, n), to sub-pixels."""
    # Where a scanner's air is not 0, it would otherwise count as head.
    floor = _air(small)
    level = floor + _HEAD_THRESHOLD * (float(small.max()) - floor)
    bright = (small > level).astype(np.uint8)
    count, parts = cv2.connectedComponents(bright, connectivity=8, ltype=cv2.CV_16U)
    if count < 2:
        return None
    if count > 2:
        areas = np.bincount(parts.ravel(), minlength=count)
        large = areas >= _PART_SHARE * areas[1:].max()
        large[0] = False
        bright = np.take(large.astype(np.uint8), parts)
    # A kept part is ringed by values at or below the level: let the profile fall into the
    # ring, so that the crossing can be placed between two pixels.
    masked = small * cv2.dilate(bright, _RING)
    top, bottom = _crossings(masked.max(axis=1), level)
    left, right = _crossings(masked.max(axis=0), level)
    return top, left, bottom, right


def _air(small: NDArray[np.float32]) -> float:
    """Return the 5th percentile of float32 (n, n), as `np.percentile` does in float32."""
    below, share = divmod((small.size - 1) * _AIR_SHARE, 1.0)
    return value_at(small, int(below), np.float32(share))


def _crossings(profile: NDArray[np.float32], level: float) -> tuple[float, float]:
    """Return where `profile` first rises above and last falls below `level`, in pixel edges."""
    above = np.flatnonzero(profile > level)
    first, last = int(above[0]), int(above[-1])
    start, end = float(first), float(last + 1)
    if first > 0:
        low, high = profile[first - 1], profile[first]
        start = first - 0.5 + float((level - low) / (high - low))
    if last < len(profile) - 1:
        high, low = profile[last], profile[last + 1]
        end = last + 0.5 + float((high - level) / (high - low))
    return start, end


def _square_around(
    top: float, left: float, height: float, width: float, margin: float
) -> tuple[float, float, float]:
    """Return (top, left, side) of the square with the same centre and air on each side."""
    side = max(height, width, 1.0) * (1 + 2 * margin)
    return top + height / 2 - side / 2, left + width / 2 - side / 2, side


class _Source:
    """A slice to take squares from: head and crop are taken from it, three in all.

    The slice is kept halved, and halved again (means of 2 x 2, the cheapest way to shrink),
    as far as a square leaves it more than half the pixels that it needs.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.shape = pixels.shape
        self._halves = [pixels]
        self._floats: dict[int, NDArray[np.float32]] = {}

    def crop(
        self, box: tuple[float, float, float], size: int, *, fine: bool = True
    ) -> NDArray[np.float32]:
        """Resample the square `box` to float32 (size, size) in 0..255, black beyond the slice.

        Args:
            fine: blur first, so that detail below the new pixels' size is averaged and not
                skipped; without, for a square that is blurred anyway.
        """
        level, scale = 0, box[2] / size
        while scale >= 2.0:
            level, scale = level + 1, scale / 2
        top, left, _ = (edge / 2**level for edge in box)
        if fine and scale > 1.0:
            sigma = _SHRINK_BLUR * math.sqrt(scale * scale - 1.0)
            source = cv2.GaussianBlur(self._halved(level), (0, 0), sigma).astype(np.float32)
        else:
            source = self._float(level)
        # cv2 puts pixel centres at integers: output i takes source (i + 0.5) * step + start - 0.5.
        across, down = left + 0.5 * scale - 0.5, top + 0.5 * scale - 0.5
        result: NDArray[np.float32] = cv2.warpAffine(
            source,
            np.array([[scale, 0.0, across], [0.0, scale, down]]),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0.0,
        )
        return result

    def _float(self, level: int) -> NDArray[np.float32]:
        if level not in self._floats:
            self._floats[level] = self._halved(level).astype(np.float32)
        return self._floats[level]

    def _halved(self, level: int) -> NDArray[np.uint8]:
        while len(self._halves) <= level:
            self._halves.append(_halve(self._halves[-1]))
        return self._halves[level]


def _halve(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of 2 x 2 pixels; an odd last row or column is doubled."""
    height, width = pixels.shape
    if height % 2 or width % 2:
        pixels = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    new = (pixels.shape[1] // 2, pixels.shape[0] // 2)
    result: NDArray[np.uint8] = cv2.resize(pixels, new, interpolation=cv2.INTER_AREA)
    return result


def _stretch(square: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map the low and high percentile of float32 (S, S) to 0 and 1, and clip."""
    low, high = low_and_high(square.ravel(), _LOW_SHARE, _HIGH_SHARE)
    if high - low < 1.0:  # less than one grey level: nothing to see
        return np.zeros_like(square)
    shares = np.subtract(square, low, dtype=np.float32)
    shares *= np.float32(1.0 / (high - low))
    return shares.clip(0.0, 1.0, out=shares)
