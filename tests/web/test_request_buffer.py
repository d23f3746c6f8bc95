"""A request is handed over when all of it is there, however it is cut into pieces."""

import pytest

from brain_cnn.web.runtime import early_answers, request_buffer
from brain_cnn.web.runtime.chunks import Chunks
from brain_cnn.web.runtime.request_buffer import SLOWEST_BYTES_PER_S, Part, RequestBuffer

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 11\r\n\r\nhello world"
CHUNKED = (
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n"
)
TRICKY = (
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n"
)


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(request_buffer, "time", clock)
    return clock


def buffer(**options):
    return RequestBuffer(**({"max_body": 100, "patience_s": 10.0} | options))


WITH_LENGTH = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "handed_over"),
    [
        (GET, GET),
        (POST, POST),
        (CHUNKED, WITH_LENGTH % 11 + b"hello world"),
        (TRICKY, WITH_LENGTH % 10 + b"\r\n0\r\n\r\n0\r\n"),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_whole_exactly_at_its_last_byte(data, handed_over, step):
    request = buffer()
    for start in range(0, len(data), step):
        assert request.part is not Part.WHOLE
        request.add(data[start : start + step])
    assert request.part is Part.WHOLE
    assert not request.refusal
    assert b"".join(request.pieces()) == handed_over
    assert request.size <= len(data)


def test_next_request_s_bytes_are_kept():
    for first, handed_over in [(GET, GET), (CHUNKED, WITH_LENGTH % 11 + b"hello world")]:
        request = buffer()
        request.add(first + POST)
        assert request.part is Part.WHOLE
        assert b"".join(request.pieces()) == handed_over + POST


def test_empty_piece_is_never_handed_over():
    # The parser takes it for the end of the connection.
    for data in (GET, POST, CHUNKED):
        request = buffer()
        request.add(data)
        assert all(request.pieces())


@pytest.mark.parametrize(
    "head",
    [b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 5000"],
)
def test_body_over_the_limit_is_thrown_away(head):
    request = buffer()
    request.add(head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    for _ in range(101 if b"101" in head else 401):
        assert request.part is Part.BODY
        request.add(b"x")
    assert request.part is Part.WHOLE, "the end, or four times the limit"
    (kept,) = request.pieces()
    assert b"x" * 5 not in kept and b"\r\nConnection: close\r\n" in kept


def test_chunked_body_over_the_limit_is_thrown_away():
    request = buffer()
    request.add(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(30):
        request.add(b"5\r\nhello\r\n")
    assert request.discards and request.size < 100
    request.add(b"0\r\n\r\n")
    assert request.part is Part.WHOLE


def refusal_of(data):
    """Return the code with which a request is refused at once, and keep nothing of it."""
    request = buffer()
    request.add(data)
    assert request.part is Part.WHOLE and request.size == 0
    return request.refusal


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"", b"0x10", b"5, 5", b"5 5", b"\xb2"])
def test_what_is_no_length_is_refused(length):
    assert refusal_of(b"POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % length) == "bad-request"


def test_length_of_any_number_of_digits_is_a_body_that_is_too_large():
    request = buffer()
    request.add(b"POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % (b"9" * 20))
    assert request.part is Part.BODY and request.discards and not request.refusal


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", early_answers.BAD_REQUEST),
        (b"Content-Length: 5\r\nContent-Length: 5", early_answers.BAD_REQUEST),
        (b"Content-Length: 5\r\n 6", early_answers.BAD_REQUEST),
        (b"A: b\nContent-Length: 5", early_answers.BAD_REQUEST),
        (b"Content-Length : 5", early_answers.BAD_REQUEST),
        (b"Transfer-Encoding: chunked, chunked", early_answers.BAD_REQUEST),
        (b"Transfer-Encoding: gzip, chunked", early_answers.NO_SUCH_CODING),
        (b"Transfer-Encoding: chunky", early_answers.NO_SUCH_CODING),
        (b"Expect: miracles", early_answers.EXPECTATION),
        (b"\r\n".join([b"A: b"] * 200), early_answers.HEAD_TOO_LARGE),
        (b"A: " + b"b" * 9000, early_answers.HEAD_TOO_LARGE),
    ],
)
def test_head_that_two_could_read_differently_is_refused(fields, code):
    assert refusal_of(b"POST / HTTP/1.1\r\n%s\r\n\r\nhello" % fields) == code


def test_bare_line_feed_is_refused_before_the_head_ends():
    assert refusal_of(b"GET / HTTP/1.1\nHost: x\n\n") == "bad-request"


def test_head_without_end_is_refused():
    assert refusal_of(b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 40_000) == "head-too-large"
    assert refusal_of(b"GET /" + b"x" * 300_000) == "uri-too-long"
    assert refusal_of(b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 9000)) == "uri-too-long"


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"5 \r\nhello\r\n",
        b"5;=\r\n",
        b"5;" + b"x" * 5000 + b"\r\n",
        b"1;" + b"x" * 5000,
        b"5\r\nhelloworld",
        b"5\nhello\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"11111111111111111\r\n",
    ],
)
def test_chunks_that_two_could_read_differently_are_refused(body):
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert refusal_of(head + body) == "bad-request"


