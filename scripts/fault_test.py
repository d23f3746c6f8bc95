"""What the server does when things go wrong, tried out on a real one.

    python scripts/fault_test.py            # all faults, about two minutes
    python scripts/fault_test.py --short    # a few seconds each, as `make test` does

A server is started on a free port, drawn slices are sent to it all the time, and meanwhile a
worker is killed, hundreds of clients come at once, clients trickle bytes, uploads stop in the
middle, and the master is told to stop. It prints a table, and ends with status 1 unless: no
answer was wrong, every other request got 503 with Retry-After or a closed connection, the
server answered again within two seconds, and the memory came back.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.target import (  # noqa: E402
    ALLOWED,
    HEAD,
    RIGHT,
    Target,
    load,
    seconds_to_right,
    upload_body,
)


def worker_killed(target: Target, short: bool) -> Counter[str]:
    """Kill a worker with -9 under load, and wait for the next one."""
    with load(target, 4) as outcomes:
        for _ in range(1 if short else 3):
            before = target.workers()
            time.sleep(0.5)
            os.kill(before[0], signal.SIGKILL)
            deadline = time.monotonic() + 30
            while len(set(target.workers()) - {before[0]}) < len(before):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            time.sleep(0.5)
    return outcomes


def many_at_once(target: Target, short: bool) -> Counter[str]:
    """Let 500 clients (100 in short) send a slice in the same moment."""
    count = 100 if short else 500
    outcomes: Counter[str] = Counter()
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait(60)
        outcomes[target.judge(number)] += 1

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    outcomes["lost"] += count - outcomes.total()
    return +outcomes


def slow_clients(target: Target, short: bool) -> Counter[str]:
    """Trickle requests from 300 clients (100 in short), byte by byte; serve others meanwhile."""
    slow = [target.connect() for _ in range(100 if short else 300)]
    half = len(slow) // 2  # some are slow in the head, some in the body
    request = HEAD.format(len(target.bodies[0])).encode() + target.bodies[0]
    for sock in slow[half:]:
        sock.sendall(request[:400])
    with load(target, 2) as outcomes:
        for place in range(8 if short else 40):
            for number, sock in enumerate(slow):
                at = place if number < half else 400 + place
                with contextlib.suppress(OSError):
                    sock.send(request[at : at + 1])
            time.sleep(0.25)
    for sock in slow:
        sock.close()
    return outcomes


def half_sent(target: Target, short: bool) -> Counter[str]:
    """Stop 200 uploads (40 in short) of 1 MiB in the middle; half of them hang up."""
    body = upload_body(bytes(1 << 20))
    socks = []
    with load(target, 2) as outcomes:
        for number in range(40 if short else 200):
            sock = target.connect()
            with contextlib.suppress(OSError):
                sock.sendall(HEAD.format(len(body)).encode() + body[: len(body) // 2])
            if number % 2:
                sock.close()
            else:
                socks.append(sock)
        time.sleep(0.5 if short else 3)
    for sock in socks:
        sock.close()
    deadline = time.monotonic() + 5
    # The request for the number is a hundred bytes itself.
    while target.metric("brain_cnn_held_bytes") > 1000 and time.monotonic() < deadline:
        time.sleep(0.1)
    if (held := target.metric("brain_cnn_held_bytes")) > 1000:
        outcomes[f"{held:.0f} bytes not given back"] += 1
    return outcomes


def master_stopped(target: Target, short: bool) -> Counter[str]:
    """Tell the master to stop, under load; what was accepted is still answered."""
    with load(target, 4) as outcomes:
        time.sleep(0.5 if short else 2)
        os.kill(target.master, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while Path(f"/proc/{target.master}/task").exists() and time.monotonic() < deadline:
            status = Path(f"/proc/{target.master}/status")
            with contextlib.suppress(OSError):
                if "State:\tZ" in status.read_text():
                    break
            time.sleep(0.05)
        else:
            outcomes["still running after 60 s"] += time.monotonic() >= deadline
    return +outcomes


FAULTS: list[Callable[[Target, bool], Counter[str]]] = [
    worker_killed,
    many_at_once,
    slow_clients,
    half_sent,
]


def run_all(target: Target, short: bool) -> list[dict[str, Any]]:
    """Bring all faults about; return a row for each."""
    rows = []
    for fault in [*FAULTS, master_stopped]:
        before = target.memory_mib()
        outcomes = fault(target, short)
        row: dict[str, Any] = {"fault": fault.__name__, "outcomes": dict(outcomes)}
        if fault is not master_stopped:
            row["seconds_to_right"] = round(seconds_to_right(target), 3)
            row["memory_mib"] = [round(before), round(target.memory_mib())]
        rows.append(row)
    return rows


def broken_promises(rows: list[dict[str, Any]], recovery_s: float, growth_mib: float) -> list[str]:
    """Return what did not go as promised."""
    said = []
    for row in rows:
        bad = {k: n for k, n in row["outcomes"].items() if k not in ALLOWED}
        if bad:
            said.append(f"{row['fault']}: {bad}")
        if row["outcomes"].get(RIGHT, 0) == 0:
            said.append(f"{row['fault']}: nobody was answered")
        if row.get("seconds_to_right", 0) > recovery_s:
            said.append(f"{row['fault']}: answered again after {row['seconds_to_right']} s")
        before, after = row.get("memory_mib", (0, 0))
        # A worker that has never been busy grows to its working size, once.
        if after - before > growth_mib:
            said.append(f"{row['fault']}: memory {before} -> {after} MiB")
    return said


def main() -> int:
    """Run the faults against a server of our own; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a few seconds for each fault")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {"BRAIN_CNN_BIND": f"127.0.0.1:{port}", "BRAIN_CNN_WORKERS": str(options.workers)}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"],
            cwd=ROOT, env=os.environ | environ, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            while server.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            rows = run_all(Target(port, server.pid), options.short)
        finally:
            server.kill() if server.poll() is None else None
            server.wait()
    for row in rows:
        print(json.dumps(row))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    broken = broken_promises(rows, recovery_s=2.0, growth_mib=100.0 * options.workers)
    for sentence in broken:
        print("NOT AS PROMISED:", sentence)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
