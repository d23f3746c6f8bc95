"""Load over HTTP: `wrk` where it is installed, else a small load maker of our own.

Both keep one connection a client, send the same POST again as soon as the answer is there,
and stop by themselves. They only ever talk to this machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

_HOST = "127.0.0.1"

# Prints one line of JSON at the end; latencies are in microseconds.
_SCRIPT = """
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
wrk.method = "POST"
wrk.headers["Content-Type"] = "{kind}"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nJSON {{"requests": %d, "seconds": %f, "errors": %d, "p50": %f, "p99": %f, "max": %f}}\\n',
    summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
"""


@dataclass(frozen=True)
class Load:
    """What one load of `clients` saw; latencies in milliseconds."""

    clients: int
    requests: int
    errors: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    def values(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(self).items()}


def load_maker() -> str:
    """Return the name of what makes the load here."""
    return "wrk" if shutil.which("wrk") else "own threads"


def make_load(
    port: int, body: bytes, kind: str, clients: int, seconds: float, path: str = "/api/v1/predict"
) -> Load:
    """Send `body` from `clients` at once for `seconds`."""
    if load_maker() == "wrk":
        return _wrk(port, body, kind, clients, seconds, path)
    return _threads(port, body, kind, clients, seconds, path)


def _wrk(port: int, body: bytes, kind: str, clients: int, seconds: float, path: str) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "body"
        data.write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.format(body=data, kind=kind))
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        command += ["-s", str(script), f"http://{_HOST}:{port}{path}"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in text.splitlines() if line.startswith("JSON "))
    said = json.loads(line.removeprefix("JSON "))
    rate = said["requests"] / said["seconds"]
    return Load(
        clients, said["requests"], said["errors"], rate, said["p50"], said["p99"], said["max"]
    )


def _threads(port: int, body: bytes, kind: str, clients: int, seconds: float, path: str) -> Load:
    times: list[float] = []
    errors: list[str] = []
    start = time.perf_counter()
    end = start + seconds

    def client() -> None:
        connection = HTTPConnection(_HOST, port, timeout=30)
        while (sent := time.perf_counter()) < end:
            try:
                connection.request("POST", path, body, {"Content-Type": kind})
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException) as error:
                errors.append(type(error).__name__)
                connection.close()
                continue
            if response.status == 200:
                times.append(time.perf_counter() - sent)
            else:
                errors.append(str(response.status))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    ordered = sorted(times) or [float("nan")]
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * p))] * 1000 for p in (0.5, 0.99))
    rate = len(times) / took
    return Load(clients, len(times), len(errors), rate, p50, p99, ordered[-1] * 1000)
