"""Two instances of the app behind a real proxy, one killed under load: who notices?

    python scripts/proxy_test.py                  with HAProxy or nginx, whichever is installed
    python scripts/proxy_test.py --proxy nginx
    python scripts/proxy_test.py --requests 200 --clients 8

Starts two gunicorns and a proxy in front, sends slices through the proxy from several
clients, kills one instance with -9 in the middle (all its processes), and starts it again.
The app keeps no state, so the test holds it to this: a request may fail where it was in
flight at the kill, and nowhere else, and the instance that came back gets requests again.

Exit status: 0 held, 1 not held, 2 no proxy installed or an instance did not start.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

ROOT = Path(__file__).resolve().parent.parent
PROXIES = ("haproxy", "nginx")

_HAPROXY = """
global
    maxconn 256
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch 1
frontend front
    bind 127.0.0.1:{front}
    default_backend app
backend app
    balance roundrobin
    option httpchk GET /readyz
    default-server inter 500ms fall 2 rise 1 check
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
"""
_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_max_body_size 128m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    upstream app {{
        server 127.0.0.1:{one} max_fails=1 fail_timeout=1s;
        server 127.0.0.1:{two} max_fails=1 fail_timeout=1s;
    }}
    server {{
        listen 127.0.0.1:{front};
        location / {{
            proxy_pass http://app;
            proxy_next_upstream error timeout;
            proxy_connect_timeout 2s;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Sent:
    """One request: when it began and ended (seconds), and its status; 0 for no answer."""

    began: float
    ended: float
    status: int


class Instance:
    """One gunicorn with all its workers, in a process group of its own."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log
        self.start()

    def start(self) -> None:
        """Start it, with what was logged before kept."""
        environ = os.environ | {
            "BRAIN_CNN_BIND": f"127.0.0.1:{self.port}",
            "BRAIN_CNN_WORKERS": "1",
        }
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"],
                cwd=ROOT, env=environ, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def wait(self, seconds: float) -> bool:
        """Return whether it answers within some seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return True
            except OSError:
                time.sleep(0.1)
        return False

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End all its processes; return when its port is shut, and nothing waits at it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
        self.process.wait()
        # The last of its processes may end a moment after the first.
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.01)

    def answered(self) -> int:
        """Return how many slices it has judged, as its log says."""
        return self.log.read_text(errors="replace").count("POST /api/v1/predict 200")


class Load:
    """Clients that send one slice after another until they are told to stop."""

    def __init__(self, port: int, clients: int, picture: bytes) -> None:
        self.sent: list[Sent] = []
        self._port = port
        self._stop = threading.Event()
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        self._body = head + picture + b"\r\n--b--\r\n"
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int, seconds: float) -> None:
        """Wait until so many requests more were answered."""
        goal, end = len(self.sent) + count, time.monotonic() + seconds
        while len(self.sent) < goal and time.monotonic() < end:
            time.sleep(0.02)

    def _run(self) -> None:
        while not self._stop.is_set():
            began, status = time.monotonic(), 0
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            try:
                connection.request(
                    "POST", "/api/v1/predict", self._body,
                    {"Content-Type": "multipart/form-data; boundary=b"},
                )  # fmt: skip
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            self.sent.append(Sent(began, time.monotonic(), status))


def main(arguments: list[str] | None = None) -> int:
    """Run the test; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--proxy", choices=PROXIES, help="default: the first that is installed")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests", type=int, default=60, help="before and after the kill, each")
    parser.add_argument("--seconds", type=float, default=60, help="the longest wait for them")
    options = parser.parse_args(arguments)
    program = find_proxy(options.proxy)
    if program is None:
        print("proxy_test: install haproxy or nginx", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        return _run(program, Path(folder), options)


def find_proxy(name: str | None = None) -> str | None:
    """Return the path of a proxy that is installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    found = (shutil.which(one, path=path) for one in ([name] if name else PROXIES))
    return next((one for one in found if one), None)


def _run(program: str, folder: Path, options: argparse.Namespace) -> int:
    one, two, front = _free_ports(3)
    instances = [Instance(port, folder / f"{port}.log") for port in (one, two)]
    proxy: subprocess.Popen[bytes] | None = None
    try:
        if not all(instance.wait(120) for instance in instances):
            print("proxy_test: an instance did not start", file=sys.stderr)
            print(instances[0].log.read_text(errors="replace")[-2000:], file=sys.stderr)
            return 2
        proxy = _start_proxy(program, folder, one=one, two=two, front=front)
        load = Load(front, options.clients, _picture())
        load.wait_for(options.requests, options.seconds)
        before = [instance.answered() for instance in instances]
        killed_from = time.monotonic()
        instances[0].kill()
        killed_to = time.monotonic()
        load.wait_for(options.requests, options.seconds)
        instances[0].start()
        back = instances[0].wait(120)
        load.wait_for(options.requests, options.seconds)
        # The proxy tries an instance again a second after it failed, however fast the load is.
        end = time.monotonic() + options.seconds
        while instances[0].answered() <= before[0] and time.monotonic() < end:
            time.sleep(0.1)
        load.stop()
        after = [instance.answered() for instance in instances]
    finally:
        if proxy is not None:
            proxy.terminate()
            proxy.wait()
        for instance in instances:
            instance.kill(signal.SIGTERM)
    failed = [sent for sent in load.sent if sent.status != 200]
    others = [s for s in failed if not (s.began <= killed_to and s.ended >= killed_from)]
    in_flight = [s for s in load.sent if s.began <= killed_to and s.ended >= killed_from]
    print(
        f"{Path(program).name}: {len(load.sent)} requests, {len(in_flight)} in flight at the "
        f"kill, {len(failed)} failed, {len(others)} of them not in flight. Answered by the "
        f"instances before the kill {before}, at the end {after}."
    )
    held = not others and min(before) > 0 and back and after[0] > before[0]
    for sent in others:
        print(
            f"status {sent.status}, from {sent.began - killed_to:+.3f} s to "
            f"{sent.ended - killed_to:+.3f} s around the kill"
        )
    print("held" if held else "NOT held")
    return 0 if held else 1


def _start_proxy(program: str, folder: Path, **ports: int) -> subprocess.Popen[bytes]:
    name = Path(program).name
    text = (_HAPROXY if name == "haproxy" else _NGINX).format(folder=folder, **ports)
    config = folder / f"{name}.conf"
    config.write_text(text)
    flags = ["-f", str(config)] if name == "haproxy" else ["-c", str(config), "-p", str(folder)]
    process = subprocess.Popen([program, *flags], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports['front']}/readyz", timeout=5):
                return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise SystemExit("proxy_test: the proxy did not start")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _picture() -> bytes:
    import io

    from PIL import Image

    from brain_cnn.phantoms import draw_phantom

    file = io.BytesIO()
    Image.fromarray(draw_phantom("glioma", 1)).save(file, "JPEG")
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
