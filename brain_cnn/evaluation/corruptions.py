"""What happens to pictures on their way: six corruptions in five severities.

After Hendrycks and Dietterich (2019), on slices as they are read: a model is asked how
many of its answers survive. Deterministic: the same slice, kind and severity give the same
pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

SEVERITIES = (1, 2, 3, 4, 5)

# One value a severity; every length is a share of the longer side.
_NOISE_LEVELS = (6.0, 12.0, 18.0, 26.0, 36.0)  # standard deviation, grey values
_BLUR_WIDTHS = (0.003, 0.005, 0.0075, 0.011, 0.015)  # standard deviation
_JPEG_QUALITIES = (40, 25, 15, 10, 6)
_CONTRAST_FACTORS = (0.75, 0.6, 0.45, 0.32, 0.2)
_ANGLES = (5.0, 10.0, 15.0, 22.0, 30.0)  # degrees; odd severities turn the other way
_SIDES = (128, 96, 72, 56, 44)  # pixels that are left of the longer side


def corrupt(pixels: Pixels, kind: str, severity: int) -> Pixels:
    """Return a corrupted copy of a slice.

    Args:
        pixels: uint8 (H, W).
        kind: one of `CORRUPTIONS`.
        severity: 1 (slight) to 5 (strong).

    Returns:
        uint8 (H, W).

    Raises:
        ValueError: an unknown kind or severity, or pixels that are not uint8 (H, W).
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 (H, W), got {pixels.dtype} {pixels.shape}")
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be 1..5, got {severity}")
    return _KINDS[kind](pixels, severity - 1)


def _noise(pixels: Pixels, level: int) -> Pixels:
    # Rice-distributed, as the magnitude image of a scanner is: two noisy channels.
    rng = np.random.default_rng([level, *pixels.shape])
    noise = rng.normal(0.0, _NOISE_LEVELS[level], (2, *pixels.shape))
    return _to_pixels(np.hypot(pixels + noise[0], noise[1]))


def _blur(pixels: Pixels, level: int) -> Pixels:
    result: Pixels = cv2.GaussianBlur(pixels, (0, 0), _BLUR_WIDTHS[level] * max(pixels.shape))
    return result


def _jpeg(pixels: Pixels, level: int) -> Pixels:
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITIES[level]])
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert ok and decoded is not None
    result: Pixels = decoded
    return result


def _contrast(pixels: Pixels, level: int) -> Pixels:
    # Around the mean, rounded to grey values: what is lost cannot be stretched back.
    mean = float(pixels.mean())
    return _to_pixels(mean + _CONTRAST_FACTORS[level] * (pixels.astype(np.float32) - mean))


def _rotation(pixels: Pixels, level: int) -> Pixels:
    height, width = pixels.shape
    angle = _ANGLES[level] * (1 if level % 2 else -1)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    result: Pixels = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return result


def _resolution(pixels: Pixels, level: int) -> Pixels:
    height, width = pixels.shape
    scale = min(1.0, _SIDES[level] / max(height, width))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    result: Pixels = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
    return result


def _to_pixels(values: NDArray[np.floating]) -> Pixels:
    result: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return result


_KINDS: dict[str, Callable[[Pixels, int], Pixels]] = {
    "noise": _noise,
    "blur": _blur,
    "jpeg": _jpeg,
    "contrast": _contrast,
    "rotation": _rotation,
    "resolution": _resolution,
}

CORRUPTIONS = tuple(_KINDS)
