"""Connections that were answered and wait for the client to close them."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

LINGER_S = 2.0
_MOST = 1000


class Lingering:
    """Closes a connection once the client has closed it too, or after a while.

    Closed at once, with bytes of the client unread, it would be reset and the answer lost.
    gunicorn waits for that in the event loop, where one client stops all others.

    Args:
        close: closes a connection at last.
    """

    def __init__(self, close: Callable[[Any], None]) -> None:
        self._close = close
        self._deadlines: dict[Any, float] = {}
        self._pollers: dict[Any, selectors.BaseSelector] = {}

    @property
    def is_full(self) -> bool:
        """Whether so many wait that refused ones are better closed at once."""
        return len(self._deadlines) >= _MOST

    def add(self, conn: Any, poller: selectors.BaseSelector) -> None:
        """Wait for the end of a connection, watched by `poller`."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_readable, conn))
        except (OSError, ValueError):
            self._close(conn)
            return
        self._deadlines[conn] = time.monotonic() + LINGER_S
        self._pollers[conn] = poller
        self._on_readable(conn, None)

    def end_late(self, now: float) -> None:
        """Close those whose clients have not closed in time."""
        for conn in [c for c, deadline in self._deadlines.items() if deadline < now]:
            self._end(conn)

    def _on_readable(self, conn: Any, _: Any) -> None:
        try:
            if conn.sock.recv(1 << 16):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self._end(conn)

    def _end(self, conn: Any) -> None:
        del self._deadlines[conn]
        self._pollers.pop(conn).unregister(conn.sock)
        self._close(conn)
