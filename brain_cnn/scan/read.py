"""`read_scan`: look at the content, pick the reader. Nothing here touches the disk."""

from __future__ import annotations

from brain_cnn.errors import ScanError
from brain_cnn.scan.raster import read_raster
from brain_cnn.scan.sniff import RASTER_FORMATS, sniff
from brain_cnn.scan.types import Scan, ScanLimits

_READS = "Upload a slice as PNG, JPEG, WebP, BMP, TIFF or GIF."

# What we recognise and do not read, in words that say what to do instead.
_NOT_READ: dict[str, tuple[str, str]] = {
    "DICOM": ("a DICOM file, which this version does not read", "Export the slice as PNG."),
    "NIfTI": ("a NIfTI volume, which this version does not read", "Export one slice as PNG."),
    "ZIP": ("a ZIP archive, which this version does not read", "Upload the images in it."),
    "PDF": ("a PDF document", _READS),
    "HEIC": ("a HEIC or AVIF photo", _READS),
}


def read_scan(data: bytes, name: str = "", *, limits: ScanLimits | None = None) -> Scan:
    """Read the bytes of one uploaded file.

    Args:
        data: the whole file; its content decides what it is.
        name: what it was called; never used to decide, never logged.
        limits: bounds on bytes and pixels, `ScanLimits()` if None.

    Returns:
        A `Scan` with at least one slice.

    Raises:
        ScanError: with `.status` 413 (too large), 415 (not an image that we read) or
            422 (empty, truncated, damaged or too small), a sentence, and what to do.
    """
    limits = limits or ScanLimits()
    if not data:
        raise ScanError("empty-file", "The file is empty.", _READS)
    if len(data) > limits.max_bytes:
        raise ScanError(
            "file-too-large",
            f"The file has {len(data):,} bytes; the limit is {limits.max_bytes:,}.",
            "Export it smaller: a slice of 1024 x 1024 pixels is enough.",
            status=413,
        )
    kind = sniff(data)
    if kind in RASTER_FORMATS:
        return read_raster(data, kind, limits)
    if kind in _NOT_READ:
        what, advice = _NOT_READ[kind]
        raise ScanError("unsupported-format", f"This is {what}.", advice, status=415)
    raise ScanError("not-an-image", "This is not an image file.", _READS, status=415)
