"""A request is handed over when all of it is there, however it is cut into pieces."""

import pytest

from brain_cnn.web.runtime import request_buffer
from brain_cnn.web.runtime.request_buffer import SLOWEST_BYTES_PER_S, Arrival, Chunks, Part

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 11\r\n\r\nhello world"
CHUNKED = (
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n"
)
TRICKY = (
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"A\r\n\r\n0\r\n\r\n0\r\n\r\n0\r\nTrailer: 0\r\n\r\n"
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


def arrival(**options):
    return Arrival(**({"max_body": 100, "patience_s": 10.0} | options))


@pytest.mark.parametrize("data", [GET, POST, CHUNKED, TRICKY])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_whole_exactly_at_its_last_byte(data, step):
    request = arrival()
    for start in range(0, len(data), step):
        assert request.part is not Part.WHOLE
        request.add(data[start : start + step])
    assert request.part is Part.WHOLE
    assert b"".join(request.pieces()) == data
    assert request.size == len(data)


def test_next_request_s_bytes_are_kept():
    request = arrival()
    request.add(GET + POST)
    assert request.part is Part.WHOLE and b"".join(request.pieces()) == GET + POST


def test_empty_piece_is_never_handed_over():
    # The parser takes it for the end of the connection.
    for data in (GET, POST, CHUNKED):
        request = arrival()
        request.add(data)
        assert all(request.pieces())


@pytest.mark.parametrize(
    "head",
    [b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 5000"],
)
def test_body_over_the_limit_is_thrown_away(head):
    request = arrival()
    request.add(head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    for _ in range(101 if b"101" in head else 401):
        assert request.part is Part.BODY
        request.add(b"x")
    assert request.part is Part.WHOLE, "the end, or four times the limit"
    (kept,) = request.pieces()
    assert b"x" * 5 not in kept and b"\r\nConnection: close\r\n" in kept


def test_chunked_body_over_the_limit_is_thrown_away():
    request = arrival()
    request.add(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(30):
        request.add(b"5\r\nhello\r\n")
    assert request.discards and request.size < 100
    request.add(b"0\r\n\r\n")
    assert request.part is Part.WHOLE


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"", b"9" * 30, b"0x10"])
def test_what_is_no_length_goes_to_the_parser_which_refuses_it(length):
    request = arrival()
    request.add(b"POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % length)
    assert request.part is Part.WHOLE


def test_head_without_end_goes_to_the_parser_which_refuses_it():
    request = arrival()
    request.add(b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 40_000)
    assert request.part is Part.WHOLE


def test_broken_chunks_go_to_the_parser_which_refuses_them():
    request = arrival()
    request.add(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert request.part is Part.WHOLE


def test_body_that_comes_fast_enough_may_take_as_long_as_it_needs(clock):
    request = arrival(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: 10485760\r\n\r\n")
    for _ in range(150):
        clock.now += 1
        assert clock.now < request.deadline
        request.add(bytes(SLOWEST_BYTES_PER_S))
    assert request.part is Part.BODY


def test_announced_body_gives_no_time_before_it_comes(clock):
    request = arrival(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n")
    assert request.deadline == clock.now + 10


def test_what_came_fast_is_no_credit_for_a_stop(clock):
    request = arrival(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n" + bytes(50 << 20))
    assert request.deadline == clock.now + 10
    for _ in range(100):  # a byte a second does not keep it alive
        clock.now += 1
        request.add(b"x")
    assert request.deadline < clock.now


def test_chunked_body_may_take_longer_too(clock):
    request = arrival(max_body=1 << 30)
    request.add(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n")
    clock.now += 5
    request.add(bytes(1 << 20))
    assert request.deadline == clock.now + 10


def test_end_for_all_is_kept_by_fast_ones_too(clock):
    request = arrival(max_body=1 << 30)
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
@pytest.mark.parametrize(
    "body",
    [b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n", b"0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n"],
    ids=["chunks", "trailers"],
)
def test_each_byte_of_a_chunked_body_is_looked_at_a_bounded_number_of_times(body, step):
    chunks, Watched.work = Chunks(), 0
    pieces = [Watched(body[start : start + step]) for start in range(0, len(body), step)]
    ends = [chunks.add(piece) for piece in pieces]
    assert ends.index(True) == len(ends) - 1
    assert Watched.work < 8 * len(body)


def test_chunk_line_without_end_goes_to_the_parser_before_it_grows_large():
    chunks = Chunks()
    pieces = 0
    while not chunks.add(b"1;" + b"x" * 98):
        pieces += 1
    assert pieces < 50


def test_body_in_tiny_pieces_takes_no_more_memory_than_its_bytes():
    body = bytes(range(256)) * 1000
    request = arrival(max_body=1 << 20)
    request.add(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 2):
        request.add(body[start : start + 2])
    pieces = request.pieces()
    assert b"".join(pieces).endswith(body) and len(pieces) < 10
    assert all(type(piece) is bytes for piece in pieces)


@pytest.mark.parametrize("ending", [b"\r\n", b"a\n\r\n", b"\rA: b\r\n\r\n", b"\n"])
@pytest.mark.parametrize("size_line", [b"5;a=b\r\n", b"5\r\r\n", b"5\n\r\n", b"\r\n", b"005\r\n"])
def test_cuts_decide_nothing(size_line, ending):
    """However the same bytes are cut, the end is at the same byte."""
    body = size_line + b"he\r\no\r\n0\r\n" + ending + b"GET"

    def end(step):
        chunks = Chunks()
        for start in range(0, len(body), step):
            if chunks.add(body[start : start + step]):
                return start
        return None

    at_byte = end(1)
    for step in (2, 3, 5, 100):
        assert end(step) == (None if at_byte is None else at_byte - at_byte % step)
