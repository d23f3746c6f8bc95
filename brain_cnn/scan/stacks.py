"""Readings -> scans: group by series, sort along the normal, window once, turn upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brain_cnn.scan.display import Frame, Reading, render
from brain_cnn.scan.geometry import square_pixels, square_size, upright
from brain_cnn.scan.types import Scan, ScanLimits, Slice


@dataclass(frozen=True)
class Series:
    """A scan, and the uploaded file that each of its slices came from.

    Attributes:
        scan: the slices in anatomical order.
        sources: for each slice, the index of its file in the upload, from 0.
    """

    scan: Scan
    sources: tuple[int, ...]


def assemble(readings: Sequence[Reading], limits: ScanLimits) -> Series:
    """Make one scan of the files of one series.

    Raises:
        ScanError: 413 too many slices, or a slice grows too large when its pixels are made
            square; 422 a slice is too small.
    """
    frames = _sorted([frame for reading in readings for frame in reading.frames])
    # Square pixels can be many more; turning a slice upright leaves their number as it is.
    sizes = [square_size(frame.values.shape, frame.spacing) for frame in frames]
    for width, height in sizes:
        limits.check_pixels(width, height)
    limits.check_slices(len(frames), sum(width * height for width, height in sizes))
    slices = []
    for frame, pixels in zip(frames, render(frames), strict=True):
        position = None
        spacing = frame.spacing
        if frame.geometry is not None:
            position = frame.geometry.position
            pixels, _, spacing = upright(pixels, frame.geometry, spacing)
        pixels = square_pixels(pixels, spacing)
        slices.append(Slice(pixels, frame.colour, position))
        frame.values = pixels  # lets go of the stored values, which are larger
    first = readings[0]
    notes = tuple(dict.fromkeys(note for reading in readings for note in reading.notes))
    scan = Scan(tuple(slices), first.format, notes, first.facts)
    return Series(scan, tuple(frame.source for frame in frames))


def _sorted(frames: list[Frame]) -> list[Frame]:
    """Sort along the normal, or by the header's numbers if a position is missing."""
    positions = [frame.geometry.position if frame.geometry else None for frame in frames]
    if all(position is not None for position in positions):
        keys = [
            (round(position or 0.0, 3), *frame.order)
            for position, frame in zip(positions, frames, strict=True)
        ]
    else:
        keys = [frame.order for frame in frames]
    order = sorted(range(len(frames)), key=lambda place: keys[place])
    return [frames[place] for place in order]
