"""The result of a reader, and the limits that it must keep."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from brain_cnn.errors import ScanError

PLANES = ("axial", "coronal", "sagittal")


@dataclass(frozen=True)
class ScanLimits:
    """Limits that are checked before anything large is decoded.

    Attributes:
        max_bytes: largest file, in bytes.
        max_pixels: largest slice, width times height, in pixels.
        min_side: smallest width or height, in pixels; smaller slices show too little.
        max_slices: slices of one scan.
        max_study_pixels: pixels of all slices of one scan together.
        max_unpacked_bytes: largest unpacked size of a ZIP, a gzipped NIfTI or a deflated DICOM.
        max_members: files in a ZIP.
        max_ratio: unpacked bytes for each packed byte; checked from 16 MiB unpacked on.
        max_depth: archives inside each other; 1 reads a ZIP and refuses a ZIP in it.
        max_seconds: time for the files of one upload. Checked between slices, frames and
            members: a decoder written in C cannot be stopped, so the sizes above bound each
            call.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 40_000_000
    min_side: int = 24
    max_slices: int = 512
    max_study_pixels: int = 128_000_000
    max_unpacked_bytes: int = 256 * 1024 * 1024
    max_members: int = 2000
    max_ratio: int = 200
    max_depth: int = 1
    max_seconds: float = 30.0

    def deadline(self) -> Deadline:
        """Return the deadline for reading one upload, starting now."""
        return Deadline(self.max_seconds)

    def check_pixels(self, width: int, height: int) -> None:
        """Refuse a slice because of the size in its header.

        Raises:
            ScanError: 413 too many pixels, 422 too few.
        """
        if width * height > self.max_pixels:
            raise ScanError(
                "image-too-large",
                f"The image has {width} x {height} pixels; "
                f"the limit is {self.max_pixels:,} pixels.",
                "Scale it down to the size of a slice, 1024 x 1024 at most.",
                status=413,
            )
        if min(width, height) < self.min_side:
            raise ScanError(
                "image-too-small",
                f"The image has {width} x {height} pixels; a slice needs at least "
                f"{self.min_side} in each direction.",
                "Upload the slice itself, not an icon or a thumbnail.",
            )

    def check_slices(self, count: int, pixels: int) -> None:
        """Refuse a scan with too many slices (`count`) or too many pixels in total (`pixels`).

        Raises:
            ScanError: 413.
        """
        if count > self.max_slices:
            raise ScanError(
                "too-many-slices",
                f"The scan has {count:,} slices; the limit is {self.max_slices:,}.",
                "Upload one series at a time, or every second slice.",
                status=413,
            )
        if pixels > self.max_study_pixels:
            raise ScanError(
                "scan-too-large",
                f"The scan has {pixels:,} pixels in all its slices; "
                f"the limit is {self.max_study_pixels:,}.",
                "Upload fewer or smaller slices.",
                status=413,
            )

    def check_unpacked(self, packed: int, unpacked: int) -> None:
        """Refuse a file that unpacks to too many bytes.

        Raises:
            ScanError: 413.
        """
        if unpacked > self.max_unpacked_bytes:
            raise ScanError(
                "unpacks-too-large",
                f"The file unpacks to more than {self.max_unpacked_bytes:,} bytes, the limit.",
                "Upload fewer slices at once.",
                status=413,
            )
        if unpacked > _RATIO_FLOOR and unpacked > packed * self.max_ratio:
            raise ScanError(
                "packed-too-tightly",
                f"The file unpacks to more than {self.max_ratio} times its size, the limit.",
                "Pack it again with an ordinary program, or upload the images themselves.",
                status=413,
            )


# Below this many unpacked bytes a high ratio harms nobody: black slices pack very well.
_RATIO_FLOOR = 16 * 1024 * 1024


class Deadline:
    """Raises if one file takes too long; checked between slices, frames and members."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise if the time is over.

        Raises:
            ScanError: 422, the time is over.
        """
        if time.monotonic() > self._end:
            raise ScanError(
                "too-slow",
                f"Reading the upload took more than {self._seconds:g} seconds, the limit.",
                "Upload fewer slices, or export them uncompressed.",
            )


@dataclass(frozen=True)
class ScanFacts:
    """Facts from the header that help a person. None names a person or a place.

    Attributes:
        modality: DICOM code ("MR", "CT", ...) of a known kind of scan; "" if unknown.
        weighting: guess of the MR weighting ("T1", "T1 contrast-enhanced", "T2", "PD",
            "FLAIR"); "" if unknown.
        plane: "axial", "coronal", "sagittal"; "" if unknown.
        oblique: True if the slices are tilted by more than 10 degrees from that plane.
        slice_thickness_mm: thickness of one slice, None if unknown.
        pixel_spacing_mm: (row, column) spacing as stored, None if unknown.
    """

    modality: str = ""
    weighting: str = ""
    plane: str = ""
    oblique: bool = False
    slice_thickness_mm: float | None = None
    pixel_spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True)
class Slice:
    """One 2-D slice, upright as a radiologist would see it.

    Attributes:
        pixels: uint8 (H, W), 0 = black .. 255 = white.
        was_colour: True if the file had visible colour (a photo, a colour map), which
            a brain MRI slice does not.
        position_mm: position along the normal of the series, None if unknown.
    """

    pixels: np.ndarray
    was_colour: bool = False
    position_mm: float | None = None


@dataclass(frozen=True)
class Scan:
    """The content of one file, or of the files of one series.

    Attributes:
        slices: at least one slice, in anatomical order if the positions are known, else
            in reading order.
        format: what the content is ("PNG", "DICOM", ...), whatever the file was called.
        notes: sentences that a person should see ("Only the first frame was read.").
        facts: facts from the header; none names a person.
    """

    slices: tuple[Slice, ...]
    format: str
    notes: tuple[str, ...] = ()
    facts: ScanFacts = field(default_factory=ScanFacts)
