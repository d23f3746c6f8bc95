"""A request is handed over when all of it is there, however it is cut into pieces."""

import pytest

from brain_cnn.web.runtime.request_buffer import Arrival, Part

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


def test_larger_body_may_take_longer():
    small, large = arrival(max_body=1 << 30), arrival(max_body=1 << 30)
    small.add(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
    large.add(b"POST / HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n")
    assert large.deadline > small.deadline + 1000
