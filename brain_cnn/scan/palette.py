"""Segmented palettes of DICOM, measured before they are unfolded (PS3.3 C.7.9.2)."""

from __future__ import annotations

import struct

from brain_cnn.errors import ScanError

# A palette has at most 2^16 entries (PS3.3 C.7.6.3.1.5).
MAX_ENTRIES = 65_536
_MAX_DEPTH = 4
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


def check_segments(data: bytes | None, bits: int, little_endian: bool) -> None:
    """Refuse a segmented table that unfolds to more entries than a palette can have.

    Args:
        data: the table as it is stored; None where there is none.
        bits: 8 or 16, the bits of one number in it.
        little_endian: the order of its bytes.

    Raises:
        ScanError: 422, it is too large.
    """
    if not data:
        return
    order = "<" if little_endian else ">"
    size = 1 if bits == 8 else 2
    count = len(data) // size
    numbers = struct.unpack(f"{order}{count}{'B' if size == 1 else 'H'}", data[: count * size])
    _Walk(numbers, size, little_endian).unfold(0, None, 0)


class _Walk:
    """Follows the segments of one table, as pydicom does, and adds up what they would make."""

    def __init__(self, numbers: tuple[int, ...], size: int, little_endian: bool) -> None:
        self._numbers = numbers
        # The numbers that hold an offset of 32 bits, from its highest part to its lowest.
        parts = (1, 0) if size == 2 else (3, 2, 1, 0) if little_endian else (2, 3, 0, 1)
        self._parts, self._shift = parts, 16 if size == 2 else 8
        self._work = 0

    def unfold(self, place: int, segments: int | None, depth: int) -> None:
        """Follow `segments` segments from `place` on, or all to the end."""
        numbers, done = self._numbers, 0
        if depth > _MAX_DEPTH:
            raise _too_large()
        while place + 1 < len(numbers) and done != segments:
            kind, length = numbers[place : place + 2]
            place += 2
            if kind == _DISCRETE:
                self._add(length)
                place += length
            elif kind == _LINEAR:
                self._add(length)
                place += 1
            elif kind == _INDIRECT and place + len(self._parts) <= len(numbers):
                self._add(1)
                self.unfold(self._offset(place), length, depth + 1)
                place += len(self._parts)
            else:  # not a table that can be unfolded: the reader will say so
                return
            done += 1

    def _offset(self, place: int) -> int:
        value = 0
        for part in self._parts:
            value = value << self._shift | self._numbers[place + part]
        return value

    def _add(self, entries: int) -> None:
        # A segment without entries is work too.
        self._work += max(entries, 1)
        if self._work > MAX_ENTRIES:
            raise _too_large()


def _too_large() -> ScanError:
    return ScanError(
        "damaged-dicom",
        "The segmented colour table of the DICOM file unfolds to more than "
        f"{MAX_ENTRIES:,} entries, the most that a table has.",
        "Export it again from the program that it came from.",
    )
