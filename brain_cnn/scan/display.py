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
_SINGLE = 1e37  # float32 holds 3.4e38


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
        if max(abs(self.low), abs(self.high)) > _SINGLE:
            # Beyond what float32 holds, where even the width may be beyond float64.
            unit = max(abs(self.low), abs(self.high))
            low, high = self.low / unit, self.high / unit
            scaled = ((values / unit - low) / (high - low)).astype(np.float32)
        else:
            with np.errstate(over="ignore"):  # what becomes infinite is white or black
                scaled = (values.astype(np.float32) - self.low) / (self.high - self.low)
        if self.sigmoid:
            result: NDArray[np.float32] = 1.0 / (
                1.0 + np.exp(np.clip(-4.0 * (scaled - 0.5), -60, 60))
            )
            return result
        return np.clip(scaled, 0.0, 1.0)


@dataclass(frozen=True)
class Rescale:
    """Step 1 of the order above: stored value * slope + intercept, in the dtype of both."""

    slope: np.floating[Any]
    intercept: np.floating[Any]

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Map stored values of any shape to real ones, float32 where it holds them."""
        return narrow(values * self.slope + self.intercept)


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as float32, or as they are where float32 cannot hold what is finite."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if values.dtype.itemsize > 4 and (np.isinf(single) & np.isfinite(values)).any():
        return values
    return single


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
        padding: lowest and highest value that mean "outside the picture", None if unknown.
        geometry: position in the patient, None if unknown.
        spacing: (row, column) spacing in mm, None if unknown.
        order: sorts the frames if positions are missing.
        source: which of several uploaded files it came from.
        key: what else the frames of a stack share, beside the series; for grouping only, it may
            hold a UID and never leaves `brain_cnn.scan`.
        identity: what a copy of this frame has in common with it; "" if the file has no UID.
        location: Slice Location of the header in mm, None if unknown.
        repeats: what tells pictures of the same place apart: echo, phase, and so on.
        facts: facts of this frame where they may differ from those of its file, else None.
        copies: how many copies of it were left out.
        also: the other files of the upload that hold it.
    """

    values: NDArray[Any]
    ready: bool = False
    rescale: Rescale | None = None
    colour: bool = False
    window: Window | None = None
    inverted: bool = False
    padding: tuple[float, float] | None = None
    geometry: Geometry | None = None
    spacing: tuple[float, float] | None = None
    order: tuple[float, ...] = field(default_factory=tuple)
    source: int = 0
    key: str = ""
    identity: str = ""
    location: float | None = None
    repeats: tuple[Any, ...] = ()
    facts: ScanFacts | None = None
    copies: int = 0
    also: set[int] = field(default_factory=set)

    @property
    def place(self) -> float | None:
        """Where it lies along its normal, or its Slice Location, in mm; None if unknown."""
        known = None if self.geometry is None else self.geometry.position
        return self.location if known is None else known

    def is_padding(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which real values (any shape) mean "outside the picture"."""
        if self.padding is None:
            return np.zeros(values.shape, bool)
        return np.asarray((values >= self.padding[0]) & (values <= self.padding[1]))

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


def render(frames: Sequence[Frame], window: Window | None = None) -> list[NDArray[np.uint8]]:
    """Apply steps 2 and 3 to the frames of one series, with one window for all.

    Args:
        window: what `common_window` gave for these frames; None asks it.

    Returns:
        uint8 (H, W) for each frame, 0 = black.
    """
    if window is None:
        window, _ = common_window(frames)
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
        outside |= frame.is_padding(values)
    shares = window.apply(np.where(outside, window.low, values))
    if frame.inverted:
        shares = 1.0 - shares
    shares[outside] = 0.0
    result: NDArray[np.uint8] = np.rint(shares * 255.0).astype(np.uint8)
    return result


def common_window(frames: Sequence[Frame]) -> tuple[Window, bool]:
    """Return one window: the headers' own (the median where they differ), else percentiles.

    Returns:
        The window, and whether that of the headers was passed over: it lies outside all
        values, and nothing could be seen through it.
    """
    stored = [frame for frame in frames if not frame.ready]
    windows = [frame.window for frame in stored if frame.window is not None]
    if not windows or len(windows) < len(stored):
        return percentile_window(stored), False
    low = float(np.median([w.low for w in windows]))
    high = float(np.median([w.high for w in windows]))
    values = _sample(stored)
    if values.size:
        least, most = float(values.min()), float(values.max())
        if least < most and (high <= least or low >= most):
            return percentile_window(stored), True
    return Window(low, high, all(w.sigmoid for w in windows)), False


def _sample(frames: Sequence[Frame]) -> NDArray[Any]:
    """Return finite values of all frames, padding left out: all of them, or enough."""
    share = sum(frame.values.size for frame in frames) // _SAMPLE + 1
    samples = []
    for frame in frames:
        # A stride that shares no factor with common widths, so that columns do not line up.
        flat = frame.values.reshape(-1)[:: 2 * share - 1]
        values = narrow(flat) if frame.rescale is None else frame.rescale.apply(flat)
        known = np.isfinite(values)
        if frame.padding is not None:
            known &= ~frame.is_padding(values)
        samples.append(values[known])
    return np.concatenate(samples) if samples else np.zeros(0, np.float32)


def percentile_window(frames: Sequence[Frame]) -> Window:
    """Return the window between two percentiles of all frames, padding left out."""
    values = _sample(frames)
    if not values.size:
        return Window(0.0, 1.0)
    unit = 1.0
    if values.dtype != np.float32:
        unit = float(np.abs(values).max())
        values = values / unit  # so that no difference is beyond float64
    low, high = (float(v) for v in np.percentile(values, _PERCENTILES))
    if high <= low:  # nearly all pixels share one value: keep what little there is
        low, high = float(values.min()), float(values.max())
    # A constant picture becomes black.
    high = high if high > low else low + 1.0
    return Window(low * unit, high * unit)


def window_to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map real values (H, W) of any range onto uint8 by a percentile window.

    Values that are not finite become black. A constant image becomes black.
    """
    return render([Frame(values)])[0]
