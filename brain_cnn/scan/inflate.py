"""Deflated bytes -> bytes, within the limits, without more memory than the result takes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from brain_cnn.scan.types import ScanLimits

GZIP = 31
RAW = -zlib.MAX_WBITS
"""How the stream is framed, as zlib's `wbits`."""

_PIECE = 1 << 20


class CutOff(Exception):
    """The stream ends before its end."""


def inflate(data: bytes, start: int, framing: int, limits: ScanLimits) -> bytes:
    """Unpack the stream that begins at `start`.

    It is gone through twice: first to see how long it is, so that what is refused takes no
    memory and what is not takes its own length and no more.

    Raises:
        ScanError: 413 it unpacks to too much.
        CutOff, zlib.error: it is damaged.
    """
    unpacked = 0
    for piece in _pieces(data, start, framing):
        unpacked += len(piece)
        limits.check_unpacked(len(data), unpacked)
    inflater = zlib.decompressobj(framing)
    return inflater.decompress(memoryview(data)[start:], unpacked + 1)


def _pieces(data: bytes, start: int, framing: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(framing)
    view = memoryview(data)
    for place in range(start, len(data), _PIECE):
        packed: bytes | memoryview = view[place : place + _PIECE]
        while packed and not inflater.eof:
            yield inflater.decompress(packed, _PIECE)
            packed = inflater.unconsumed_tail
    if not inflater.eof:
        raise CutOff
