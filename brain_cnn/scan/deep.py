"""Pictures that Pillow cuts to eight bits or does not read: decoded whole, then windowed as grey.

Colour of more than eight bits (PNG, TIFF), TIFF of floats and of large integers, JPEG of 12
bits, JPEG 2000. The decoders are those of imagecodecs; a decoder in C cannot be stopped, so
sizes are read from the header and checked before it is called.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import ScanError
from brain_cnn.scan.codestream import read_codestream
from brain_cnn.scan.display import Frame
from brain_cnn.scan.types import ScanLimits

# Mean spread between the channels, as a share of the range, above which a file was colour:
# the 6 levels of 255 of `raster`.
COLOUR_SHARE = 6.0 / 255.0
# Bytes of one decoded picture: 40 million pixels of four channels of 16 bits.
_MAX_BYTES = 320 * 1024 * 1024
_BLOCK = 1_000_000  # pixels that are made grey at once
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's
_ALPHA_KINDS = (2,)  # TIFF 6.0, ExtraSamples: 1 is multiplied in already, 0 is no alpha
_TAGS = {256: "width", 257: "height", 258: "bits", 262: "photometric", 277: "samples"}
_TAGS |= {274: "orientation", 322: "tile_width", 323: "tile_height", 338: "extra", 339: "form"}
_SIZES = {1: (1, "B"), 3: (2, "H"), 4: (4, "I"), 16: (8, "Q")}
_MAX_ENTRIES = 4096
_MAX_TILES = 65_536


@dataclass(frozen=True)
class TiffPage:
    """What the first page of a TIFF states (TIFF 6.0); `form` is its SampleFormat."""

    width: int = 0
    height: int = 0
    bits: int = 1
    photometric: int = 1
    samples: int = 1
    orientation: int = 1
    tile_width: int = 0
    tile_height: int = 0
    extra: int = 0
    form: int = 1

    @property
    def is_deep(self) -> bool:
        """Whether Pillow would cut it to eight bits, or read other numbers than are stored."""
        if self.samples > 1:
            return self.bits > 8 and self.photometric in (0, 1, 2)
        return self.bits == 64 or (self.bits, self.form) in ((16, 3), (32, 1))


def is_deep_png(data: bytes) -> bool:
    """Whether a PNG has more than eight bits in more than one channel."""
    return data[24:25] == b"\x10" and data[25:26] in (b"\x02", b"\x04", b"\x06")


def read_deep(data: bytes, kind: str, limits: ScanLimits, orientation: int = 1) -> Frame | None:
    """Read a deep picture.

    Args:
        data: the whole file. kind: as `sniff` named it.
        orientation: of EXIF, 1 to 8.

    Returns:
        Its frame; None where another reader has to read it.

    Raises:
        ScanError: 413 or 422, its size. Others: it is damaged.
    """
    import imagecodecs

    if kind == "PNG" and is_deep_png(data):
        width, height = struct.unpack_from(">2I", data, 16)
        _check(width, height, {2: 3, 4: 2, 6: 4}[data[25]], 16, limits)
        return _frame(np.asarray(imagecodecs.png_decode(data)), orientation)
    if kind == "TIFF":
        page = tiff_page(data)
        if page is None or not page.is_deep:
            return None
        _check(page.width, page.height, page.samples, page.bits, limits)
        _check_tiles(page, limits)
        pixels = np.asarray(imagecodecs.tiff_decode(data, index=0))
        if pixels.ndim == 3 and pixels.shape[:2] != (page.height, page.width):
            pixels = np.moveaxis(pixels, 0, 2)  # one plane for each colour
        colours = 3 if page.photometric == 2 else 1
        if page.extra not in _ALPHA_KINDS and pixels.ndim == 3:
            pixels = pixels[..., :colours]
        frame = _frame(pixels, page.orientation)
        frame.inverted = page.photometric == 0
        return frame
    if kind in ("JPEG", "JPEG2000"):
        stream = read_codestream(data)
        if stream is None or (kind == "JPEG" and stream.bits == 8):
            return None
        _check(stream.width, stream.height, stream.components, max(8, stream.bits), limits)
        if not stream.is_bounded() or stream.components > 4:
            raise ValueError("more tiles or scans than any slice has")
        decode = imagecodecs.jpeg8_decode if kind == "JPEG" else imagecodecs.jpeg2k_decode
        return _frame(np.asarray(decode(data)), orientation, full=stream.bits == 8)
    return None


def _check(width: int, height: int, samples: int, bits: int, limits: ScanLimits) -> None:
    limits.check_pixels(width, height)
    size = width * height * samples * bits // 8
    if size > _MAX_BYTES:
        raise ScanError(
            "image-too-large",
            f"The image unpacks to {size:,} bytes; the limit is {_MAX_BYTES:,}.",
            "Scale it down to the size of a slice, 1024 x 1024 at most.",
            status=413,
        )


def _check_tiles(page: TiffPage, limits: ScanLimits) -> None:
    """Refuse a page in tiles that are larger than a slice may be, or too many."""
    wide, high = page.tile_width, page.tile_height
    if not wide and not high:
        return
    count = -(-page.width // max(1, wide)) * -(-page.height // max(1, high))
    if wide * high > limits.max_pixels or count > _MAX_TILES:
        raise ScanError(
            "image-too-large",
            f"The TIFF is cut into {count:,} tiles of {wide} x {high} pixels; the limit is "
            f"{_MAX_TILES:,} tiles, and {limits.max_pixels:,} pixels for one.",
            "Save it again as an ordinary TIFF or PNG.",
            status=413,
        )


def tiff_page(data: bytes) -> TiffPage | None:
    """Read the first directory of a TIFF or BigTIFF; None if it is none."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    try:
        start = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
        count = struct.unpack_from(order + ("Q" if big else "H"), data, start)[0]
        found = {}
        for place in range(min(count, _MAX_ENTRIES)):
            entry = start + (8 + 20 * place if big else 2 + 12 * place)
            tag, kind, values = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, entry)
            if tag not in _TAGS or kind not in _SIZES:
                continue
            size, code = _SIZES[kind]
            where = entry + (12 if big else 8)
            if values * size > (8 if big else 4):  # the values lie elsewhere: the first counts
                where = struct.unpack_from(order + ("Q" if big else "I"), data, where)[0]
            found[_TAGS[tag]] = int(struct.unpack_from(order + code, data, where)[0])
    except struct.error:
        return None
    return TiffPage(**found)


