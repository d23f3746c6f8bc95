"""What a compressed image states of itself, read before it is decoded.

A DICOM header may say 64 x 64 and hold a JPEG of 60,000 x 60,000: the decoder would believe
the JPEG. One call into a decoder cannot be stopped, so everything that makes it take memory
or time is checked first: the size, the components, the tiles, and the scans of a JPEG.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

# Start-of-frame markers of JPEG (T.81 table B.1) and of JPEG-LS (T.87 C.2.2).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN = b"\xff\xda"
_J2K_START = b"\xff\x4f\xff\x51"  # SOC, SIZ (T.800 A.4.1, A.5.1)
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"  # T.800 I.5.1

# OpenJPEG takes 10 KB for a tile, however small; scanners write one tile, archives hundreds.
MAX_TILES = 2048
# Pixels times scans of one JPEG. An ordinary progressive JPEG has 10 scans; the decoder goes
# over all its pixels once a scan, 10^9 of them in a second.
MAX_SCANNED_PIXELS = 640_000_000


@dataclass(frozen=True)
class Codestream:
    """What the header of a JPEG, JPEG-LS or JPEG 2000 codestream states.

    Attributes:
        width, height: size in pixels.
        components: samples a pixel, 1 for grey.
        tiles: independent parts of a JPEG 2000 image, 1 for the others.
        scans: passes over the picture of a JPEG, 1 for JPEG 2000.
        bits: of one sample.
    """

    width: int
    height: int
    components: int
    tiles: int = 1
    scans: int = 1
    bits: int = 8

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    def is_bounded(self) -> bool:
        """Whether its decoder stays within bounds that the size alone does not give."""
        return (
            self.tiles <= MAX_TILES and self.width * self.height * self.scans <= MAX_SCANNED_PIXELS
        )


def read_codestream(data: bytes) -> Codestream | None:
    """Read the header of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream.

    None if there is no header; an image that does not state its size must not be decoded.
    """
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    start = _first_codestream(data) if data[:12] == _JP2_SIGNATURE else 0
    return _jpeg2000(data, start) if data[start : start + 4] == _J2K_START else None


def _first_codestream(data: bytes) -> int:
    """Return where the first codestream box of a JP2 file has its contents (T.800 I.4)."""
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        header = 8
        if length == 1 and place + 16 <= len(data):
            length, header = struct.unpack_from(">Q", data, place + 8)[0], 16
        if kind == b"jp2c":
            return place + header
        if length < header:  # 0: to the end of the file; anything else is damage
            break
        place += length
    return len(data)


def _jpeg2000(data: bytes, start: int) -> Codestream | None:
    if len(data) < start + 42:
        return None
    right, bottom, left, top, wide, high, tile_left, tile_top, components = struct.unpack_from(
        ">8IH", data, start + 8
    )
    if right <= left or bottom <= top or not wide or not high or not components:
        return None
    if tile_left > left or tile_top > top:  # T.800 B.3 forbids it
        return None
    tiles = -(-(right - tile_left) // wide) * -(-(bottom - tile_top) // high)
    bits = (data[start + 42] & 0x7F) + 1 if len(data) > start + 42 else 8
    return Codestream(right - left, bottom - top, components, tiles, bits=bits)


def _jpeg(data: bytes) -> Codestream | None:
    place = 2
    while place + 10 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker in _FRAME_MARKERS:
            height, width, components = struct.unpack_from(">HHB", data, place + 5)
            if not width or not height or not components:
                return None
            # In entropy-coded data a 0xFF is followed by zero or a restart marker alone.
            scans = data.count(_START_OF_SCAN, place)
            return Codestream(width, height, components, scans=scans, bits=data[place + 4])
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            place += 2
            continue
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None


def rle_size(frame: bytes) -> int:
    """Return the bytes that a DICOM RLE frame unpacks to (PS3.5 annex G), without doing so."""
    count = struct.unpack_from("<I", frame)[0]
    if not 1 <= count <= 15 or len(frame) < 64:
        return 0
    starts = [*struct.unpack_from(f"<{count}I", frame, 4), len(frame)]
    total = 0
    for start, end in itertools.pairwise(starts):
        place, end = max(start, 64), min(end, len(frame))
        while place < end:
            control = frame[place]
            if control < 128:  # a literal run
                total += control + 1
                place += control + 2
            else:  # a repeated byte; 128 means nothing
                total += 257 - control if control > 128 else 0
                place += 2 if control > 128 else 1
    return total
