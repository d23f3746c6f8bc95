"""`prepare` is written for speed; this is the same in plain words, and both give equal bits.

A model is trained on what `prepare` gives. One that is faster and a hair different would change
every answer a little, and nothing would say so.
"""

import cv2
import numpy as np
import pytest

from brain_cnn import preprocess
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom
from tests.realdata import needs_real_data
from tests.realimages import sample_real_images


def plain_bright_box(small):
    floor = float(np.percentile(small, 5))
    level = floor + preprocess._HEAD_THRESHOLD * (float(small.max()) - floor)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (small > level).astype(np.uint8), connectivity=8
    )
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    keep = np.isin(parts, 1 + np.flatnonzero(areas >= preprocess._PART_SHARE * areas.max()))
    ring = cv2.dilate(keep.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    masked = np.where(ring, small, 0.0)
    top, bottom = preprocess._crossings(masked.max(axis=1), level)
    left, right = preprocess._crossings(masked.max(axis=0), level)
    return top, left, bottom, right


def plain_stretch(square):
    low, high = np.percentile(square, [1.0, 99.5])
    if high - low < 1.0:
        return np.zeros_like(square)
    shares = (square - np.float32(low)) * np.float32(1.0 / (high - low))
    return np.clip(shares, 0.0, 1.0)


def check_equal(pixels, size=preprocess.INPUT_SIZE):
    fast = preprocess.prepare(pixels, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preprocess, "_bright_box", plain_bright_box)
        patch.setattr(preprocess, "_stretch", plain_stretch)
        plain = preprocess.prepare(pixels, size)
    assert fast.box == plain.box
    assert fast.tensor.dtype == plain.tensor.dtype == np.float32
    assert fast.tensor.tobytes() == plain.tensor.tobytes()


@pytest.mark.parametrize("side", [64, 224, 512])
def test_phantoms_are_prepared_to_the_same_bits(side):
    for seed, label in enumerate(LABELS):
        check_equal(draw_phantom(label, seed, side))


def test_odd_pictures_are_prepared_to_the_same_bits():
    rng = np.random.default_rng(0)
    for round_ in range(60):
        height, width = rng.integers(1, 500, 2)
        noise = rng.integers(0, 256, (height, width)).astype(np.uint8)
        sparks = ((rng.random((height, width)) < 0.01) * 255).astype(np.uint8)
        flat = np.full((height, width), rng.integers(0, 256), np.uint8)
        check_equal((noise, sparks, flat, cv2.GaussianBlur(noise, (0, 0), 9))[round_ % 4])


def plain_to_slice(ready, grid):
    """Bilinear between the cells' centres, one pixel at a time along each side."""
    top, left, side = ready.box
    shares = []
    for count, start, cells in zip(ready.pixels_shape, (top, left), grid.shape, strict=True):
        place = (np.arange(count) + 0.5 - start) * cells / side - 0.5
        one = np.stack([np.interp(place, np.arange(cells), cell) for cell in np.eye(cells)], 1)
        one[(place < -0.5) | (place > cells - 0.5)] = 0.0
        shares.append(one)
    return shares[0] @ grid @ shares[1].T


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 9, 10, 20])
def test_map_is_drawn_as_by_the_plain_formula(cells):
    rng = np.random.default_rng(cells)
    grid = rng.random((cells, cells)).astype(np.float32)
    tensor = np.zeros((8, 8, 1), np.float32)
    for box in ((0.0, 0.0, 90.0), (-31.3, 17.1, 131.9), (40.2, -80.6, 77.7), (88.0, 90.5, 300.1)):
        ready = preprocess.PreparedSlice(tensor, box, (93, 101))
        drawn = ready.to_slice(grid)
        assert drawn.dtype == np.float32 and drawn.shape == (93, 101)
        np.testing.assert_allclose(drawn, plain_to_slice(ready, grid), atol=2e-5)


@needs_real_data
def test_real_slices_are_prepared_to_the_same_bits():
    for pixels in sample_real_images(60):
        check_equal(pixels)
        check_equal(255 - pixels, 112)
