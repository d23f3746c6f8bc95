"""Promises of `prepare`: the same tensor however the file was saved."""

import cv2
import numpy as np
import pytest

from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.preprocess import INPUT_SIZE, prepare
from tests.realdata import needs_real_data
from tests.realimages import sample_real_images


def _heads() -> list[np.ndarray]:
    return [draw_phantom(label, seed) for label in LABELS for seed in range(6)]


def _change(pixels: np.ndarray, how: str) -> np.ndarray:
    height, width = pixels.shape
    if how == "border":
        return np.pad(pixels, ((height // 5, height // 5), (width // 5, width // 5)))
    if how == "half brightness":
        return (pixels // 2).astype(np.uint8)
    return cv2.resize(pixels, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)


CHANGES = ("border", "half brightness", "twice the pixels")


@pytest.mark.parametrize("how", CHANGES)
def test_border_brightness_and_size_do_not_change_the_input(how: str) -> None:
    for pixels in _heads():
        before, after = prepare(pixels).tensor, prepare(_change(pixels, how)).tensor
        assert np.abs(before - after).mean() <= 0.02


@needs_real_data
@pytest.mark.parametrize("how", CHANGES)
def test_real_slices_keep_their_input_too(how: str) -> None:
    differences = [
        np.abs(prepare(p).tensor - prepare(_change(p, how)).tensor).mean()
        for p in sample_real_images(120)
    ]
    assert np.mean(differences) <= 0.02
    # A head that fades into its background may shift now and then, never as a rule.
    assert np.mean(np.array(differences) > 0.02) <= 0.05


def test_tensor_has_the_promised_shape_and_range() -> None:
    tensor = prepare(draw_phantom("glioma")).tensor
    assert tensor.shape == (INPUT_SIZE, INPUT_SIZE, 1)
    assert tensor.dtype == np.float32
    assert tensor.min() == 0.0 and tensor.max() == 1.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 3), (64, 64)])
def test_a_constant_picture_gives_zeros(shape: tuple[int, int]) -> None:
    for value in (0, 255):
        ready = prepare(np.full(shape, value, np.uint8))
        assert not ready.tensor.any()
        assert ready.to_slice(np.ones((20, 20), np.float32)).shape == shape


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((0, 4))])
def test_anything_but_a_grey_uint8_slice_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        prepare(bad)


def test_a_map_comes_back_to_where_it_was_seen() -> None:
    """A bright spot in the slice, seen on the network's grid, returns to the same place."""
    for seed in range(5):
        pixels = draw_phantom("notumor", seed)
        for y, x in ((70, 90), (112, 120), (150, 130)):
            marked = np.zeros_like(pixels)
            cv2.circle(marked, (x, y), 6, 255, -1)
            ready = prepare(pixels)
            top, left, side = ready.box
            step = side / 160
            matrix = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            seen = cv2.warpAffine(marked, matrix, (160, 160), flags=flags)
            grid = cv2.resize(seen.astype(np.float32), (20, 20), interpolation=cv2.INTER_AREA)
            back = ready.to_slice(grid)
            weights = back / back.sum()
            at = ((weights.sum(1) * np.arange(224)).sum(), (weights.sum(0) * np.arange(224)).sum())
            assert abs(at[0] - y) < 1.5 and abs(at[1] - x) < 1.5


def test_heat_outside_the_head_crop_is_zero() -> None:
    pixels = np.pad(draw_phantom("glioma"), ((0, 0), (150, 300)))
    ready = prepare(pixels)
    back = ready.to_slice(np.ones((20, 20), np.float32))
    _, left, side = ready.box
    assert not back[:, : int(left) - 1].any()
    assert not back[:, int(left + side) + 2 :].any()
    assert back[112, int(left + side / 2)] == 1.0
