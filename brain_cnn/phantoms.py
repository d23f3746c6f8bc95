"""Heads drawn by code: for the smoke training, the tests, the examples and the README.

They are cartoons of an axial contrast-enhanced T1 slice. They hold no patient, teach
nothing about real tumours, and say so wherever they are shown.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.labels import LABELS, NOTUMOR

_SIDE = 224


def draw_phantom(label: str, seed: int = 0, side: int = _SIDE) -> NDArray[np.uint8]:
    """Draw one head.

    Args:
        label: one of `LABELS`; decides which lesion is drawn, if any.
        seed: fixes everything random in it.
        side: of the picture, in pixels.

    Returns:
        uint8 (side, side).
    """
    return draw_phantom_with_mask(label, seed, side)[0]


def draw_phantom_with_mask(
    label: str, seed: int = 0, side: int = _SIDE
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one head and its lesion's mask: both uint8 (side, side), the mask 0 or 255."""
    if label not in LABELS:
        raise ValueError(f"{label!r} is none of {LABELS}")
    rng = np.random.default_rng([seed, LABELS.index(label)])
    head = _Head(rng)
    canvas, lesion = _with_lesion(head, _draw_brain(head, rng), label, rng)
    assert label == NOTUMOR or lesion.max() > 0

    canvas = cv2.GaussianBlur(canvas, (0, 0), 0.9)
    canvas += rng.standard_normal(canvas.shape) * 3.5
    canvas *= rng.uniform(0.75, 1.1)
    pixels = np.clip(canvas, 0, 255).astype(np.uint8)
    mask = np.where(lesion > 0.5, 255, 0).astype(np.uint8)
    if side != _SIDE:
        pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST)
    return pixels, mask


class _Head:
    """Where the head lies, and how it is turned."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.centre = np.array([112.0, 114.0]) + rng.uniform(-5, 5, 2)
        self.axes = np.array([74.0, 92.0]) * rng.uniform(0.9, 1.06, 2)
        self.tilt = float(rng.uniform(-8, 8))

    def ellipse(
        self, image: NDArray[np.float32], at: tuple[float, float], size: tuple[float, float],
        value: float, turn: float = 0.0,
    ) -> None:  # fmt: skip
        """Fill an ellipse; `at` and `size` are shares of the head's half axes."""
        radians = np.deg2rad(self.tilt)
        x, y = at[0] * self.axes[0], at[1] * self.axes[1]
        point_x = self.centre[0] + x * np.cos(radians) - y * np.sin(radians)
        point_y = self.centre[1] + x * np.sin(radians) + y * np.cos(radians)
        half = (max(1, round(size[0] * self.axes[0])), max(1, round(size[1] * self.axes[1])))
        where = (round(point_x), round(point_y))
        angle = self.tilt + turn
        cv2.ellipse(image, where, half, angle, 0, 360, float(value), -1, cv2.LINE_AA)


def _draw_brain(head: _Head, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a head without lesion, float32 (_SIDE, _SIDE) in 0..255."""
    canvas = np.zeros((_SIDE, _SIDE), np.float32)
    head.ellipse(canvas, (0, 0), (1.0, 1.0), 170)  # scalp
    head.ellipse(canvas, (0, 0), (0.94, 0.95), 30)  # skull
    head.ellipse(canvas, (0, 0), (0.88, 0.89), 95)  # cortex
    head.ellipse(canvas, (0, 0), (0.78, 0.80), 112)  # white matter
    brain = (canvas > 60) & (cv2.GaussianBlur(canvas, (0, 0), 3) < 140)
    folds = cv2.GaussianBlur(rng.standard_normal(canvas.shape).astype(np.float32), (0, 0), 3.0)
    canvas += brain * folds * 90
    for sign in (-1, 1):  # lateral ventricles
        spread = rng.uniform(0.13, 0.19)
        head.ellipse(canvas, (sign * spread, -0.05), (0.07, 0.27), 45, turn=sign * -12)
    cv2.line(
        canvas, tuple(np.rint(head.centre - [0, 0.8 * head.axes[1]]).astype(int).tolist()),
        tuple(np.rint(head.centre - [0, 0.35 * head.axes[1]]).astype(int).tolist()),
        70.0, 1, cv2.LINE_AA,
    )  # fmt: skip
    return canvas


def _with_lesion(
    head: _Head, canvas: NDArray[np.float32], label: str, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the head with the lesion of `label`, and where the lesion is, 0..1."""
    lesion = np.zeros_like(canvas)
    side_sign = rng.choice([-1.0, 1.0])
    if label == "glioma":
        at = (side_sign * rng.uniform(0.3, 0.5), rng.uniform(-0.4, 0.4))
        for _ in range(5):
            jitter = rng.uniform(-0.09, 0.09, 2)
            blob = rng.uniform(0.08, 0.17, 2)
            head.ellipse(lesion, (at[0] + jitter[0], at[1] + jitter[1]), (blob[0], blob[1]), 1.0)
        core = cv2.erode(lesion, np.ones((9, 9), np.uint8))
        canvas = canvas * (1 - lesion) + lesion * rng.uniform(165, 190)
        canvas = canvas * (1 - core) + core * 60  # necrotic core, enhancing ring
    elif label == "meningioma":
        angle = rng.uniform(-0.6, 0.6) + (0 if side_sign > 0 else np.pi)
        at = (0.70 * np.cos(angle), 0.72 * np.sin(angle))
        size = rng.uniform(0.15, 0.23)
        head.ellipse(lesion, at, (size, size * 0.85), 1.0)
        canvas = canvas * (1 - lesion) + lesion * rng.uniform(185, 215)
    elif label == "pituitary":
        head.ellipse(lesion, (0.0, 0.42), (rng.uniform(0.09, 0.13), rng.uniform(0.07, 0.1)), 1.0)
        canvas = canvas * (1 - lesion) + lesion * rng.uniform(180, 205)
    return canvas, lesion


def write_phantom_dataset(folder: Path, per_class: int, test_per_class: int, seed: int = 0) -> None:
    """Write a data set of drawn heads: `Training/` and `Testing/`, a folder a class, PNG."""
    for part, count, offset in (("Training", per_class, 0), ("Testing", test_per_class, 10_000)):
        for label in LABELS:
            target = folder / part / label
            target.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = draw_phantom(label, seed * 100_000 + offset + number)
                ok, data = cv2.imencode(".png", pixels)
                assert ok
                (target / f"{label}-{number:04d}.png").write_bytes(data.tobytes())
