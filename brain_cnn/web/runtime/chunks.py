"""A body that comes in chunks, taken out of them (RFC 9112, section 7.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gunicorn.http import body as gunicorn_body

_EXTENSION: re.Pattern[bytes] = gunicorn_body.CHUNK_EXT_RE  # type: ignore[attr-defined]


class Chunks:
    """Takes the framing off, and refuses what is not exactly a chunked body.

    Each byte is looked at once, however small the chunks and the pieces are: this runs in the
    event loop, where one client's body would stop all others. gunicorn's own reader, which
    copies the rest of its buffer for each chunk, never sees one.

    Trailers are refused: nothing here reads them, and no client that uploads files sends them.

    Attributes:
        is_whole: whether the end has come.
        is_broken: whether it is no chunked body; what was returned of it is worth nothing.
        rest: bytes behind its end, of a next request.
    """

    _SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*(;[^\r\n]*))?\r\n")
    _SIZE_ALONE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
    _LONGEST_LINE = 16 + 4096 + 2
    # Sizes and line ends may be this many bytes, and an eighth of the content on top.
    _FREE_FRAMING = 1 << 20
    _CONTENT_FOR_FRAMING = 8

    def __init__(self) -> None:
        self.is_whole = self.is_broken = False
        self.rest = b""
        self._left = 0  # bytes of a chunk's data that are still to come
        self._line = bytearray()  # a line that is not whole yet
        self._wants_blank = False  # the line end behind a chunk's data, or behind the last size
        self._last = False
        self._content = self._framing = 0

    def add(self, piece: bytes) -> Iterator[bytes]:
        """Take the next bytes; give what is content."""
        start = 0
        while start < len(piece) and not self.is_broken:
            if self._left:
                data = piece[start : start + self._left]
                start += len(data)
                self._left -= len(data)
                self._content += len(data)
                yield data
                continue
            size = None if self._line or self._wants_blank else self._SIZE_ALONE.match(piece, start)
            if size is not None:
                # A chunk that is all here, in one step: small ones would cost three each.
                end = size.end() + int(size[1], 16)
                if piece[end : end + 2] == b"\r\n" and end > size.end():
                    self._content += end - size.end()
                    self._framing += size.end() - start + 2
                    self._check_line()
                    yield piece[size.end() : end]
                    start = end + 2
                    continue
            end = self._end_of_line(piece, start)
            part = piece[start : end if end > 0 else len(piece)]
            self._line.extend(part)
            self._framing += len(part)
            start += len(part)
            self._check_line()
            if end > 0 and not self.is_broken:
                self._take_line(bytes(self._line))
                self._line.clear()
            if self.is_whole:
                self.rest = piece[start:]
                return

    def _check_line(self) -> None:
        longest = 2 if self._wants_blank else self._LONGEST_LINE
        free = self._FREE_FRAMING + self._content // self._CONTENT_FOR_FRAMING
        self.is_broken = len(self._line) > longest or self._framing > free

    def _take_line(self, line: bytes) -> None:
        if self._wants_blank:
            self._wants_blank = False
            self.is_broken = line != b"\r\n"
            self.is_whole = self._last and not self.is_broken
            return
        found = self._SIZE.fullmatch(line)
        if found is None or (found[2] and not _EXTENSION.fullmatch(found[2])):
            self.is_broken = True
            return
        self._left = int(found[1], 16)
        self._last = not self._left
        self._wants_blank = True

    def _end_of_line(self, piece: bytes, start: int) -> int:
        """Return where the line that goes on at `start` ends; -1 if not in this piece."""
        if self._line.endswith(b"\r") and piece[start : start + 1] == b"\n":
            return start + 1
        found = piece.find(b"\r\n", start)
        return found + 2 if found >= 0 else -1
