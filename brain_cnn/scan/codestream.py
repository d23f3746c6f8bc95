"""Width and height that a compressed image states itself, read before it is decoded.

A DICOM header may say 64 x 64 and hold a JPEG of 60,000 x 60,000: the decoder would believe
the JPEG. One call into a decoder cannot be stopped, so its size is checked first.
"""

from __future__ import annotations

import itertools
import struct

# Start-of-frame markers of JPEG (T.81 table B.1) and of JPEG-LS (T.87 C.2.2).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_J2K_START = b"\xff\x4f\xff\x51"  # SOC, SIZ (T.800 A.4.1, A.5.1)


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream.

    None if there is no header; an image that does not state its size must not be decoded.
    """
    start = data.find(_J2K_START, 0, 4096)  # also inside a JP2 box, which some files hold
    if start >= 0:
        if len(data) < start + 24:
            return None
        right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
        return (right - left, bottom - top) if right > left and bottom > top else None
    return _jpeg_size(data) if data[:2] == b"\xff\xd8" else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return (width, height) if width and height else None
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
