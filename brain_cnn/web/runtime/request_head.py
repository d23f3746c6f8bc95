"""What a request's head says of its body, in the word of gunicorn's own parser.

There is one reader of heads: what it refuses is refused here too, before a thread sees it, and
where the body ends is what it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from brain_cnn.web.runtime.early_answers import (
    BAD_REQUEST,
    EXPECTATION,
    HEAD_TOO_LARGE,
    NO_SUCH_CODING,
    URI_TOO_LONG,
)

_CODES: tuple[tuple[type[Exception], str], ...] = (
    (errors.LimitRequestLine, URI_TOO_LONG),
    (errors.LimitRequestHeaders, HEAD_TOO_LARGE),
    (errors.UnsupportedTransferCoding, NO_SUCH_CODING),
    (errors.ExpectationFailed, EXPECTATION),
)
_OF_THE_CLIENT = (
    errors.ParseException,
    errors.NoMoreData,
    errors.InvalidChunkSize,
    errors.ChunkMissingTerminator,
    errors.InvalidChunkExtension,
)
_DEFAULTS = Config()


class RefusedHead(Exception):
    """A head that no request may have.

    Attributes:
        code: of `early_answers`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Head:
    """What follows a head.

    Attributes:
        length: bytes of the body; None where it comes in chunks.
        wants_continue: whether the client waits for "100 Continue".
    """

    length: int | None
    wants_continue: bool = False


HeadReader = Callable[[bytes], Head]


def read_head(data: bytes, cfg: Config = _DEFAULTS, address: Any = ("", 0)) -> Head:
    """Read a whole head, its empty line included.

    Args:
        data: nothing before it, nothing behind it.
        cfg: of gunicorn.
        address: of the client, as its socket has it.

    Raises:
        RefusedHead: gunicorn's parser would refuse the request, or would read it on.
    """
    reader = IterUnreader([data])
    try:
        request: Any = Request(cfg, reader, address)
    except Exception as error:  # it runs in the event loop, which nothing may end
        raise RefusedHead(refusal_of(error) or BAD_REQUEST) from None
    if reader.take_buffered():
        raise RefusedHead(BAD_REQUEST)
    body = request.body.reader
    waits = bool(request._expected_100_continue)
    if isinstance(body, LengthReader):
        return Head(body.length, waits)
    codings = [value for name, value in request.headers if name == "TRANSFER-ENCODING"]
    # Of a body that is packed as well, nobody here would unpack the rest.
    if not isinstance(body, ChunkedReader) or [c.strip().lower() for c in codings] != ["chunked"]:
        raise RefusedHead(NO_SUCH_CODING)
    return Head(None, waits)


def refusal_of(error: BaseException) -> str | None:
    """Return the code for what gunicorn's parser raised; None if the client is not at fault."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return BAD_REQUEST if isinstance(error, _OF_THE_CLIENT) else None


def with_length(head: bytes, length: int) -> bytes:
    """Return the head of a body that came in chunks, for the body without them."""
    first, *fields = head.removeprefix(b"\r\n").split(b"\r\n")
    kept = [field for field in fields if not field.lower().startswith(b"transfer-encoding:")]
    return b"\r\n".join((first, b"Content-Length: %d" % length, *kept))
