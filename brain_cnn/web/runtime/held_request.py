"""A socket and a reader for gunicorn's parser, of a request that is in memory already."""

from __future__ import annotations

import errno
import socket
from collections import deque

from gunicorn.http.unreader import SocketUnreader

# For sending an answer as a whole, and for reading what the parser waits for against our count.
PATIENCE_S = 60.0


class PatientSocket(socket.socket):
    """A socket whose blocking calls end after `PATIENCE_S`; `sendall` as a whole, too.

    Attributes:
        counted: whether the request's bytes are in the budget already.
        refused: whether there was no room for its body.
    """

    counted = True
    refused = False

    def setblocking(self, flag: bool) -> None:
        """Make calls wait for a bounded time, or not at all."""
        self.settimeout(PATIENCE_S if flag else 0.0)


class HeldUnreader(SocketUnreader):
    """Gives the parser what was collected, then, if it wants more, what the socket has."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.held: deque[bytes] = deque()
        self.ended = False

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes; b"" at the end of what there is."""
        if self.held:
            return self.held.popleft()
        if self.ended:
            return b""
        try:
            return super().chunk(size_hint)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client is too slow") from None
