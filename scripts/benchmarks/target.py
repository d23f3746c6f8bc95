"""A running server under test: slices are sent to it, and every answer is told right or wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.overlay import encode_png

HEAD = (
    "POST /api/v1/predict HTTP/1.1\r\nHost: test\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n"
)
_TYPE = {"Content-Type": "multipart/form-data; boundary=b"}

RIGHT, WRONG, BUSY, CLOSED, REFUSED = "right", "wrong", "503", "closed", "no connection"
ALLOWED = {RIGHT, BUSY, CLOSED, REFUSED}


def upload_body(data: bytes) -> bytes:
    """Return a multipart body with one file."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head + data + b"\r\n--b--\r\n"


class Target:
    """A running server, and what it must answer.

    Args:
        port: where it listens on this machine.
        master: process id of gunicorn's master.
    """

    def __init__(self, port: int, master: int) -> None:
        self.port, self.master = port, master
        self.bodies = [upload_body(encode_png(draw_phantom("glioma", n))) for n in range(4)]
        # Different slices: an answer that went to somebody else would be seen.
        self.expected = [self._ask(body)[1] for body in self.bodies]

    def _ask(self, body: bytes, timeout: float = 60.0) -> tuple[int, Any, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("POST", "/api/v1/predict", body, _TYPE)
            response = connection.getresponse()
            content = json.loads(response.read())
        said = content["results"][0].get("probabilities") if "results" in content else None
        return response.status, said, response.headers["Retry-After"]

    def judge(self, number: int, timeout: float = 60.0) -> str:
        """Send a slice on a new connection; return what became of it."""
        which = number % len(self.bodies)
        try:
            status, said, retry = self._ask(self.bodies[which], timeout)
        except ConnectionRefusedError:
            return REFUSED
        except (OSError, http.client.HTTPException):
            return CLOSED
        if status == 503:
            return BUSY if retry else "503 without Retry-After"
        if status != 200:
            return str(status)
        close = all(abs(said[k] - v) < 1e-5 for k, v in self.expected[which].items())
        return RIGHT if close else WRONG

    def connect(self) -> socket.socket:
        """Return a plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        path = Path(f"/proc/{self.master}/task/{self.master}/children")
        return [int(pid) for pid in path.read_text().split()]

    def memory_mib(self) -> float:
        """Return the resident memory of all workers, MiB."""
        kib = 0
        for pid in self.workers():
            with contextlib.suppress(OSError, AttributeError):
                text = Path(f"/proc/{pid}/status").read_text()
                kib += int(re.search(r"VmRSS:\s+(\d+)", text)[1])  # type: ignore[index]
        return kib / 1024

    def metric(self, name: str) -> float:
        """Return a number of `/metrics`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{.*?}})? (\S+)$", text, re.M))


@contextlib.contextmanager
def load(target: Target, clients: int) -> Iterator[Counter[str]]:
    """Send slices from `clients` threads until the end of the block; count the outcomes."""
    outcomes: Counter[str] = Counter()
    stop = threading.Event()

    def run(number: int) -> None:
        while not stop.is_set():
            outcome = target.judge(number)
            outcomes[outcome] += 1
            if outcome == REFUSED:
                time.sleep(0.02)
            number += 1

    threads = [threading.Thread(target=run, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def seconds_to_right(target: Target) -> float:
    """Return how long it takes until a slice is answered right again."""
    start = time.monotonic()
    while target.judge(0, timeout=10) != RIGHT:
        if time.monotonic() - start > 30:
            return float("inf")
        time.sleep(0.02)
    return time.monotonic() - start
