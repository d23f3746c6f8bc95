"""Uploads that are on their way: each is answered, and none pushes an older one out."""

import contextlib
import json
import socket
import time

import pytest
from conftest import Server

from brain_cnn.web.runtime.shares import Shares, client_key
from brain_cnn.web.security import HEADERS

MIB = 1 << 20


@pytest.fixture(scope="module")
def servers(confident_bundle, tmp_path_factory):
    """Settings -> a server that runs with them."""
    running = {}
    yield running, tmp_path_factory.mktemp("unfinished"), confident_bundle
    for server in running.values():
        server.stop()


@pytest.fixture
def serve(servers):
    """Return a function that starts a server with settings, or finds it, and gives its port."""
    running, folder, bundle = servers

    def start(**settings):
        names = {f"BRAIN_CNN_{name.upper()}": str(value) for name, value in settings.items()}
        key = str(names)
        if key not in running:
            names["BRAIN_CNN_MODEL"] = str(bundle)
            running[key] = Server(folder / f"log{len(running)}.txt", **names)
            running[key].wait_ready()
        return int(running[key].address.partition(":")[2])

    yield start
    for client in Client.all:
        client.sock.close()
    deadline = time.monotonic() + 30
    for port in {client.port for client in Client.all}:
        while held_bytes(port) > 1000:
            assert time.monotonic() < deadline, "bytes of clients that are gone are held"
    Client.all.clear()


