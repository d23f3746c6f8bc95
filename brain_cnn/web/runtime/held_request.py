"""A connection, its socket and its reader, of a request that is in memory already."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable

from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

# For sending an answer as a whole.
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
    """Gives the parser what was collected, and nothing from the socket: no thread waits."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.held: deque[bytes] = deque()

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes; b"" at the end of what there is."""
        return self.held.popleft() if self.held else b""


class PatientConn(TConn):
    """gunicorn's connection, and what we count of it.

    Attributes:
        client_key: what stands for the client, "" where clients have no shares.
        held_bytes: bytes of its request that the budget counts.
        shared_bytes: those that the client's share counts.
    """

    sock: PatientSocket
    client_key: str = ""
    held_bytes: int = 0
    shared_bytes: int = 0

    def take_unread(self) -> bytes:
        """Return what the client sent behind its last request, without waiting for answers."""
        reader = self._reader()
        return reader.take_buffered() if reader is not None else b""

    def hand_over(self, pieces: Iterable[bytes]) -> None:
        """Give the parser the bytes of a whole request."""
        reader = self._reader()
        if reader is None:
            self.init()
            assert isinstance(self.parser, RequestParser)
            reader = self.parser.unreader = HeldUnreader(self.sock)
        reader.held.extend(pieces)

    def _reader(self) -> HeldUnreader | None:
        reader = self.parser.unreader if isinstance(self.parser, RequestParser) else None
        return reader if isinstance(reader, HeldUnreader) else None
