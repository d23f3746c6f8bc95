"""A gunicorn worker that a slow client cannot hold: threads get whole requests only.

gunicorn's own `gthread` reads a request in the thread that answers it, so as many clients as
there are threads, each sending a byte now and then, stop the server. Here the worker's event
loop collects each request, any number of them at once, and a thread sees it when all of it is
in memory. What arrives too slowly is dropped; what does not fit into memory is refused.

Built on the inside of gunicorn's `ThreadWorker`, hence the narrow range of versions in
requirements-serve.txt. TLS ends in the proxy in front; a worker told to speak it itself works
like `gthread`.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from brain_cnn.web.runtime.queue import BUDGET, ByteBudget
from brain_cnn.web.runtime.request_buffer import Arrival, Part

# More connections that have sent a part of a request: the oldest one is dropped.
MOST_ARRIVING = 2000
# More connections that are kept open without a request: the answer closes them.
MOST_KEPT = 1000
# For sending an answer as a whole, and for reading what the parser waits for against our count.
PATIENCE_S = 60.0
# Requests that arrive while the worker stops.
_STOP_S = 5.0
_LINGER_S = 2.0
_LOOK_S = 0.5
# Bytes that are read from one connection before the others are looked after.
_TURN = 4 << 20

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


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


class PatientWorker(ThreadWorker):
    """`gthread`, with requests collected before a thread gets them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_keepalived: int = min(self.cfg.worker_connections - self.cfg.threads, MOST_KEPT)
        # The one that has been arriving longest is first.
        self._arriving: dict[Any, Arrival] = {}
        self._lingering: dict[Any, float] = {}
        self._next_look = 0.0
        self._is_stopping = False

    @property
    def _budget(self) -> ByteBudget:
        return self.wsgi.extensions[BUDGET]

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, and what it has sent already."""
        if self.cfg.is_ssl:
            super().accept(listener)
        else:
            self._take_connection(listener)

    def _take_connection(self, listener: socket.socket) -> bool:
        """Take the next connection; False if none waits."""
        try:
            plain, address = listener.accept()
        except OSError as error:
            if error.errno == errno.ECONNABORTED:
                return True
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                return False
            raise
        self.nr_conns += 1
        sock = PatientSocket(fileno=plain.detach())
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        conn.data_ready = True
        conn.held_bytes = 0
        if len(self._arriving) >= MOST_ARRIVING:
            self._drop(next(iter(self._arriving)))
        self.enqueue_req(conn)
        return True

    def enqueue_req(self, conn: Any) -> None:
        """Collect the next request of a connection; a thread gets it when it is whole."""
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        # Of a client that sends requests without waiting for answers, a part may be here.
        first = conn.parser.unreader.take_buffered() if conn.initialized else b""
        conn.sock.setblocking(False)
        config = self.wsgi.config
        arrival = Arrival(config["MAX_CONTENT_LENGTH"], config["READ_SECONDS"], first)
        if not self._collect(conn, arrival):
            self._arriving[conn] = arrival
            self.poller.register(
                conn.sock, selectors.EVENT_READ, partial(self._on_arriving, conn, arrival)
            )

    def _on_arriving(self, conn: Any, arrival: Arrival, _: Any) -> None:
        # It may have been dropped, for room, by another event of the same turn.
        if self._arriving.get(conn) is arrival and self._collect(conn, arrival):
            self._forget(conn)

    def _collect(self, conn: Any, arrival: Arrival) -> bool:
        """Read what is there; True if the connection needs no more watching."""
        turn = 0
        while arrival.part is not Part.WHOLE:
            wanted = arrival.wanted
            try:
                piece = conn.sock.recv(wanted)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                piece = b""
            if not piece:  # the client is gone, in the middle of its request
                self._close(conn)
                return True
            arrival.add(piece)
            if arrival.wants_continue and arrival.part is Part.BODY:
                arrival.wants_continue = False
                _send_what_fits(conn.sock, _CONTINUE)
            self._count(conn, arrival)
            turn += len(piece)
            if (len(piece) < wanted or turn > _TURN) and arrival.part is not Part.WHOLE:
                return False  # the rest is not here yet, or the others' turn has come
        self._hand_over(conn, arrival)
        return True

    def _count(self, conn: Any, arrival: Arrival) -> None:
        """Book the bytes that were kept; make room, or keep none of the body."""
        more = arrival.size - conn.held_bytes
        while more > 0 and not self._budget.take(more):
            oldest = next((c for c, a in self._arriving.items() if a.part is Part.BODY), conn)
            if oldest is conn:
                arrival.give_up_body()
                arrival.part = Part.WHOLE
                conn.sock.refused = True
                self._budget.give_back(conn.held_bytes)
                conn.held_bytes = 0
                return
            self._forget(oldest)
            self._close(oldest)
        if more < 0:  # it grew too large and was thrown away
            self._budget.give_back(-more)
        conn.held_bytes = arrival.size

    def _hand_over(self, conn: Any, arrival: Arrival) -> None:
        """Give a whole request to a thread."""
        if not conn.initialized:
            conn.init()
            conn.parser.unreader = HeldUnreader(conn.sock)
        conn.parser.unreader.held.extend(arrival.pieces())
        conn.parser.unreader.ended = arrival.discards
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Future) -> None:
        """Give the bytes of an answered request back; wait for the next one, or close."""
        if self.cfg.is_ssl:
            super().finish_request(conn, fs)
            return
        self._give_back(conn)
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._linger(conn)

    def _linger(self, conn: Any) -> None:
        """Close a connection once the client has closed it too, or after a while.

        Closed at once, with bytes of the client unread, it would be reset and the answer lost.
        gunicorn waits for that in the event loop, where one client stops all others.
        """
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_linger, conn))
        except (OSError, ValueError):
            self._close(conn)
            return
        self._lingering[conn] = time.monotonic() + _LINGER_S
        self._on_linger(conn, None)

    def _on_linger(self, conn: Any, _: Any) -> None:
        try:
            if conn.sock.recv(1 << 16):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self._end_linger(conn)

    def _end_linger(self, conn: Any) -> None:
        del self._lingering[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)

    def murder_pending(self) -> None:
        """Drop the requests that arrive too slowly; called in every turn of the loop."""
        super().murder_pending()
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_S
        if not self.alive and not self._is_stopping:
            self._stop_listening()
            for arrival in self._arriving.values():
                arrival.deadline = min(arrival.deadline, now + _STOP_S)
        for conn in [c for c, arrival in self._arriving.items() if arrival.deadline < now]:
            self._drop(conn)
        for conn in [c for c, deadline in self._lingering.items() if deadline < now]:
            self._end_linger(conn)

    def _stop_listening(self) -> None:
        """Take the connections that the kernel has accepted for us already, and no more.

        gunicorn leaves them waiting until the end, and resets them then.
        """
        self._is_stopping = True
        if self.cfg.is_ssl:
            return
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.setblocking(False)
            while self._take_connection(listener):
                pass
            listener.close()

    def _drop(self, conn: Any) -> None:
        self._forget(conn)
        _send_what_fits(conn.sock, _TOO_SLOW)
        self._close(conn)

    def _forget(self, conn: Any) -> None:
        """Stop watching a connection."""
        if self._arriving.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)

    def _close(self, conn: Any) -> None:
        self._give_back(conn)
        self.nr_conns -= 1
        conn.close()

    def _give_back(self, conn: Any) -> None:
        self._budget.give_back(conn.held_bytes)
        conn.held_bytes = 0


def _send_what_fits(sock: socket.socket, data: bytes) -> None:
    """Send without waiting; a client that does not take it misses it."""
    try:
        sock.send(data)
    except OSError:
        return
