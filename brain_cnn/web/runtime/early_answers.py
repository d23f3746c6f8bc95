"""Answers that the event loop gives where no view can: the request is late, too much, or wrong.

No view has run, so whether a page or a program asks is not known: the answer is a problem
object (RFC 9457), with the headers that every answer has.
"""

from __future__ import annotations

import json
import socket
from http import HTTPStatus

from brain_cnn.web.runtime.trace import HEADER, Trace
from brain_cnn.web.security import HEADERS

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TOO_MANY, TOO_SLOW, MEMORY_FULL = "too-many-unfinished", "too-slow", "memory-full"
BAD_REQUEST, URI_TOO_LONG = "bad-request", "uri-too-long"
HEAD_TOO_LARGE, NO_SUCH_CODING = "head-too-large", "no-such-transfer-coding"
EXPECTATION, FAILED = "expectation-failed", "internal-server-error"

_RETRY_S = 2
_AGAIN = f"Nothing of yours was kept. Please try again in {_RETRY_S} seconds."
_ANSWERS = {
    BAD_REQUEST: (HTTPStatus.BAD_REQUEST, "This is not a request that we can read exactly."),
    URI_TOO_LONG: (HTTPStatus.REQUEST_URI_TOO_LONG, "The address of the request is too long."),
    HEAD_TOO_LARGE: (
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The request has too many header fields, or too long ones.",
    ),
    NO_SUCH_CODING: (
        HTTPStatus.NOT_IMPLEMENTED,
        'The only Transfer-Encoding that is read is "chunked".',
    ),
    EXPECTATION: (HTTPStatus.EXPECTATION_FAILED, 'The only Expect is "100-continue".'),
    FAILED: (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong on the server. It kept nothing of your file. Please try again.",
    ),
    TOO_SLOW: (HTTPStatus.REQUEST_TIMEOUT, "The request arrived too slowly. Please try again."),
    TOO_MANY: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"The server is busy: too many uploads are on their way. {_AGAIN}",
    ),
    MEMORY_FULL: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"The server is busy: its memory for uploads is full. {_AGAIN}",
    ),
}


def early_answer(code: str) -> bytes:
    """Return the whole answer, head and body; the connection ends after it.

    Args:
        code: `TOO_MANY` or `MEMORY_FULL` (503 with `Retry-After`), `TOO_SLOW` (408), what is
            wrong with a request's head or chunks (400, 414, 417, 431, 501), or `FAILED` (500).
    """
    status, detail = _ANSWERS[code]
    trace = Trace()
    body = json.dumps(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "code": code,
            "request_id": trace.id,
        }
    )
    headers = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body) + 1),
        "Cache-Control": "no-store",
        HEADER: trace.id,
        **HEADERS,
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(_RETRY_S)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body + "\n"]).encode()


def send_what_fits(sock: socket.socket, data: bytes) -> None:
    """Send without waiting; a client that does not take it misses it."""
    try:
        sock.send(data)
    except OSError:
        return
