"""An oblique slice through a label map, with the bends and sizes of other heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.synthetic.heads import Head
from brain_cnn.dataset.synthetic.settings import FINE, SIDE
from brain_cnn.dataset.synthetic.shapes import Place, smooth_noise
from brain_cnn.dataset.synthetic.tissues import Tissues

PLANES = ("axial", "coronal", "sagittal")
Vector = NDArray[np.float64]

# Millimetres from the middle of the optic chiasm to the middle of the sella (right, anterior,
# superior), as seen in the label maps.
_SELLA = np.array([0.0, 1.0, -10.0])
# Directions (right, anterior, superior) of rows, downwards, and of columns, to the right.
_AXES = {
    "axial": ((0.0, -1.0, 0.0), (-1.0, 0.0, 0.0)),
    "coronal": ((0.0, 0.0, -1.0), (-1.0, 0.0, 0.0)),
    "sagittal": ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
}


@dataclass(frozen=True)
class LabelSlice:
    """One slice of a head, on the fine grid.

    Attributes:
        tissues: int16 (FINE * SIDE, FINE * SIDE).
        sella: (row, column) nearest to the sella; sella_mm: how far it lies off the plane.
        plane: one of `PLANES`.
    """

    tissues: Tissues
    sella: Place
    sella_mm: float
    plane: str


def draw_slice(
    head: Head, plane: str, rng: np.random.Generator, *, through_sella: bool = False
) -> LabelSlice:
    """Cut a random slice: where the plane lies, its tilt, the head's size and bends."""
    origin = _origin(head, plane, rng, through_sella)
    down, right = (np.array(axis) for axis in _AXES[plane])
    normal = np.cross(down, right)
    tilt = rng.normal(0, 0.06 if through_sella else 0.12, 2)
    down, right = down + tilt[0] * normal, right + tilt[1] * normal
    down, right = down / np.linalg.norm(down), right / np.linalg.norm(right)
    turn = rng.normal(0, 0.08)
    down, right = (
        down * np.cos(turn) + right * np.sin(turn),
        right * np.cos(turn) - down * np.sin(turn),
    )
    points = _points(origin, down, right, normal, plane, rng)
    tissues = _look_up(head.tissues, points)
    sella = (head.chiasm + _SELLA).astype(np.float32)
    away = sum((points[axis] - sella[axis]) ** 2 for axis in range(3))
    row, column = divmod(int(np.argmin(away)), FINE * SIDE)
    distance = float(np.sqrt(np.min(away)))
    return LabelSlice(tissues, (float(row), float(column)), distance, plane)


def _origin(head: Head, plane: str, rng: np.random.Generator, through_sella: bool) -> Vector:
    """Return the middle of the slice in voxels."""
    width = head.tissues.shape[0]
    middle = np.array([width / 2, head.chiasm[1] - 10.0, head.chiasm[2] + 18.0])
    across = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    if through_sella:
        middle[across] = head.chiasm[across] + _SELLA[across] + 2.0 + rng.normal(0, 2.5)
    elif plane == "axial":
        middle[2] = head.chiasm[2] + rng.uniform(-22, 62)
    elif plane == "coronal":
        middle[1] = head.chiasm[1] + rng.uniform(-70, 35)
    else:
        middle[0] = width / 2 + rng.uniform(-52, 52)
    return middle


def _points(
    origin: Vector, down: Vector, right: Vector, normal: Vector, plane: str,
    rng: np.random.Generator,
) -> list[NDArray[np.float32]]:  # fmt: skip
    """Return the voxel coordinates of every fine pixel: three of float32 (n, n)."""
    side = FINE * SIDE
    size = rng.uniform(0.86, 1.16)
    field = rng.uniform(1.0, 1.12) if plane == "axial" else rng.uniform(1.05, 1.2)
    steps = field / (size * rng.uniform(0.95, 1.05, 2))
    centred = ((np.arange(side) + 0.5) / FINE - SIDE / 2).astype(np.float32)
    bend = rng.uniform(0, 5)  # millimetres
    rows = np.float32(steps[0]) * centred[:, None] + np.float32(bend) * smooth_noise(
        rng, side, FINE * rng.uniform(30, 70)
    )
    columns = np.float32(steps[1]) * centred[None, :] + np.float32(bend) * smooth_noise(
        rng, side, FINE * rng.uniform(30, 70)
    )
    off = smooth_noise(rng, side, FINE * 60.0) * np.float32(rng.uniform(0, 2.5))
    axes = (down.astype(np.float32), right.astype(np.float32), normal.astype(np.float32))
    return [
        np.float32(origin[k]) + axes[0][k] * rows + axes[1][k] * columns + axes[2][k] * off
        for k in range(3)
    ]


def _look_up(volume: NDArray[np.uint8], points: list[NDArray[np.float32]]) -> Tissues:
    """Return the nearest voxel's tissue; air outside the volume."""
    flat = np.zeros(points[0].shape, np.int64)
    inside = np.ones(points[0].shape, bool)
    for place, length in zip(points, volume.shape, strict=True):
        nearest = np.rint(place).astype(np.int32)
        inside &= (nearest >= 0) & (nearest < length)
        flat = flat * length + np.clip(nearest, 0, length - 1)
    return np.where(inside, volume.ravel()[flat], 0).astype(np.int16)
