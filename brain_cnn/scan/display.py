"""Stored values -> displayed values, in the order that the DICOM standard gives.

PS3.4 N.2 (figure N.2-1) fixes the order for grey images:

1. Modality LUT, or Rescale Slope and Intercept (PS3.3 C.11.1);
2. VOI LUT, or Window Center and Width (PS3.3 C.11.2);
3. Presentation LUT: MONOCHROME1 means that the smallest value is white (PS3.3 C.7.6.3.1.2),
   as does Presentation LUT Shape INVERSE (PS3.3 C.11.4).

A series or volume gets one window, so that its slices can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.scan.geometry import Geometry
from brain_cnn.scan.types import ScanFacts

# Percentiles of a window where the header gives none.
_PERCENTILES = (0.5, 99.5)
# Values that the percentiles of a volume are taken from; more changes nothing visible.
_SAMPLE = 2_000_000
# Pixels that are shown at once: what that takes beside them is many times their size.
_BLOCK = 1_000_000


@dataclass(frozen=True)
class Window:
    """VOI window (PS3.3 C.11.2.1.2): the values that become black and white.

    Attributes:
        low, high: values after step 1; low < high.
        sigmoid: True for the SIGMOID function, which `low` and `high` describe too.
    """

    low: float
    high: float
    sigmoid: bool = False

    @classmethod
    def of_header(cls, centre: float, width: float, function: str = "LINEAR") -> Window | None:
        """Return the window of a header, or None if it is impossible.

        LINEAR: C.11.2.1.2.1, LINEAR_EXACT: C.11.2.1.3.2, SIGMOID: C.11.2.1.3.1.
        """
        if not (np.isfinite(centre) and np.isfinite(width)):
            return None
        if function == "LINEAR":
            if width <= 1:  # a width of 1 is a threshold, of 0 is forbidden
                return None
            return cls(centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)
        if width <= 0:
            return None
        return cls(centre - width / 2, centre + width / 2, function == "SIGMOID")

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map values (H, W) to float32 0..1."""
        scaled = (values.astype(np.float32) - self.low) / (self.high - self.low)
        if self.sigmoid:
            return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (scaled - 0.5), -60, 60)))
        return np.clip(scaled, 0.0, 1.0)


@dataclass(frozen=True)
class Rescale:
    """Step 1 of the order above: stored value * slope + intercept, in the dtype of both."""

    slope: np.floating[Any]
    intercept: np.floating[Any]

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Map stored values of any shape to real ones."""
        return (values * self.slope + self.intercept).astype(np.float32)


@dataclass
class Frame:
    """One slice between reading and display.

    Attributes:
        values: (H, W), as stored or after step 1; or uint8, display-ready, if `ready`.
        rescale: slope and intercept of step 1 if `values` are as stored, else None. A study is
            held as it is stored, which takes a quarter of the memory.
        ready: True if steps 1 to 3 are done (colour, VOI LUT, palette).
        colour: True if the slice had visible colour.
        window: the header's window; None if it gives none.
        inverted: True if small values are white (step 3).
        padding: value that means "outside the picture", None if unknown.
        geometry: position in the patient, None if unknown.
        spacing: (row, column) spacing in mm, None if unknown.
        order: sorts the frames if positions are missing.
        source: which of several uploaded files it came from.
    """

    values: NDArray[Any]
    ready: bool = False
    rescale: Rescale | None = None
    colour: bool = False
    window: Window | None = None
    inverted: bool = False
    padding: float | None = None
    geometry: Geometry | None = None
    spacing: tuple[float, float] | None = None
    order: tuple[float, ...] = field(default_factory=tuple)
    source: int = 0

    def real(self, part: Any = ...) -> NDArray[Any]:
        """Return the values after step 1 of a part of the frame (any index of (H, W))."""
        values = self.values[part]
        return values if self.rescale is None else self.rescale.apply(values)


@dataclass(frozen=True)
class Reading:
    """The result of reading one file, before its series is assembled.

    Attributes:
        frames: one or more.
        format: format of the content ("PNG", "DICOM", ...).
        facts: facts from the header, nothing personal.
        series: key that the files of one series share; "" if the file names none. For
            grouping only: it may hold a UID and never leaves `brain_cnn.scan`.
        notes: sentences for a person.
    """

    frames: list[Frame]
    format: str
    facts: ScanFacts = field(default_factory=ScanFacts)
    series: str = ""
    notes: tuple[str, ...] = ()


def render(frames: Sequence[Frame]) -> list[NDArray[np.uint8]]:
    """Apply steps 2 and 3 to the frames of one series, with one window for all.

    Returns:
        uint8 (H, W) for each frame, 0 = black.
    """
    window = _common_window(frames)
    pictures = []
    for frame in frames:
        if frame.ready:
            pictures.append(frame.values)
            continue
        height, width = frame.values.shape
        picture = np.empty((height, width), np.uint8)
        rows = max(1, _BLOCK // max(1, width))
        for top in range(0, height, rows):
            part = slice(top, top + rows)
            picture[part] = _shown(frame, part, window)
        pictures.append(picture)
    return pictures


def _shown(frame: Frame, rows: slice, window: Window) -> NDArray[np.uint8]:
    """Return some rows of a frame as they are displayed."""
    values = frame.real(rows)
    outside = ~np.isfinite(values)
    if frame.padding is not None:
        outside |= values == frame.padding
    shares = window.apply(np.where(outside, window.low, values))
    if frame.inverted:
        shares = 1.0 - shares
    shares[outside] = 0.0
    return np.rint(shares * 255.0).astype(np.uint8)


def _common_window(frames: Sequence[Frame]) -> Window:
    """Return one window: the headers' own (the median where they differ), else percentiles."""
    given = [frame.window for frame in frames if not frame.ready]
    windows = [window for window in given if window is not None]
    if windows and len(windows) == len(given):
        low = float(np.median([w.low for w in windows]))
        high = float(np.median([w.high for w in windows]))
        return Window(low, high, all(w.sigmoid for w in windows))
    return percentile_window([frame for frame in frames if not frame.ready])


def percentile_window(frames: Sequence[Frame]) -> Window:
    """Return the window between two percentiles of all frames, padding left out."""
    share = sum(frame.values.size for frame in frames) // _SAMPLE + 1
    samples = []
    for frame in frames:
        # A stride that shares no factor with common widths, so that columns do not line up.
        flat = frame.values.reshape(-1)[:: 2 * share - 1]
        values = (flat if frame.rescale is None else frame.rescale.apply(flat)).astype(np.float32)
        known = np.isfinite(values)
        if frame.padding is not None:
            known &= values != frame.padding
        samples.append(values[known])
    values = np.concatenate(samples) if samples else np.zeros(0, np.float32)
    if not values.size:
        return Window(0.0, 1.0)
    low, high = (float(v) for v in np.percentile(values, _PERCENTILES))
    if high <= low:  # nearly all pixels share one value: keep what little there is
        low, high = float(values.min()), float(values.max())
    # A constant picture becomes black.
    return Window(low, high) if high > low else Window(low, low + 1.0)


def window_to_uint8(values: NDArray) -> NDArray[np.uint8]:
    """Map real values (H, W) of any range onto uint8 by a percentile window.

    Values that are not finite become black. A constant image becomes black.
    """
    return render([Frame(values)])[0]
