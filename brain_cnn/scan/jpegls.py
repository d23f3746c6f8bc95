"""A check of JPEG-LS streams, which finds one that would keep CharLS busy for seconds.

Where the bits of a scan run out in the middle of a run of zeros, CharLS (2.4 and before)
counts its remaining bits below zero and goes on until the number overflows: about 5 seconds
in C, whatever the size of the picture. So each scan is decoded once with one more byte behind
it, seven zeros and a one. Such a run ends at the one, and the decoder says at once which of
two things is true: the picture was complete and bits are left over (a sound stream), or the
last bit was used up and perhaps more were wanted (a damaged one).
"""

from __future__ import annotations

import jpeg_ls

_SCAN = b"\xff\xda"  # start of scan (T.87 C.1.1)
_STOP = b"\x01"
# What CharLS says of a picture that is complete with bits left over.
_COMPLETE = "still contains encoded data"
# A picture has one scan, or one for each colour.
_MOST_SCANS = 4


def is_sound(stream: bytes) -> bool:
    """Whether the scans of a JPEG-LS stream hold all the bits that their picture needs."""
    ends = _ends_of_scans(stream)
    if not 1 <= len(ends) <= _MOST_SCANS:
        return False
    return all(_is_complete(stream[:end] + _STOP + stream[end:]) for end in ends)


def _is_complete(stream: bytes) -> bool:
    try:
        jpeg_ls.decode_pixel_data(stream)
    except Exception as error:  # CharLS gives one class for all that can be wrong
        return _COMPLETE in str(error)
    return False  # nothing is left: the picture needed what we put behind it


def _ends_of_scans(stream: bytes) -> list[int]:
    """Return where the bits of each scan end: at the next marker, or with the stream."""
    ends: list[int] = []
    place = stream.find(_SCAN)
    while 0 <= place < len(stream) - 4 and len(ends) <= _MOST_SCANS:
        place += 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        # Within a scan a set bit follows 0xFF never (T.87 A.1): a marker does.
        while True:
            place = stream.find(b"\xff", place)
            if place < 0 or place + 1 >= len(stream):
                return [*ends, len(stream)]
            if stream[place + 1] & 0x80:
                break
            place += 1
        ends.append(place)
        place = stream.find(_SCAN, place)
    return ends
