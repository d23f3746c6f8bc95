"""A request that is still arriving: what came so far, and whether that is all of it.

This only decides when a request is handed over; gunicorn's parser, which knows HTTP, reads it
then. Where the two disagree, the parser's thread waits for more, for a bounded time.
"""

from __future__ import annotations

import re
import time
from enum import Enum, auto

# A head longer than this is handed over as it is: the parser has its own, smaller limit.
MAX_HEAD = 256 * 1024

# Pieces of a body that are shorter are put together: each piece costs memory of its own.
SHORT_PIECE = 64 * 1024

# The slowest honest upload: a body that comes slower uses its patience up.
SLOWEST_BYTES_PER_S = 64 * 1024

_FIELD = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE
)


class Part(Enum):
    """How far a request is."""

    HEAD = auto()
    BODY = auto()
    WHOLE = auto()


class Arrival:
    """The bytes of one request, as they come.

    Args:
        max_body: a longer body is not kept.
        patience_s: time for the head, and how far a body may fall behind the slowest honest
            upload. What came fast is no credit for a longer stop.
        first: bytes that are here already.

    Attributes:
        part: how far it is.
        size: bytes that are kept.
        deadline: `time.monotonic()` until which more has to arrive.
        has_head: whether the head is whole.
        has_body: whether the head says that a body follows.
        discards: whether the body is thrown away, since it is too large.
        wants_continue: whether the client waits for "100 Continue".
    """

    def __init__(self, max_body: int, patience_s: float, first: bytes = b"") -> None:
        self._max_body = max_body
        self._head = bytearray()
        self._pieces: list[bytes | bytearray] = []  # short ones are collected in the last
        self._left = 0  # bytes of the body that are still to come
        self._chunks: Chunks | None = None
        self._thrown = 0
        self.part = Part.HEAD
        self.size = 0
        self._patience_s = patience_s
        self._latest = float("inf")
        self.deadline = time.monotonic() + patience_s
        self.has_head = self.has_body = False
        self.discards = False
        self.wants_continue = False
        if first:
            self.add(first)

    @property
    def wanted(self) -> int:
        """How many bytes to read at once."""
        if self.part is Part.BODY and self._chunks is None:
            return min(self._left, 1 << 20)
        return 1 << 16

    def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        if self.part is Part.HEAD:
            self.size += len(piece)
            # A blank line may be split between two pieces.
            searched = max(0, len(self._head) - 3)
            self._head += piece
            end = self._head.find(b"\r\n\r\n", searched)
            if end >= 0:
                body = bytes(self._head[end + 4 :])
                del self._head[end + 4 :]
                self.size -= len(body)
                self._read_head()
                if body:
                    self._add_body(body)
            elif len(self._head) > MAX_HEAD:
                self.part = Part.WHOLE
        else:
            self._add_body(piece)

    def end_by(self, latest: float) -> None:
        """Let it arrive until `latest` (`time.monotonic()`) at most."""
        self._latest = latest
        self.deadline = min(self.deadline, latest)

    def give_up_body(self) -> None:
        """Throw the body away, what came of it and what will come."""
        self.discards = True
        self._thrown += sum(len(piece) for piece in self._pieces)
        self._pieces.clear()
        self.size = len(self._head)

    def pieces(self) -> list[bytes]:
        """Return what is handed over.

        The head of a body that was thrown away says that the connection ends: where the next
        request begins is not known.
        """
        if self.discards:
            line, _, rest = bytes(self._head).partition(b"\r\n")
            return [line + b"\r\nConnection: close\r\n" + rest]
        # In one piece with what follows it: the parser looks for a next request only where it
        # found the end of this one.
        return [b"".join((self._head, *self._pieces[:1])), *map(bytes, self._pieces[1:])]

    def _read_head(self) -> None:
        self.has_head = True
        fields = {m[1].lower(): m[2].strip() for m in _FIELD.finditer(bytes(self._head))}
        length = fields.get(b"content-length", b"0")
        if b"transfer-encoding" in fields:
            self._chunks = Chunks()
        elif not (length.isdigit() and len(length) < 20) or int(length) == 0:
            self.part = Part.WHOLE
            return
        else:
            self._left = int(length)
            self.discards = self._left > self._max_body
        self.part = Part.BODY
        self.has_body = True
        self.wants_continue = fields.get(b"expect", b"").lower() == b"100-continue"

    def _add_body(self, piece: bytes) -> None:
        if self._chunks is not None:
            if self._chunks.add(piece):
                self.part = Part.WHOLE
            elif self.size + len(piece) > self._max_body:
                self.give_up_body()
        elif self.part is Part.BODY:
            self._left -= len(piece)
            if self._left <= 0:
                self.part = Part.WHOLE
        if not self.discards:
            self.size += len(piece)
            self._keep(piece)
            return
        # Read on for a while, or the client, still sending, never sees the answer.
        self._thrown += len(piece)
        if self._thrown > 4 * self._max_body:
            self.part = Part.WHOLE

    def _keep(self, piece: bytes) -> None:
        """Keep a piece of the body, a short one together with those before it."""
        later = self.deadline + len(piece) / SLOWEST_BYTES_PER_S
        self.deadline = min(later, time.monotonic() + self._patience_s, self._latest)
        last = self._pieces[-1] if self._pieces else b""
        if len(piece) >= SHORT_PIECE:
            self._pieces.append(piece)
        elif isinstance(last, bytearray) and len(last) < SHORT_PIECE:
            last.extend(piece)
        else:
            self._pieces.append(bytearray(piece))


class Chunks:
    """Finds the end of a body with `Transfer-Encoding: chunked`.

    Each byte is looked at once, however small the chunks and the pieces are: this runs in the
    event loop, where one client's body would stop all others.
    """

    _SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[^\n]{0,4096}\r\n")
    _LONGEST_SIZE = 16 + 4096 + 2

    def __init__(self) -> None:
        self._skip = 0  # bytes of a chunk's data, and its line end, that are still to come
        self._line = bytearray()  # a line that is not whole yet
        self._last = False

    def add(self, piece: bytes) -> bool:
        """Take the next bytes; True once the body is whole, or is no chunked body at all."""
        start = 0
        while start < len(piece):
            if self._skip:
                taken = min(self._skip, len(piece) - start)
                self._skip -= taken
                start += taken
                continue
            end = self._end_of_line(piece, start)
            if end < 0:
                self._line.extend(piece[start:])
                return len(self._line) > (MAX_HEAD if self._last else self._LONGEST_SIZE)
            line = bytes(self._line) + piece[start:end]
            self._line.clear()
            start = end
            if self._last:  # trailers, which an empty line ends
                if line == b"\r\n":
                    return True
                continue
            found = self._SIZE.fullmatch(line)
            if found is None:
                return True
            size = int(found[1], 16)
            self._last = size == 0
            self._skip = size + 2 if size else 0
        return False

    def _end_of_line(self, piece: bytes, start: int) -> int:
        """Return where the line that goes on at `start` ends; -1 if not in this piece."""
        if self._line.endswith(b"\r") and piece[start : start + 1] == b"\n":
            return start + 1
        found = piece.find(b"\r\n", start)
        return found + 2 if found >= 0 else -1
