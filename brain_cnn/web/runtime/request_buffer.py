"""A request that is still arriving: what came so far, and whether that is all of it.

gunicorn's parser, which knows HTTP, reads the head (`request_head`) and later, in a thread, the
whole. A body that comes in chunks is handed over with its length instead. So the two cannot
disagree about where a request ends, and what is handed over lacks nothing.
"""

from __future__ import annotations

import re
import time
from enum import Enum, auto

from brain_cnn.web.runtime.chunks import Chunks
from brain_cnn.web.runtime.early_answers import BAD_REQUEST, HEAD_TOO_LARGE, URI_TOO_LONG
from brain_cnn.web.runtime.request_head import HeadReader, RefusedHead, read_head, with_length

# A longer head is refused.
MAX_HEAD = 256 * 1024

# Pieces of a body that are shorter are put together: each piece costs memory of its own.
SHORT_PIECE = 64 * 1024

# The slowest honest upload: a body that comes slower uses its patience up.
SLOWEST_BYTES_PER_S = 64 * 1024

# Ends no line of a head (RFC 9112, section 2.2): one that has it will never be whole.
_BARE_LF = re.compile(rb"(?<!\r)\n")


class Part(Enum):
    """How far a request is."""

    HEAD = auto()
    BODY = auto()
    WHOLE = auto()


class RequestBuffer:
    """The bytes of one request, as they come.

    Args:
        max_body: a longer body is not kept.
        patience_s: time for the head, and how far a body may fall behind the slowest honest
            upload. What came fast is no credit for a longer stop.
        first: bytes that are here already.
        reader: of its head.

    Attributes:
        part: how far it is.
        refusal: the code of what is wrong with it (`early_answers`), "" where nothing is; a
            refused request is over, and nothing of it is kept.
        size: bytes that are kept.
        deadline: `time.monotonic()` until which more has to arrive.
        has_head: whether the head is whole.
        has_body: whether the head says that a body follows.
        discards: whether the body is thrown away, since it is too large.
        wants_continue: whether the client waits for "100 Continue".
    """

    def __init__(
        self,
        max_body: int,
        patience_s: float,
        first: bytes = b"",
        reader: HeadReader = read_head,
    ) -> None:
        self._max_body = max_body
        self._reader = reader
        self._head = bytearray()
        self._pieces: list[bytes | bytearray] = []  # short ones are collected in the last
        self._left = 0  # bytes of the body that are still to come
        self._chunks: Chunks | None = None
        self._thrown = 0
        self.part = Part.HEAD
        self.refusal = ""
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
    def is_whole(self) -> bool:
        """Whether it wants no more bytes."""
        return self.part is Part.WHOLE

    @property
    def wanted(self) -> int:
        """How many bytes to read at once."""
        if self.part is Part.BODY and self._chunks is None:
            return min(self._left, 1 << 20)
        return 1 << 16

    def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        if self.part is not Part.HEAD:
            self._add_body(piece)
            return
        self.size += len(piece)
        # A blank line may be split between two pieces.
        searched = max(0, len(self._head) - 3)
        self._head += piece
        found = self._head.find(b"\r\n\r\n", searched)
        end = found + 4 if found >= 0 else len(self._head)
        if end > MAX_HEAD:
            one_line = self._head.find(b"\r\n", 2, MAX_HEAD) < 0
            self._refuse(URI_TOO_LONG if one_line else HEAD_TOO_LARGE)
        elif _BARE_LF.search(self._head, searched, end):
            self._refuse(BAD_REQUEST)
        elif found >= 0:
            body = bytes(self._head[end:])
            del self._head[end:]
            self.size -= len(body)
            self._read_head()
            if body and not self.refusal:
                self._add_body(body)

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
        head = bytes(self._head)
        if self._chunks is not None:
            # Of a body that was thrown away at least so much that it is found too large.
            length = sum(map(len, self._pieces))
            head = with_length(
                head, max(self._thrown, self._max_body + 1) if self.discards else length
            )
        if self.discards:
            line, _, rest = head.removeprefix(b"\r\n").partition(b"\r\n")
            return [line + b"\r\nConnection: close\r\n" + rest]
        # In one piece with what follows it: the parser looks for a next request only where it
        # found the end of this one.
        first, *others = self._pieces or [b""]
        pieces = [head + first, *map(bytes, others)]
        if self._chunks is not None:
            pieces[-1] += self._chunks.rest
        return pieces

    def _refuse(self, code: str) -> None:
        """End it; keep nothing."""
        self.refusal = code
        self.part = Part.WHOLE
        self._pieces.clear()
        self._head.clear()
        self.size = 0

    def _read_head(self) -> None:
        try:
            head = self._reader(bytes(self._head))
        except RefusedHead as refused:
            self._refuse(refused.code)
            return
        self.has_head = True
        if head.length == 0:
            self.part = Part.WHOLE
            return
        if head.length is None:
            self._chunks = Chunks()
        else:
            self._left = head.length
            self.discards = self._left > self._max_body
        self.part = Part.BODY
        self.has_body = True
        self.wants_continue = head.wants_continue

    def _add_body(self, piece: bytes) -> None:
        if self._chunks is not None:
            piece = b"".join(self._chunks.add(piece))
            if self._chunks.is_broken:
                self._refuse(BAD_REQUEST)
                return
            if self._chunks.is_whole:
                self.part = Part.WHOLE
            if not self.discards and self.size + len(piece) > self._max_body + len(self._head):
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
        if not piece:
            return
        later = self.deadline + len(piece) / SLOWEST_BYTES_PER_S
        self.deadline = min(later, time.monotonic() + self._patience_s, self._latest)
        last = self._pieces[-1] if self._pieces else b""
        if len(piece) >= SHORT_PIECE:
            self._pieces.append(piece)
        elif isinstance(last, bytearray) and len(last) < SHORT_PIECE:
            last.extend(piece)
        else:
            self._pieces.append(bytearray(piece))
