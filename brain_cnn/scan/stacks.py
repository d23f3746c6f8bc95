"""One stack -> a scan: sort along the normal, window once, turn upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brain_cnn.scan.display import Frame, Reading, common_window, render
from brain_cnn.scan.geometry import square_pixels, square_size, upright
from brain_cnn.scan.grouping import places_of
from brain_cnn.scan.types import Scan, ScanLimits, Slice

PASSED_OVER = (
    "The window of the header lies outside all values of the picture; "
    "brightness was taken from the values instead."
)


@dataclass(frozen=True)
class Series:
    """A scan, and the uploaded file that each of its slices came from.

    Attributes:
        scan: the slices in anatomical order.
        sources: for each slice, the index of its file in the upload, from 0.
        also: for each slice, the other files of the upload that hold a copy of it.
    """

    scan: Scan
    sources: tuple[int, ...]
    also: tuple[frozenset[int], ...] = ()

    @property
    def files(self) -> set[int]:
        """The files that its slices came from, and those that hold copies of them."""
        return set(self.sources).union(*self.also)

    def slices_of(self, file: int) -> list[int]:
        """Return the slices that a file of the upload holds, from 0."""
        also = self.also or (frozenset(),) * len(self.sources)
        return [
            place
            for place, (source, others) in enumerate(zip(self.sources, also, strict=True))
            if source == file or file in others
        ]


def assemble(readings: Sequence[Reading], limits: ScanLimits) -> Series:
    """Make one scan of the frames of one stack.

    Raises:
        ScanError: 413 too many slices, or a slice grows too large when its pixels are made
            square; 422 a slice is too small.
    """
    facts = {id(frame): frame.facts or one.facts for one in readings for frame in one.frames}
    frames, places = _sorted([frame for reading in readings for frame in reading.frames])
    # Square pixels can be many more; turning a slice upright leaves their number as it is.
    sizes = [square_size(frame.values.shape, frame.spacing) for frame in frames]
    for width, height in sizes:
        limits.check_pixels(width, height)
    limits.check_slices(len(frames), sum(width * height for width, height in sizes))
    slices = []
    window, passed_over = common_window(frames)
    for frame, pixels, position in zip(frames, render(frames, window), places, strict=True):
        spacing = frame.spacing
        if frame.geometry is not None:
            pixels, _, spacing = upright(pixels, frame.geometry, spacing)
        pixels = square_pixels(pixels, spacing)
        slices.append(Slice(pixels, frame.colour, position))
        frame.values = pixels  # lets go of the stored values, which are larger
    notes = [note for reading in readings for note in reading.notes]
    if passed_over:
        notes.append(PASSED_OVER)
    copies = sum(frame.copies for frame in frames)
    if copies:
        notes.append(copies_note(copies))
    scan = Scan(
        tuple(slices), readings[0].format, tuple(dict.fromkeys(notes)), facts[id(frames[0])]
    )
    sources = tuple(frame.source for frame in frames)
    return Series(scan, sources, tuple(frozenset(frame.also) for frame in frames))


def copies_note(count: int) -> str:
    """Return the note on slices that are in the upload more than once."""
    if count == 1:
        return "One slice is in the upload twice; it was counted once."
    return f"{count} slices are copies of others in the upload; each was counted once."


def _sorted(frames: list[Frame]) -> tuple[list[Frame], list[float | None]]:
    """Sort along the normal, or by the header's numbers if a position is missing.

    Returns:
        The frames, and the position of each along the normal in mm, None if unknown.
    """
    places = places_of(frames)
    if places is None:
        keys = [(0.0, *frame.order, frame.identity) for frame in frames]
    else:
        keys = [
            (place, *frame.order, frame.identity)
            for place, frame in zip(places, frames, strict=True)
        ]
    order = sorted(range(len(frames)), key=lambda place: keys[place])
    known = [frame.geometry is not None and frame.geometry.origin is not None for frame in frames]
    if places is None or not all(known):
        positions = [frame.geometry.position if frame.geometry else None for frame in frames]
    else:
        positions = [*places]
    return [frames[place] for place in order], [positions[place] for place in order]
