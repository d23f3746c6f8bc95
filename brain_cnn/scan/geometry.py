"""Position of a slice in the patient: plane, order, upright display, square pixels.

Directions are those of DICOM (PS3.3 C.7.6.2.1.1): x grows to the patient's left, y to the
back, z to the head, in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.scan.types import PLANES

# What a radiologist sees: the patient's left on the right side of an axial or coronal slice,
# the back at the bottom of an axial one, the feet at the bottom of the others, and the nose
# of a sagittal one at the left. (axis, sign) of the screen's right and of its bottom.
_DISPLAY = {
    "axial": ((0, 1), (1, 1)),
    "coronal": ((0, 1), (2, -1)),
    "sagittal": ((1, 1), (2, -1)),
}
# cos(10 degrees): a normal that leans more than that is called oblique.
_STRAIGHT = 0.985
# Pixels that differ by less than this are square enough.
_SQUARE = 1.005
# A header that claims pixels longer than this is wrong.
_MAX_ASPECT = 10.0


@dataclass(frozen=True)
class Geometry:
    """Position and directions of one slice.

    Attributes:
        right: float64 (3,), unit vector along a row, towards growing columns.
        down: float64 (3,), unit vector along a column, towards growing rows.
        origin: float64 (3,), centre of the first pixel in mm, None if unknown.
    """

    right: NDArray[np.float64]
    down: NDArray[np.float64]
    origin: NDArray[np.float64] | None = None

    @property
    def normal(self) -> NDArray[np.float64]:
        """float64 (3,), out of the screen's back."""
        return np.cross(self.right, self.down)

    @property
    def plane(self) -> str:
        """The plane that the slice is closest to."""
        return PLANES[{2: 0, 1: 1, 0: 2}[int(np.abs(self.normal).argmax())]]

    @property
    def oblique(self) -> bool:
        """Whether the slice leans from that plane by more than 10 degrees."""
        return float(np.abs(self.normal).max()) < _STRAIGHT

    @property
    def position(self) -> float | None:
        """Position along the normal in mm, None if the origin is unknown."""
        return None if self.origin is None else float(self.origin @ self.normal)


def geometry_of(
    orientation: list[float] | None, origin: list[float] | None = None
) -> Geometry | None:
    """Return the geometry of ImageOrientationPatient and ImagePositionPatient.

    None if the orientation is missing or invalid: not six finite numbers, or not two
    directions at right angles.
    """
    if orientation is None or len(orientation) != 6 or not np.isfinite(orientation).all():
        return None
    right, down = np.array(orientation[:3], float), np.array(orientation[3:], float)
    lengths = np.linalg.norm(right), np.linalg.norm(down)
    if min(lengths) < 0.1 or max(lengths) > 10:
        return None
    right, down = right / lengths[0], down / lengths[1]
    if abs(right @ down) > 0.1:
        return None
    if origin is None or len(origin) != 3 or not np.isfinite(origin).all():
        return Geometry(right, down)
    return Geometry(right, down, np.array(origin, float))


def upright(
    pixels: NDArray[Any], geometry: Geometry, spacing: tuple[float, float] | None
) -> tuple[NDArray[Any], Geometry, tuple[float, float] | None]:
    """Turn and mirror a slice into the display of its plane.

    Args:
        pixels: (H, W). spacing: (row, column) in mm.

    Returns:
        The same three, turned together. An upright slice is returned unchanged.
    """
    plane = geometry.plane
    (x_axis, x_sign), (y_axis, y_sign) = _DISPLAY[plane]
    if abs(geometry.right[x_axis]) < abs(geometry.down[x_axis]):
        pixels = pixels.T
        geometry = replace(geometry, right=geometry.down, down=geometry.right)
        spacing = None if spacing is None else (spacing[1], spacing[0])
    if geometry.right[x_axis] * x_sign < 0:
        pixels = pixels[:, ::-1]
        geometry = replace(geometry, right=-geometry.right)
    if geometry.down[y_axis] * y_sign < 0:
        pixels = pixels[::-1]
        geometry = replace(geometry, down=-geometry.down)
    return pixels, geometry, spacing


def square_size(shape: tuple[int, ...], spacing: tuple[float, float] | None) -> tuple[int, int]:
    """Return (width, height) of a slice (H, W) whose pixels are made square.

    Args:
        shape: height and width in pixels.
        spacing: (row, column) in mm, None where not known.
    """
    height, width = shape
    if spacing is None or not all(np.isfinite(s) and s > 0 for s in spacing):
        return width, height
    finest = min(spacing)
    if not _SQUARE < max(spacing) / finest <= _MAX_ASPECT:
        return width, height
    return round(width * spacing[1] / finest), round(height * spacing[0] / finest)


def square_pixels(
    pixels: NDArray[np.uint8], spacing: tuple[float, float] | None
) -> NDArray[np.uint8]:
    """Resample a slice whose pixels are not square, never to fewer pixels.

    Args:
        pixels: uint8 (H, W). spacing: (row, column) in mm, None if unknown.
    """
    height, width = pixels.shape
    size = square_size(pixels.shape, spacing)
    if size == (width, height):
        return pixels
    resized = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)