def test_body_of_tiny_chunks_is_refused_before_it_takes_much_time():
    chunks, sent = Chunks(), 0
    while not chunks.is_broken:
        assert sum(map(len, chunks.add(b"1\r\nx\r\n" * 10_000))) <= 10_000
        sent += 60_000
    assert sent < 3 << 20
    fair = Chunks()
    for _ in range(100):
        assert sum(map(len, fair.add((b"40\r\n" + bytes(64) + b"\r\n") * 1000))) == 64_000
    assert not fair.is_broken


def test_body_that_comes_fast_enough_may_take_as_long_as_it_needs(clock):
    request = buffer(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: 10485760\r\n\r\n")
    for _ in range(150):
        clock.now += 1
        assert clock.now < request.deadline
        request.add(bytes(SLOWEST_BYTES_PER_S))
    assert request.part is Part.BODY


def test_announced_body_gives_no_time_before_it_comes(clock):
    request = buffer(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n")
    assert request.deadline == clock.now + 10


def test_what_came_fast_is_no_credit_for_a_stop(clock):
    request = buffer(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n" + bytes(50 << 20))
    assert request.deadline == clock.now + 10
    for _ in range(100):  # a byte a second does not keep it alive
        clock.now += 1
        request.add(b"x")
    assert request.deadline < clock.now


def test_chunked_body_may_take_longer_too(clock):
    request = buffer(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n")
    clock.now += 5
    request.add(bytes(1 << 20))
    assert request.deadline == clock.now + 10


def test_end_for_all_is_kept_by_fast_ones_too(clock):
    request = buffer(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n")
    request.end_by(clock.now + 2)
    request.add(bytes(1 << 20))
    assert request.deadline == clock.now + 2


class Watched(bytes):
    """Bytes that count, for all of them together, how many are copied or searched."""

    work = 0

    def __getitem__(self, key):
        part = super().__getitem__(key)
        if not isinstance(key, slice):
            return part
        Watched.work += len(part)
        return Watched(part)

    def __radd__(self, other):
        Watched.work += len(other) + len(self)
        return Watched(bytes(other) + bytes(self))

    def __add__(self, other):
        Watched.work += len(other) + len(self)
        return Watched(bytes(self) + bytes(other))

    def find(self, what, start=0):
        found = super().find(what, start)
        Watched.work += (len(self) if found < 0 else found + len(what)) - start
        return found

    def partition(self, what):
        Watched.work += len(self)
        return tuple(Watched(part) for part in super().partition(what))


@pytest.mark.parametrize("step", [1, 1000, 1 << 16])
@pytest.mark.parametrize("size", [1, 1000])
def test_each_byte_of_a_chunked_body_is_looked_at_a_bounded_number_of_times(size, step):
    body = (b"%x\r\n" % size + bytes(size) + b"\r\n") * (20_000 // size) + b"0\r\n\r\n"
    chunks, Watched.work = Chunks(), 0
    pieces = [Watched(body[start : start + step]) for start in range(0, len(body), step)]
    ends = []
    for piece in pieces:
        assert len(list(chunks.add(piece))) <= len(piece)
        ends.append(chunks.is_whole)
    assert ends.index(True) == len(ends) - 1
    assert Watched.work < 8 * len(body)


def test_body_in_tiny_pieces_takes_no_more_memory_than_its_bytes():
    body = bytes(range(256)) * 1000
    request = buffer(max_body=1 << 20)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 2):
        request.add(body[start : start + 2])
    pieces = request.pieces()
    assert b"".join(pieces).endswith(body) and len(pieces) < 10
    assert all(type(piece) is bytes for piece in pieces)
