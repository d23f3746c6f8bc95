"""Start one of the two servers on a free port of this machine, and stop it again."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import HERE, ROOT, children, multipart, picture

SIDES = ("ours", "usual")


@dataclass
class Running:
    """A server that answers.

    Attributes:
        port: on the loopback. pid: of the master process.
        ready_s: from its start to the first good answer of /readyz.
    """

    port: int
    pid: int
    ready_s: float

    def workers(self) -> list[int]:
        """Return the processes that answer."""
        return children(self.pid)

    def ask(self, data: bytes | None = None) -> bytes:
        """Send one picture and return the answer.

        Raises:
            RuntimeError: the answer is not 200.
        """
        body, kind = multipart(picture() if data is None else data)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", "/api/v1/predict", body, {"Content-Type": kind})
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise RuntimeError(f"status {response.status}: {text[:200]!r}")
        return text


@contextlib.contextmanager
def running(side: str, workers: int, log: Path) -> Iterator[Running]:
    """Start `side` ("ours" or "usual") with `workers` processes; stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = dict(os.environ)
    command = [sys.executable, "-m", "gunicorn"]
    if side == "ours":
        environ |= {"BRAIN_CNN_BIND": f"127.0.0.1:{port}", "BRAIN_CNN_WORKERS": str(workers)}
        command += ["--config", "gunicorn.conf.py"]
        folder = ROOT
    else:
        environ |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
        command += ["--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        command += ["--worker-class", "gthread", "--threads", "2", "--timeout", "120"]
        command += ["--no-control-socket", "usual_app:create_app()"]
        folder = HERE
    start = time.perf_counter()
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=out, stderr=out, start_new_session=True
        )
    try:
        _wait(port, process, log)
        yield Running(port, process.pid, time.perf_counter() - start)
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        # A worker that still loads TensorFlow outlives its master: all of the group must go.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.005)
        finally:
            connection.close()
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")
