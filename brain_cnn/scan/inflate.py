"""Deflated bytes -> bytes, within the limits, without more memory than the result takes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from brain_cnn.errors import ScanError
from brain_cnn.scan.types import ScanLimits

GZIP = 31
RAW = -zlib.MAX_WBITS
"""How the stream is framed, as zlib's `wbits`."""

_PIECE = 1 << 20
# What is handed over at once: what lies behind the end of a member is copied each time.
_STEP = 1 << 16
_MAGIC = b"\x1f\x8b"
# bgzip writes a member for every 64 KiB: 4,096 of them for the largest file that is read.
MAX_MEMBERS = 32_768


class CutOff(Exception):
    """The stream ends before its end."""


def inflate(data: bytes, start: int, framing: int, limits: ScanLimits) -> bytes | bytearray:
    """Unpack the stream that begins at `start`; of gzip all members, one after the other.

    It is gone through twice: first to see how long it is, so that what is refused takes no
    memory and what is not takes its own length and no more.

    Raises:
        ScanError: 413 it unpacks to too much, or has too many members.
        CutOff, zlib.error: it is damaged.
    """
    unpacked = 0
    for piece in _pieces(data, start, framing):
        unpacked += len(piece)
        limits.check_unpacked(len(data), unpacked)
    inflater = zlib.decompressobj(framing)
    whole = inflater.decompress(memoryview(data)[start:], unpacked + 1)
    if len(whole) == unpacked:
        return whole
    del whole
    result = bytearray(unpacked)
    place = 0
    for piece in _pieces(data, start, framing):
        result[place : place + len(piece)] = piece
        place += len(piece)
    return result


def _pieces(data: bytes, start: int, framing: int) -> Iterator[bytes]:
    view = memoryview(data)
    place, members = start, 0
    while members == 0 or (framing == GZIP and view[place : place + 2] == _MAGIC):
        members += 1
        if members > MAX_MEMBERS:
            raise ScanError(
                "too-many-members",
                f"The gzip has more than {MAX_MEMBERS:,} members, the limit.",
                "Pack it again with an ordinary program.",
                status=413,
            )
        inflater = zlib.decompressobj(framing)
        while not inflater.eof:
            packed: bytes | memoryview = view[place : place + _STEP]
            if not packed:
                raise CutOff
            place += len(packed)
            while packed and not inflater.eof:
                yield inflater.decompress(packed, _PIECE)
                packed = inflater.unconsumed_tail
        place -= len(inflater.unused_data)


def gunzip_head(data: bytes, length: int) -> bytes:
    """Return the first `length` unpacked bytes of a gzip as far as `data`, its start, goes."""
    head = b""
    try:
        while data[:2] == _MAGIC and len(head) < length:
            inflater = zlib.decompressobj(GZIP)
            head += inflater.decompress(data, length - len(head))
            data = inflater.unused_data
    except zlib.error:
        return head
    return head
