"""A gunicorn worker that a slow client cannot hold: threads get whole requests only.

gunicorn's own `gthread` reads a request in the thread that answers it, so as many clients as
there are threads, each sending a byte now and then, stop the server. Here the worker's event
loop collects each request, any number of them at once, and a thread sees it when all of it is
in memory.

What arrives too slowly gets 408. What does not fit gets 503: the newest unfinished upload, so
that those before it come through. A client that holds many slow uploads has only its share of
the connections and the memory (`shares`). Behind a declared proxy all clients have one
address and no shares: there the proxy has to collect requests.

Built on the inside of gunicorn's `ThreadWorker`, hence the narrow range of versions. TLS ends in
the proxy in front; a worker told to speak it itself works like `gthread`.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from concurrent.futures import Future
from functools import cached_property, partial
from typing import Any, cast

from flask import Flask
from gunicorn.workers.gthread import ThreadWorker

from brain_cnn.web.runtime.early_answers import (
    CONTINUE,
    FAILED,
    MEMORY_FULL,
    TOO_MANY,
    TOO_SLOW,
    early_answer,
    send_what_fits,
)
from brain_cnn.web.runtime.held_request import PatientConn, PatientSocket
from brain_cnn.web.runtime.housekeeping import Housekeeping
from brain_cnn.web.runtime.lingering import Lingering
from brain_cnn.web.runtime.metrics import metrics_of
from brain_cnn.web.runtime.queue import BUDGET, ByteBudget
from brain_cnn.web.runtime.request_buffer import MAX_HEAD, Part, RequestBuffer
from brain_cnn.web.runtime.request_head import read_head, refusal_of
from brain_cnn.web.runtime.shares import SHARE, Shares, client_key

# Connections that have sent a part of a request; a further one is refused.
MOST_ARRIVING = 2000
# More connections that are kept open without a request: the answer closes them.
MOST_KEPT = 1000
# Requests that arrive while the worker stops.
_STOP_S = 5.0
_LOOK_S = 0.5
# Bytes that are read from one connection before the others are looked after.
_TURN = 4 << 20


class PatientWorker(ThreadWorker):
    """`gthread`, with requests collected before a thread gets them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_keepalived: int = min(self.cfg.worker_connections - self.cfg.threads, MOST_KEPT)
        # The newest is last.
        self._arriving: dict[PatientConn, RequestBuffer] = {}
        self._lingering = Lingering(self._close)
        self._next_look = 0.0
        self._is_stopping = False

    @property
    def _app(self) -> Flask:
        return cast(Flask, self.wsgi)

    @property
    def _budget(self) -> ByteBudget:
        budget: ByteBudget = self._app.extensions[BUDGET]
        return budget

    @cached_property
    def _housekeeping(self) -> Housekeeping:
        return Housekeeping.of(self._app)

    @cached_property
    def _shares(self) -> Shares:
        # Whatever the share, the largest upload that is allowed can be sent.
        largest = self._app.config["MAX_CONTENT_LENGTH"] + MAX_HEAD
        return Shares(int(MOST_ARRIVING * SHARE), max(largest, int(self._budget.most * SHARE)))

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
        conn = PatientConn(self.cfg, sock, address, listener.getsockname())
        conn.data_ready = True
        behind_proxy = self._app.extensions["brain_cnn.settings"].proxies > 0
        conn.client_key = "" if behind_proxy else client_key(address)
        self.enqueue_req(conn)
        return True

    def enqueue_req(self, conn: Any) -> None:
        """Collect the next request of a connection; a thread gets it when it is whole."""
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        # Of a client that sends requests without waiting for answers, a part may be here.
        first = conn.take_unread()
        conn.sock.setblocking(False)
        config = self._app.config
        reader = partial(read_head, cfg=self.cfg, address=conn.client)
        buffer = RequestBuffer(config["MAX_CONTENT_LENGTH"], config["READ_SECONDS"], first, reader)
        if self._collect(conn, buffer):
            return
        if len(self._arriving) >= MOST_ARRIVING or not self._shares.enter(conn.client_key):
            self._refuse(conn, TOO_MANY)
            return
        self._arriving[conn] = buffer
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self._on_arriving, conn, buffer)
        )

    def _on_arriving(self, conn: PatientConn, buffer: RequestBuffer, _: Any) -> None:
        # It may have been refused, for room, by another event of the same turn.
        if self._arriving.get(conn) is buffer and self._collect(conn, buffer):
            self._forget(conn)

    def _collect(self, conn: PatientConn, buffer: RequestBuffer) -> bool:
        """Read what is there; True if the connection needs no more watching."""
        turn = 0
        while not buffer.is_whole:
            wanted = buffer.wanted
            try:
                piece = conn.sock.recv(wanted)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                piece = b""
            if not piece:  # the client is gone, in the middle of its request
                self._close(conn)
                return True
            buffer.add(piece)
            if buffer.wants_continue and buffer.part is Part.BODY:
                buffer.wants_continue = False
                send_what_fits(conn.sock, CONTINUE)
            self._count(conn, buffer)
            turn += len(piece)
            if (len(piece) < wanted or turn > _TURN) and not buffer.is_whole:
                return False  # the rest is not here yet, or the others' turn has come
        self._hand_over(conn, buffer)
        return True

    def _count(self, conn: PatientConn, buffer: RequestBuffer) -> None:
        """Book the bytes that were kept; what does not fit is given up, the newest first."""
        more = buffer.size - conn.held_bytes
        if more <= 0:  # less, if it grew too large and was thrown away
            self._budget.give_back(-more)
            self._shares.give_back(conn.client_key, -more)
            conn.shared_bytes += more
        elif self._shares.take(conn.client_key, more):
            conn.shared_bytes += more
            while not self._budget.take(more):
                newest = self._newest_upload(conn, buffer)
                if newest is conn:
                    self._give_up(conn, buffer)
                    return
                other = self._arriving[newest]
                self._forget(newest)
                self._give_up(newest, other)
                self._hand_over(newest, other)
        else:
            self._give_up(conn, buffer)
            return
        conn.held_bytes = buffer.size

    def _newest_upload(self, conn: PatientConn, buffer: RequestBuffer) -> PatientConn:
        """Return the unfinished upload that began last; `conn` itself where there is none."""
        if buffer.has_body and conn not in self._arriving:  # it has just come
            return conn
        uploads = (
            other
            for other, part in reversed(self._arriving.items())
            if part.has_body and (other.held_bytes or other is conn)
        )
        return next(uploads, conn)

    def _give_up(self, conn: PatientConn, buffer: RequestBuffer) -> None:
        """Keep nothing of a request for which there is no room; the application refuses it."""
        buffer.give_up_body()
        buffer.part = Part.WHOLE
        conn.sock.refused = True
        self._give_back(conn)

    def _hand_over(self, conn: PatientConn, buffer: RequestBuffer) -> None:
        """Give a whole request to a thread."""
        self._leave_share(conn)
        if buffer.refusal:
            self._refuse(conn, buffer.refusal)
            return
        if not buffer.has_head and conn.sock.refused:  # nothing that a view could answer
            self._refuse(conn, MEMORY_FULL)
            return
        conn.hand_over(buffer.pieces())
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Future[bool]) -> None:
        """Give the bytes of an answered request back; wait for the next one, or close."""
        if self.cfg.is_ssl:
            super().finish_request(conn, fs)
            return
        self._give_back(conn)
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._lingering.add(conn, self.poller)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer, with all our headers, what neither the parser nor the application could."""
        code = refusal_of(exc)
        if code is None:
            self.log.exception("Error handling request")
        metrics_of(self._app).refusals.labels(code or FAILED).inc()
        send_what_fits(client, early_answer(code or FAILED))

    def murder_pending(self) -> None:
        """Drop the requests that arrive too slowly; called in every turn of the loop."""
        super().murder_pending()
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_S
        self._housekeeping.look()
        if not self.alive and not self._is_stopping:
            self._stop_listening()
            for buffer in self._arriving.values():
                buffer.end_by(now + _STOP_S)
        for conn in [c for c, buffer in self._arriving.items() if buffer.deadline < now]:
            self._refuse(conn, TOO_SLOW)
        self._lingering.end_late(now)

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

    def _refuse(self, conn: PatientConn, code: str) -> None:
        """Answer a request that is not whole, and end its connection."""
        self._forget(conn)
        send_what_fits(conn.sock, early_answer(code))
        metrics_of(self._app).refusals.labels(code).inc()
        self._give_back(conn)
        if self._lingering.is_full:
            self._close(conn)
        else:
            self._lingering.add(conn, self.poller)

    def _forget(self, conn: PatientConn) -> None:
        """Stop watching a connection."""
        if self._arriving.pop(conn, None) is not None:
            self._shares.leave(conn.client_key)
            self.poller.unregister(conn.sock)

    def _close(self, conn: PatientConn) -> None:
        self._give_back(conn)
        self.nr_conns -= 1
        conn.close()

    def _give_back(self, conn: PatientConn) -> None:
        self._leave_share(conn)
        self._budget.give_back(conn.held_bytes)
        conn.held_bytes = 0

    def _leave_share(self, conn: PatientConn) -> None:
        """Take the bytes off the client's unfinished ones."""
        self._shares.give_back(conn.client_key, conn.shared_bytes)
        conn.shared_bytes = 0
