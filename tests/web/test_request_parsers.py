"""Our request buffer and gunicorn's parser, over the same bytes: one word about each request.

`PARSER_EXAMPLES=1000000 pytest tests/web/test_request_parsers.py` tries as many byte strings.
"""

import os

from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from brain_cnn.web.runtime.request_buffer import Part, RequestBuffer

EXAMPLES = int(os.environ.get("PARSER_EXAMPLES", "1000"))
MOST = 10_000

LINES = [
    b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.1\r\n", b"POST / HTTP/1.0\r\n", b"get / HTTP/1.1\r\n",
    b"POST http://x/ HTTP/1.1\r\n", b"POST / HTTP/2.0\r\n", b"POST /\x01 HTTP/1.1\r\n",
]  # fmt: skip
FIELDS = [
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"content-length:\t3 \r\n",
    b"Content-Length: 5, 5\r\n", b"Content-Length: +5\r\n", b"Content-Length: 00003\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Content-Length : 5\r\n",
    b"Content-Length: \xb2\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: Chunked \r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer_Encoding: chunked\r\n",
    b"Host: x\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b" folded\r\n",
    b"A:b\r\n",
    b"A: b\n", b"A: \rb\r\n", b"no colon\r\n", b"A: \x00\r\n", b"Content-Length\x00: 5\r\n",
]  # fmt: skip
BODIES = [
    b"hello", b"5\r\nhello\r\n", b"3;a=b\r\nabc\r\n", b'3;a="\\""\r\nabc\r\n', b"0\r\n\r\n",
    b"0\r\n",
    b"00\r\n\r\n", b"0;x\r\n\r\n", b"5 \r\nhello\r\n", b"5 ;a\r\nhello\r\n", b"A: b\r\n\r\n",
    b"\r\n",
    b"2\r\n\r\n\r\n", b"-1\r\n", b"0x5\r\nhello\r\n", b"5\nhello\n", b"3\r\nabcd\r\n", b"\r", b"\n",
    b"3;" + b"x" * 5000 + b"\r\nabc\r\n", b"fffffffffffffffff\r\n",
]  # fmt: skip


def often(*lists):
    return st.sampled_from([part for parts in lists for part in parts])


HEADS = st.tuples(
    st.sampled_from([b"", b"", b"", b"\r\n", b"\r\n\r\n", b"\n"]),
    st.sampled_from(LINES[:2] * 3 + LINES),
    st.lists(st.sampled_from(FIELDS), max_size=4).map(b"".join),
    st.sampled_from([b"\r\n"] * 6 + [b"\n", b""]),
    st.lists(often(BODIES, BODIES, LINES, FIELDS), max_size=6).map(b"".join),
).map(b"".join)
LOOSE = st.lists(often(LINES, FIELDS, BODIES) | st.binary(max_size=4), max_size=10).map(b"".join)


@st.composite
def broken(draw):
    """Draw a request with a few bytes changed, lost or put in."""
    data = bytearray(draw(HEADS))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"\r", b"\n", b" ", b"0", b":", b";", b"\x00", b"\r\n", b"\xff"])
        )
    return bytes(data)


def gunicorn_reads(data):
    """Return what the parser makes of a connection's bytes: a request and the rest, or None."""
    parser = RequestParser(Config(), iter([data]), ("203.0.113.1", 1))
    try:
        request = next(parser)
        wanted = getattr(request.body.reader, "length", None)
        body = request.body.read()
    except (StopIteration, NoMoreData):
        return None
    except Exception:
        return None  # refused
    if wanted is not None and len(body) < wanted:
        return None
    framing = ("CONTENT-LENGTH", "TRANSFER-ENCODING")
    fields = [field for field in request.headers if field[0] not in framing]
    rest = parser.unreader.take_buffered()
    return (request.method, request.uri, request.version, fields, body), rest


def buffer_reads(data, step):
    """Return the buffer once it wants no more, and the bytes that it took."""
    buffer = RequestBuffer(MOST, 10.0)
    for start in range(0, len(data), step):
        buffer.add(data[start : start + step])
        if buffer.part is Part.WHOLE:
            return buffer, data[: start + step]
    return buffer, data


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=HEADS | broken() | LOOSE, step=st.sampled_from([1, 2, 3, 5, 100_000]))
def test_buffer_and_parser_read_the_same(data, step):
    buffer, taken = buffer_reads(data, step)
    truth = gunicorn_reads(taken)
    if buffer.part is not Part.WHOLE:
        event("more is wanted")
        assert truth is None or buffer.discards, "the parser has a request, the buffer waits on"
    elif buffer.refusal:
        event("refused")
        # What only we refuse: codings beside chunks, trailers, and long lines between chunks.
        assert truth is None or b"chunked" in taken.lower()
    else:
        event("handed over")
        assert truth is not None, "a thread would wait for the client"
        read, rest = gunicorn_reads(b"".join(buffer.pieces()))
        assert (read, rest) == truth


@settings(max_examples=EXAMPLES // 3, deadline=None, database=None)
@given(data=HEADS | broken())
def test_cuts_decide_nothing(data):
    """However the same bytes are cut, it is the same request, or none."""
    whole, _ = buffer_reads(data, len(data) or 1)
    cut, taken = buffer_reads(data, 1)
    assert (whole.part, bool(whole.refusal)) == (cut.part, bool(cut.refusal))
    if cut.part is Part.WHOLE and not cut.refusal:
        assert b"".join(whole.pieces()) == b"".join(cut.pieces()) + data[len(taken) :]
