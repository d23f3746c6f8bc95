"""Measure the page in Chromium, against the real server on this machine.

    python scripts/page_speed.py [--runs 20] [--out docs]

First contentful paint and bytes of the start page (nothing cached), and the time from the drop
of a 512 x 512 JPEG until its overlay is painted, with the part of it that the server took.
Writes page_speed.json and page_speed.md. Needs requirements-dev.txt and Chromium.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from brain_cnn.phantoms import draw_phantom

ROOT = Path(__file__).resolve().parent.parent
LIMIT_KB = 150

_DROP = """async (bytes) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], "slice.jpg", {type: "image/jpeg"}));
  performance.clearMarks();
  performance.clearResourceTimings();
  const start = performance.now();
  document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
  while (!performance.getEntriesByName("overlay-painted").length)
    await new Promise((resolve) => requestAnimationFrame(resolve));
  const painted = performance.getEntriesByName("overlay-painted")[0].startTime;
  const view = performance.getEntriesByType("resource").find((e) => e.name.endsWith("/view"));
  return {total: painted - start, server: view.responseEnd - view.requestStart};
}"""


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=20, help="drops that are timed")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("No Chromium here; install it with: apt-get install chromium", file=sys.stderr)
        return 2
    with serving() as url, sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        record: dict[str, Any] = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
            "browser": f"Chromium {browser.version}, headless",
            "start_page": start_page(browser, url, options.runs),
            "drop_to_overlay": drops(browser, url, options.runs),
        }
        browser.close()
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=2)
    (options.out / "page_speed.json").write_text(text + "\n", encoding="utf-8")
    (options.out / "page_speed.md").write_text(as_markdown(record), encoding="utf-8")
    print(text)
    return 0 if record["start_page"]["kb"] <= LIMIT_KB else 1


def start_page(browser: Browser, url: str, runs: int) -> dict[str, Any]:
    """Load the start page `runs` times with an empty cache; return medians and total bytes."""
    paints, sizes, requests = [], [], 0
    for _ in range(runs):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        network = context.new_cdp_session(page)
        got: list[float] = []
        network.on("Network.loadingFinished", lambda e, got=got: got.append(e["encodedDataLength"]))
        network.send("Network.enable")
        page.goto(url, wait_until="networkidle")
        paints.append(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )
        sizes.append(sum(got))
        requests = len(got)
        context.close()
    return {
        "first_contentful_paint_ms": round(statistics.median(paints), 1),
        "kb": round(max(sizes) / 1000, 1),
        "requests": requests,
        "runs": runs,
    }


def drops(browser: Browser, url: str, runs: int) -> dict[str, Any]:
    """Drop the same JPEG `runs` times, after one to warm up; return medians in milliseconds."""
    file = io.BytesIO()
    Image.fromarray(draw_phantom("glioma", 3, 512)).save(file, "JPEG", quality=90)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url, wait_until="networkidle")
    timed = [page.evaluate(_DROP, list(file.getvalue())) for _ in range(runs + 1)][1:]
    totals = sorted(one["total"] for one in timed)
    page.close()
    return {
        "median_ms": round(statistics.median(totals), 1),
        "slowest_ms": round(totals[-1], 1),
        "server_median_ms": round(statistics.median(one["server"] for one in timed), 1),
        "file_kb": round(len(file.getvalue()) / 1000, 1),
        "runs": runs,
    }


@contextmanager
def serving() -> Iterator[str]:
    """Run gunicorn with our own configuration on a free port; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"],
        cwd=ROOT,
        env=os.environ | {"BRAIN_CNN_BIND": address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit("The server did not start; `make serve` says why.")
            try:
                with urllib.request.urlopen(f"http://{address}/readyz", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def as_markdown(record: dict[str, Any]) -> str:
    """Return the record as a table for people."""
    start, drop = record["start_page"], record["drop_to_overlay"]
    rows = [
        ("what", "measured"),
        ("---", "---"),
        (
            "start page, first contentful paint, nothing cached",
            f"{start['first_contentful_paint_ms']} ms (median of {start['runs']})",
        ),
        (
            f"start page, all {start['requests']} requests together",
            f"{start['kb']} kB (limit {LIMIT_KB} kB)",
        ),
        (
            f"drop of a 512 x 512 JPEG ({drop['file_kb']} kB) until the overlay is painted",
            f"{drop['median_ms']} ms (median of {drop['runs']}, slowest {drop['slowest_ms']} ms)",
        ),
        (
            "of that, from the request to the first byte of the answer",
            f"{drop['server_median_ms']} ms",
        ),
    ]
    table = "\n".join(f"| {what} | {measured} |" for what, measured in rows)
    return f"""# How fast the page is

Made by `python scripts/page_speed.py`, server and browser on the same machine
({record["machine"]}; {record["browser"]}).

{table}
"""


if __name__ == "__main__":
    sys.exit(main())
