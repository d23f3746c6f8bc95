"""Requests made to hold threads or to be read in two ways: refused, and nobody else notices."""

import contextlib
import json
import socket

import pytest

from brain_cnn.web.security import HEADERS

POST = b"POST /api/v1/predict HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# What is sent, and the answer's status; None where the server waits for more, without a thread.
REQUESTS = {
    "20-digit-length": (POST + b"Content-Length: 99999999999999999999\r\n\r\nx", None),
    "long-extension": (CHUNKED + b"5;" + b"x" * 5000 + b"\r\nhello", 400),
    "endless-extension": (CHUNKED + b"5;" + b"x" * 5000, 400),
    "both-lengths": (POST + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", 400),
    "two-lengths": (POST + b"Content-Length: 1\r\nContent-Length: 9\r\n\r\nx", 400),
    "folded": (POST + b"Content-Length:\r\n 9\r\n\r\nx", 400),
    "bare-line-feed": (b"POST / HTTP/1.1\nHost: x\nContent-Length: 9\n\nx", 400),
    "bare-line-feed-in-a-field": (POST + b"A: b\nContent-Length: 9\r\n\r\nx", 400),
    "no-length": (POST + b"Content-Length: +9\r\n\r\nx", 400),
    "packed-chunks": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n9\r\n", 501),
    "chunk-without-end": (CHUNKED + b"5\r\nhelloworld", 400),
    "trailers": (CHUNKED + b"0\r\nA: b\r\n", 400),
    "line-too-long": (b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 9000), 414),
    "fields-too-long": (b"GET / HTTP/1.1\r\nA: %s\r\n\r\n" % (b"x" * 9000), 431),
    "too-many-fields": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
    "head-without-end": (b"GET / HTTP/1.1\r\nA: " + b"b" * 400_000, 431),
    "no-method": (b"get / HTTP/1.1\r\n\r\n", 400),
    "expectation": (POST + b"Expect: miracles\r\n\r\n", 417),
}


def connect(server):
    host, _, port = server.address.partition(":")
    return socket.create_connection((host, int(port)), 20)


def answer_of(sock):
    """Return status, headers in lower case, and body, read until the connection ends."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(1 << 16):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {k.lower(): v for k, v in fields.items()}, body


@pytest.mark.parametrize("name", REQUESTS)
def test_a_hundred_of_them_hold_no_thread(server, name):
    data, status = REQUESTS[name]
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect(server)) for _ in range(100)]
        for sock in crowd:
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
        with connect(server) as healthy:
            healthy.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert answer_of(healthy)[0] == 200
        if status is None:
            return
        said, fields, body = answer_of(crowd[0])
        assert said == status
        for header, value in HEADERS.items():
            assert fields[header.lower()] == value
        assert fields["cache-control"] == "no-store" and fields["x-request-id"]
        problem = json.loads(body)
        assert problem["status"] == status and problem["detail"] and problem["code"]


def test_chunked_upload_is_answered_like_any_other(server, phantom_png):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + phantom_png
        + b"\r\n--b--\r\n"
    )
    head = POST + b"Content-Type: multipart/form-data; boundary=b\r\nConnection: close\r\n"
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part)
        for part in (body[start : start + 1000] for start in range(0, len(body), 1000))
    )
    with connect(server) as sock:
        sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        status, _, answer = answer_of(sock)
    assert status == 200 and json.loads(answer)["results"][0]["label"]