class Client:
    """A client that sends a part of an upload now and the rest later.

    Args:
        port: of the server.
        address: this client's own address, of 127.0.0.0/8.
    """

    all = []  # noqa: RUF012

    def __init__(self, port, address="127.0.0.1"):
        self.port = port
        self.all.append(self)
        self.sock = socket.create_connection(("127.0.0.1", port), 60, (address, 0))

    def send(self, data):
        with contextlib.suppress(ConnectionError):  # refused already: its answer is read below
            self.sock.sendall(data)

    def begin(self, size, sent):
        """Announce a body of `size` bytes, send `sent` of them, and wait until they are held."""
        before = held_bytes(self.port)
        head = b"POST /api/v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        self.send(head + bytes(sent))
        deadline = time.monotonic() + 30
        while held_bytes(self.port) < before + sent / 2 and not self.is_answered():
            assert time.monotonic() < deadline, "the server does not take the bytes"
        return self

    def is_answered(self):
        self.sock.setblocking(False)
        try:
            return self.sock.recv(1, socket.MSG_PEEK) is not None
        except BlockingIOError:
            return False
        finally:
            self.sock.settimeout(60)

    def answer(self):
        """Return status, headers in lower case, and body, read until the connection ends."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while piece := self.sock.recv(1 << 16):
                data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {k.lower(): v for k, v in fields.items()}, body.decode()


def metric(port, name):
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(1 << 16), b"")).decode()
    values = [line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(values[0]) if values else 0.0


def held_bytes(port):
    return metric(port, "brain_cnn_held_bytes")


def assert_refused(answer, status, code):
    """Check that a client was told what happened, in an answer with all our headers."""
    said, fields, body = answer
    assert said == status
    for name, value in HEADERS.items():
        assert fields[name.lower()] == value
    assert fields["cache-control"] == "no-store" and fields["x-request-id"]
    assert fields["content-type"] == "application/problem+json"
    assert (status == 503) == ("retry-after" in fields)
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"] and problem["detail"] and problem["type"] == "about:blank"


def test_newcomer_is_refused_and_the_older_upload_comes_through(serve):
    port = serve(max_file_mib=1, max_request_mib=1, max_held_mib=1)
    older = Client(port).begin(MIB * 9 // 10, MIB * 6 // 10)
    newcomer = Client(port, "127.0.0.2").begin(MIB * 9 // 10, MIB * 6 // 10)
    assert_refused(newcomer.answer(), 503, "memory-full")
    assert not older.is_answered()
    older.send(bytes(MIB * 9 // 10 - MIB * 6 // 10))
    older.sock.shutdown(socket.SHUT_WR)
    assert older.answer()[0] == 400, "all of it arrived: no form, and told so by the application"


def test_upload_that_no_longer_fits_pushes_out_the_newest_which_is_answered(serve):
    port = serve(max_file_mib=1, max_request_mib=1, max_held_mib=1)
    older = Client(port).begin(MIB * 9 // 10, MIB * 4 // 10)
    newer = Client(port, "127.0.0.2").begin(MIB * 9 // 10, MIB * 4 // 10)
    older.send(bytes(MIB * 9 // 10 - MIB * 4 // 10))
    assert_refused(newer.answer(), 503, "memory-full")
    older.sock.shutdown(socket.SHUT_WR)
    assert older.answer()[0] == 400


def test_one_client_s_unfinished_uploads_leave_room_for_others(serve):
    port = serve(max_file_mib=1, max_request_mib=1, max_held_mib=4)
    many = [Client(port).begin(MIB * 9 // 10, MIB * 8 // 10) for _ in range(4)]
    refused = [client for client in many if client.is_answered()]
    assert len(refused) == 3, "a quarter, or the largest upload"
    for client in refused:
        assert_refused(client.answer(), 503, "memory-full")
    other = Client(port, "127.0.0.2").begin(MIB * 9 // 10, MIB * 8 // 10)
    assert not other.is_answered() and not many[0].is_answered()


def test_one_client_s_many_slow_requests_are_refused_and_others_are_not(serve):
    port = serve(read_seconds=300)
    slow = [Client(port) for _ in range(501)]
    for client in slow:
        client.send(b"POST / HTTP/1.1\r\n")
    assert_refused(slow[-1].answer(), 503, "too-many-unfinished")
    other = Client(port, "127.0.0.2")
    other.send(b"GET /healthz HTTP/1.1\r\n")
    other.send(b"Host: x\r\nConnection: close\r\n\r\n")
    assert other.answer()[0] == 200
    assert not slow[0].is_answered(), "who was there first is not pushed out"


def test_behind_a_declared_proxy_no_address_has_a_share(serve):
    port = serve(max_file_mib=1, max_request_mib=1, max_held_mib=4, proxies=1)
    many = [Client(port).begin(MIB * 9 // 10, MIB * 8 // 10) for _ in range(4)]
    assert not any(client.is_answered() for client in many)


@pytest.mark.parametrize(
    "sent", [b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\nx"]
)
def test_request_that_arrives_too_slowly_is_told_so(serve, sent):
    client = Client(serve(read_seconds=1))
    client.send(sent)
    assert_refused(client.answer(), 408, "too-slow")


def test_refusals_before_a_view_are_counted(serve):
    port = serve(read_seconds=1)
    before = metric(port, 'brain_cnn_refusals_total{reason="too-slow"}')
    client = Client(port)
    client.send(b"POST / HTTP/1.1\r\n")
    client.answer()
    assert metric(port, 'brain_cnn_refusals_total{reason="too-slow"}') == before + 1


@pytest.mark.parametrize(
    ("address", "key"),
    [
        (("192.0.2.7", 80), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 80, 0, 0), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.7", 80, 0, 0), "192.0.2.7"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::/64"),
        ("", ""),
        (b"\0socket", ""),
    ],
)
def test_client_is_known_by_its_address_or_its_network(address, key):
    assert client_key(address) == key


def test_shares_forget_clients_that_are_gone():
    shares = Shares(1, 10)
    assert shares.enter("a") and not shares.enter("a") and shares.enter("b")
    assert shares.take("a", 10) and not shares.take("a", 1) and shares.take("b", 10)
    assert all(shares.enter("") and shares.take("", 100) for _ in range(5)), "no address"
    for client in ("a", "b"):
        shares.leave(client)
        shares.give_back(client, 10)
    assert shares.enter("a") and shares.take("a", 10)
