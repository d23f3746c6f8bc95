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

# The slowest honest upload; each second of patience beyond the first needs this many bytes.
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
        patience_s: time for the head; a body gets more for its size.
        first: bytes that are here already.

    Attributes:
        part: how far it is.
        size: bytes that are kept.
        deadline: `time.monotonic()` until which it may arrive.
        discards: whether the body is thrown away, since it is too large.
        wants_continue: whether the client waits for "100 Continue".
    """

    def __init__(self, max_body: int, patience_s: float, first: bytes = b"") -> None:
        self._max_body = max_body
        self._head = bytearray()
        self._pieces: list[bytes] = []
        self._left = 0  # bytes of the body that are still to come
        self._chunks: Chunks | None = None
        self._thrown = 0
        self.part = Part.HEAD
        self.size = 0
        self.deadline = time.monotonic() + patience_s
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
        return [b"".join((self._head, *self._pieces[:1])), *self._pieces[1:]]

    def _read_head(self) -> None:
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
        kept = 0 if self.discards else self._left
        self.deadline += kept / SLOWEST_BYTES_PER_S
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
            self._pieces.append(piece)
            return
        # Read on for a while, or the client, still sending, never sees the answer.
        self._thrown += len(piece)
        if self._thrown > 4 * self._max_body:
            self.part = Part.WHOLE


class Chunks:
    """Finds the end of a body with `Transfer-Encoding: chunked`."""

    _LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[^\n]{0,4096}\r\n")

    def __init__(self) -> None:
        self._skip = 0  # bytes of a chunk's data, and its line end, that are still to come
        self._rest = b""  # a line that is not whole yet
        self._last = False

    def add(self, piece: bytes) -> bool:
        """Take the next bytes; True once the body is whole, or is no chunked body at all."""
        if self._skip >= len(piece):
            self._skip -= len(piece)
            return False
        data, self._skip = self._rest + piece[self._skip :], 0
        while True:
            if self._last:  # trailers, which an empty line ends
                line, end, data = data.partition(b"\r\n")
                if not end:
                    self._rest = line
                    return len(line) > MAX_HEAD
                if not line:
                    return True
                continue
            found = self._LINE.match(data)
            if found is None:
                self._rest = data
                return b"\r\n" in data or len(data) > MAX_HEAD
            size, data = int(found[1], 16), data[found.end() :]
            if size == 0:
                self._last = True
            elif size + 2 > len(data):
                self._skip, self._rest = size + 2 - len(data), b""
                return False
            else:
                data = data[size + 2 :]
