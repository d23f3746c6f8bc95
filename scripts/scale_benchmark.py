"""Measure the scoring of an archive, and write the numbers of docs/scale.md.

    python scripts/scale_benchmark.py                             drawn slices, a few minutes
    python scripts/scale_benchmark.py --images brain-tumor-mri.zip --slices 20000
    python scripts/scale_benchmark.py --check                     is docs/scale.md up to date?

Builds an archive of folders and ZIPs (the images of --images, or drawn heads, repeated under
new names), scores it in every way in one run on one machine, and writes docs/scale.json and the
generated regions of docs/scale.md. Everything it makes is removed, unless --keep names a folder.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import re
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from brain_cnn.archive_scoring import JobSettings, ScoreSettings, read_rows, run_job, walk
from brain_cnn.archive_scoring.walk import Item, Opener
from brain_cnn.classifier import Classifier, load_classifier
from brain_cnn.labels import LABELS
from brain_cnn.scan import read_scan

ROOT = Path(__file__).resolve().parent.parent
JSON, DOCUMENT = ROOT / "docs" / "scale.json", ROOT / "docs" / "scale.md"
_REGION = re.compile(
    r"(<!-- BEGIN GENERATED (?P<name>[\w-]+) -->\n).*?(<!-- END GENERATED (?P=name) -->)",
    re.DOTALL,
)
_SLOW_MS = 20.0  # what a request to a far store takes, as simulated
_ARCHIVE = 10**8
Numbers = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--slices", type=int, default=1500, help="files in the archive")
    add("--images", type=Path, help="ZIP of images; without it heads are drawn")
    add("--workers", type=int, nargs="*", default=[1, 2], help="numbers of Dask workers")
    add("--keep", type=Path, help="keep the archive and the results in this folder")
    add("--model", type=Path)
    add("--check", action="store_true")
    options = parser.parse_args(arguments)
    if not options.check:
        with tempfile.TemporaryDirectory() as folder:
            numbers = measure(options.keep or Path(folder), options)
        JSON.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    new = document(text, json.loads(JSON.read_text(encoding="utf-8")))
    if options.check:
        return int(new != text)
    DOCUMENT.write_text(new, encoding="utf-8")
    return 0


def build_archive(root: Path, pictures: list[bytes], count: int) -> None:
    """Write `count` files: half in folders of 500, half in ZIPs of 500, each with a new name."""
    supply = cycle(pictures)
    for number, first in enumerate(range(0, count, 500)):
        part = list(islice(supply, min(500, count - first)))
        if number % 2:
            with zipfile.ZipFile(
                _made(root / f"box{number % 7}") / f"{number:05d}.zip", "w"
            ) as box:
                for place, data in enumerate(part):
                    box.writestr(f"scan{place:04d}", data)
            continue
        folder = _made(root / f"ward{number % 7}" / f"{number:05d}")
        for place, data in enumerate(part):
            (folder / f"scan{place:04d}").write_bytes(data)


def measure(folder: Path, options: argparse.Namespace) -> Numbers:
    """Return everything that docs/scale.md says."""
    root = folder / "archive"
    if not root.exists():
        build_archive(root, pictures_of(options.images), options.slices)
    model = load_classifier(options.model, threads=1)
    numbers: Numbers = {
        "slices": options.slices,
        "images": "real slices, repeated" if options.images else "drawn heads, repeated",
        "cores": os.cpu_count(),
        "processor": processor(),
        "model": f"{model.bundle.name} {model.bundle.version}",
        "cost_ms": cost_of_a_slice(model, root),
        "loop": loop(options, root),
    }
    say("one by one", numbers["loop"])

    def job(name: str, **changes: Any) -> JobSettings:
        return JobSettings(
            root, folder / name, options.model, form="jsonl", part_files=128, **changes
        )

    numbers["stream"], numbers["memory_mib"] = stream(job("stream"))
    say("stream", numbers["stream"])
    numbers["difference"] = difference(model, root, folder / "stream")
    numbers["workers"] = {}
    for count in options.workers:
        rate = steady_rate(job(f"workers{count}", workers=count))
        numbers["workers"][str(count)] = rate
        say(f"{count} Dask workers", rate)
    numbers["slow_ms"] = _SLOW_MS
    numbers["slow"] = {}
    fast = Opener.read
    try:
        Opener.read = _slowly(fast)  # type: ignore[method-assign, assignment]
        few = folder / "few"
        if not few.exists():
            build_archive(few, pictures_of(options.images), min(options.slices, 600))
        for readers in (1, 4, 16):
            settings = replace(
                job(f"slow{readers}", score=ScoreSettings(readers=readers)), root=few, part_files=64
            )
            numbers["slow"][str(readers)] = steady_rate(settings)
            say(f"slow storage, {readers} readers", numbers["slow"][str(readers)])
    finally:
        Opener.read = fast  # type: ignore[method-assign]
    return numbers


def loop(options: argparse.Namespace, root: Path) -> float:
    """Return slices a second of the plain loop: read a file, classify it, the next."""
    model = load_classifier(options.model)
    items = list(islice(walk(root), 300))
    opener = Opener(model.limits)
    model.classify(opener.read(items[0]))
    start = time.perf_counter()
    for item in items:
        model.classify(opener.read(item))
    return len(items) / (time.perf_counter() - start)


def stream(settings: JobSettings) -> tuple[float, dict[str, int]]:
    """Return the rate in this process, and its memory after each quarter."""
    seen: list[tuple[float, int, float]] = []
    run_job(settings, None, lambda files: seen.append((time.perf_counter(), files, memory_mib())))
    quarters = {
        f"{share:.0%}": round(seen[max(0, int(len(seen) * share) - 1)][2])
        for share in (0.25, 0.5, 0.75, 1.0)
    }
    return _steady([(moment, files) for moment, files, _ in seen]), quarters


def steady_rate(settings: JobSettings) -> float:
    """Return files a second between the first part and the last: without the start."""
    seen: list[tuple[float, int]] = []
    run_job(settings, None, lambda files: seen.append((time.perf_counter(), files)))
    return _steady(seen)


def _steady(seen: list[tuple[float, int]]) -> float:
    (start, first), (end, last) = seen[0], seen[-1]
    return (last - first) / max(end - start, 1e-9)


def cost_of_a_slice(model: Classifier, root: Path) -> dict[str, float]:
    """Return milliseconds of one core for each step of a slice, medians."""
    opener = Opener(model.limits)
    steps: dict[str, list[float]] = {"read": [], "decode": [], "prepare": [], "network": []}
    batch = []
    for item in islice(walk(root), 128):
        start = time.perf_counter()
        data = opener.read(item)
        read = time.perf_counter()
        batch.append(read_scan(data).slices[0])
        steps["read"].append((read - start) * 1000)
        steps["decode"].append((time.perf_counter() - read) * 1000)
    from brain_cnn.scan import Scan

    for first in range(0, len(batch), 32):
        timing = model.classify_scan(Scan(tuple(batch[first : first + 32]), "batch"))[0].timing_ms
        for name in ("prepare", "network"):
            steps[name].append(timing[name])
    return {name: float(np.median(values)) for name, values in steps.items()}


def difference(model: Classifier, root: Path, results: Path) -> float:
    """Return the largest difference of a probability to `classify`, over a sample."""
    rows = {row["path"]: row for row in islice(read_rows(results), 0, None, 97)}
    opener = Opener(model.limits)
    largest = 0.0
    for item in walk(root):
        if item.path in rows:
            answer = model.classify(opener.read(item)).probabilities
            away = max(abs(answer[n] - rows[item.path][f"p_{n}"]) for n in LABELS)
            largest = max(largest, away)
    return largest


def document(text: str, numbers: Numbers) -> str:
    """Return docs/scale.md with the numbers in its regions."""
    regions = {"scale-cost": _cost, "scale-rates": _rates, "scale-paper": _paper}
    return _REGION.sub(
        lambda found: found[1] + regions[found["name"]](numbers) + found[3], text
    )  # fmt: skip


def _cost(n: Numbers) -> str:
    total = sum(n["cost_ms"].values())
    lines = ["| step of a slice | ms of one core | share |", "|---|---|---|"]
    for name, value in n["cost_ms"].items():
        lines.append(f"| {name} | {value:.2f} | {value / total:.0%} |")
    lines.append(f"| all | {total:.2f} | |")
    return "\n".join(lines) + "\n"


def _rates(n: Numbers) -> str:
    base = n["loop"]
    one = n["workers"].get("1")
    lines = [
        f"{n['slices']:,} files ({n['images']}), half in folders and half in ZIPs, "
        f"{n['cores']} cores ({n['processor']}), model {n['model']}, one run.",
        "",
        "| how | slices a second | of the one-by-one loop | of the straight line |",
        "|---|---|---|---|",
        f"| one by one, `classify` in a loop | {base:.1f} | 1.0 | |",
        f"| stream, one process | {n['stream']:.1f} | {n['stream'] / base:.1f} | |",
    ]
    for count, rate in n["workers"].items():
        line = f"{rate / (one * int(count)):.0%}" if one else ""
        lines.append(f"| {count} Dask workers | {rate:.1f} | {rate / base:.1f} | {line} |")
    for readers, rate in n["slow"].items():
        lines.append(
            f"| storage that answers in {n['slow_ms']:.0f} ms, {readers} readers | {rate:.1f} | "
            f"{rate / base:.1f} | |"
        )
    memory = ", ".join(f"{value:,} MiB after {share}" for share, value in n["memory_mib"].items())
    lines += ["", f"Most memory of the stream: {memory}. Largest difference of a probability to "
              f"`classify` over a sample: {n['difference']:.1e}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _paper(n: Numbers) -> str:
    rate = n["workers"].get("1") or n["stream"] / n["cores"]
    hours = _ARCHIVE / rate / 3600
    lines = [
        f"One worker on one core judges {rate:.1f} slices a second: 10^8 slices are "
        f"**{hours:,.0f} core-hours**.",
        "",
        "| workers | days |",
        "|---|---|",
    ]
    lines += [f"| {count} | {hours / count / 24:.1f} |" for count in (1, 16, 64, 256)]
    return "\n".join(lines) + "\n"


def pictures_of(images: Path | None) -> list[bytes]:
    """Return the files of a ZIP, or drawn heads."""
    if images is not None:
        with zipfile.ZipFile(images) as packed:
            names = sorted(n for n in packed.namelist() if n.lower().endswith((".jpg", ".png")))
            return [packed.read(name) for name in names]
    return list(_drawn())


def _drawn() -> Iterator[bytes]:
    from PIL import Image

    from brain_cnn.phantoms import draw_phantom

    for place in range(40):
        file = io.BytesIO()
        Image.fromarray(draw_phantom(LABELS[place % 4], place)).save(file, "JPEG")
        yield file.getvalue()


def _slowly(read: Callable[[Opener, Item], bytes]) -> Callable[[Opener, Item], bytes]:
    def slow(opener: Opener, item: Item) -> bytes:
        time.sleep(_SLOW_MS / 1000)
        return read(opener, item)

    return slow


def memory_mib() -> float:
    """Return the most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def processor() -> str:
    """Return the name of the processor."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(name: str, rate: float) -> None:
    """Print a rate as it is known."""
    print(f"{name:32} {rate:8.1f} slices/s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