def _frame(pixels: NDArray[Any], orientation: int, full: bool = False) -> Frame:
    """Return the frame of (H, W) or (H, W, C) pixels; of eight bits (`full`) it is ready."""
    colour = False
    if pixels.ndim == 3:
        pixels, colour = luminance(pixels)
    pixels = _turned(pixels, orientation)
    if full:
        return Frame(np.rint(pixels).astype(np.uint8), ready=True, colour=colour)
    return Frame(pixels, colour=colour)


def luminance(pixels: NDArray[Any]) -> tuple[NDArray[np.float32], bool]:
    """Return the luminance of (H, W, C) pixels on black, and whether colour is visible.

    Two channels are grey and alpha, four are red, green, blue and alpha.
    """
    height, width, channels = pixels.shape
    colours = 3 if channels >= 3 else 1
    most = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind in "iu" else 1.0
    grey = np.empty((height, width), np.float32)
    rows = max(1, _BLOCK // max(1, width))
    for top in range(0, height, rows):
        part = pixels[top : top + rows].astype(np.float32)
        block = part[..., :3] @ _LUMINANCE if colours == 3 else part[..., 0]
        if channels > colours:
            block = block * (part[..., colours] / most)
        grey[top : top + rows] = block
    if colours == 1:
        return grey, False
    step = max(1, min(height, width) // 64)
    sample = pixels[::step, ::step, :3].astype(np.float64)
    spread = float((sample.max(axis=2) - sample.min(axis=2)).mean())
    reach = float(sample.max() - min(sample.min(), 0.0)) or 1.0
    return grey, spread / reach > COLOUR_SHARE


def _turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn a picture upright (EXIF 2.3, Orientation)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
