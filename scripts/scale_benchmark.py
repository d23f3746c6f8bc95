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
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # as scripts/predict.py does, before NumPy

import numpy as np
from benchmarks.scale_archive import build_archive, pictures_of
from benchmarks.scale_report import Numbers, document

from brain_cnn.batch import JobSettings, ScoreSettings, read_rows, run_job, walk
from brain_cnn.batch.walk import Item, Opener
from brain_cnn.inference.classifier import Classifier, load_classifier
from brain_cnn.labels import LABELS
from brain_cnn.scan import read_scan

ROOT = Path(__file__).resolve().parent.parent
JSON, DOCUMENT = ROOT / "docs" / "scale.json", ROOT / "docs" / "scale.md"
_LOOP = 600  # files of the one-by-one loop
Rate = tuple[float, float]
"""Slices a second, and milliseconds of processor time a slice."""
_SLOW_MS = 20.0  # what a request to a far store takes, as simulated


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
    add("--loop", type=Path, help=argparse.SUPPRESS)  # the loop, in a process of its own
    add("--threads", type=int, help=argparse.SUPPRESS)  # of its network
    options = parser.parse_args(arguments)
    if options.loop:
        print(json.dumps(one_by_one(options.loop, options.model, options.threads)))
        return 0
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
    }
    loops = [loop(options, root)]
    say("one by one", loops[0][0])
    numbers["loop_one"] = loop(options, root, threads=1)[0]
    say("one by one, the network on one core", numbers["loop_one"])

    def job(name: str, **changes: Any) -> JobSettings:
        return JobSettings(
            root, folder / name, options.model, form="jsonl", part_files=128, **changes
        )

    measured, numbers["memory_mib"] = stream(job("stream"))
    numbers["stream"], numbers["stream_cpu_ms"] = measured
    say("stream", numbers["stream"])
    loops.append(loop(options, root))  # before and after: the machine may have changed
    say("one by one, again", loops[1][0])
    numbers["loop"], numbers["loop_cpu_ms"] = (
        float(np.mean(values)) for values in zip(*loops, strict=True)
    )
    for name in ("loop", "loop_one"):
        print(f"stream: {numbers['stream'] / numbers[name]:.2f} of {name}", flush=True)
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


def loop(options: argparse.Namespace, root: Path, threads: int | None = None) -> Rate:
    """Return what `one_by_one` measures in a process of its own; None: threads as they come."""
    command = [sys.executable, __file__, "--loop", str(root)]
    if options.model:
        command += ["--model", str(options.model)]
    if threads:
        command += ["--threads", str(threads)]
    plain = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(command, env=plain, stdout=subprocess.PIPE, check=True)
    rate, cpu_ms = json.loads(done.stdout)
    return rate, cpu_ms


def one_by_one(root: Path, model_path: Path | None, threads: int | None) -> Rate:
    """Measure the plain loop: read a file, classify it, write its row, the next."""
    model = load_classifier(model_path, threads=threads)
    items = list(islice(walk(root), _LOOP))
    opener = Opener(model.limits)
    model.classify(opener.read(items[0]))
    with tempfile.TemporaryFile("w", encoding="utf-8") as out:
        start, busy = time.perf_counter(), time.process_time()
        for item in items:
            answer = model.classify(opener.read(item))
            row = {"path": item.path, "verdict": answer.verdict, **answer.probabilities}
            out.write(json.dumps(row) + "\n")
            out.flush()
        seconds = time.perf_counter() - start
    return len(items) / seconds, (time.process_time() - busy) / len(items) * 1000


def stream(settings: JobSettings) -> tuple[Rate, dict[str, int]]:
    """Measure the rate in this process, and its memory after each quarter."""
    seen: list[tuple[float, int]] = []
    memory: list[float] = []
    busy: list[float] = []

    def told(files: int) -> None:
        seen.append((time.perf_counter(), files))
        memory.append(memory_mib())
        busy.append(time.process_time())

    run_job(settings, None, told)
    quarters = {
        f"{share:.0%}": round(memory[max(0, int(len(memory) * share) - 1)])
        for share in (0.25, 0.5, 0.75, 1.0)
    }
    cpu_ms = (busy[-1] - busy[0]) / max(seen[-1][1] - seen[0][1], 1) * 1000
    return (_steady(seen), cpu_ms), quarters


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


def say(name: str, rate: float) -> None:
    """Print a rate as it is known."""
    print(f"{name:32} {rate:8.1f} slices/s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
