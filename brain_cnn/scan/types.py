"""What a reader returns, and the limits that it must keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScanLimits:
    """Bounds that are checked before anything large is decoded.

    Attributes:
        max_bytes: largest file, in bytes.
        max_pixels: largest slice, width times height, in pixels.
        min_side: smallest width or height, in pixels; below it nothing can be recognised.
    """

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 40_000_000
    min_side: int = 24


@dataclass(frozen=True)
class Slice:
    """One 2-D slice, upright as a radiologist would see it.

    Attributes:
        pixels: uint8 (H, W), 0 = black .. 255 = white.
        was_colour: True where the file held visible colour (a photo, a colour map), which
            a brain MRI slice does not.
    """

    pixels: np.ndarray
    was_colour: bool = False


@dataclass(frozen=True)
class Scan:
    """Everything that was read from one file.

    Attributes:
        slices: at least one slice, in reading order.
        format: what the content is ("PNG", "JPEG", ...), whatever the file was called.
        notes: sentences that a person should see ("Only the first frame was read.").
    """

    slices: tuple[Slice, ...]
    format: str
    notes: tuple[str, ...] = ()
