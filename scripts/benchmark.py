"""Measure Brain CNN beside the usual way to serve a Keras model; write docs/benchmark.*.

    python scripts/benchmark.py                           everything, about 15 minutes
    python scripts/benchmark.py --quick                   does it run? No numbers to use
    python scripts/benchmark.py --only http,memory        some sections; the others stay as written
    python scripts/benchmark.py --only memory --soak 600  a soak of 10 minutes

Both sides are measured in one run, in turns, with the same model file on the same machine;
ratios are of that run. It needs the development requirements; more engines are compared where
requirements-bench.txt is installed, accuracy on real slices where the data is there
(BRAIN_CNN_DATA, else ../shared/data). Servers and load stay on this machine's loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from benchmarks import common, engines, in_process, report, scaling, serving

from brain_cnn.errors import BrainCnnError
from brain_cnn.inference.bundle import Bundle, load_bundle

SECTIONS = ("in_process", "http", "cold_start", "memory", "scaling", "engines")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = _parse(arguments)
    # Ended from outside, the servers must end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        bundle = load_bundle(None)
    except BrainCnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    target = args.out / "benchmark.json"
    result: dict[str, Any] = {}
    if target.is_file() and set(args.only) != set(SECTIONS):
        result = json.loads(target.read_text())
    for section in args.only:
        common.say(f"-- {section}")
        facts = common.machine()
        result[section] = _measure(section, args, bundle)
        # Each with its own facts: sections may be measured on different days.
        result[section]["run"] = facts | {
            "model": f"{bundle.name} {bundle.version}",
            "model_sha256": bundle.sha256[:12],
            "quick": args.quick,
        }
        args.out.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (args.out / "benchmark.md").write_text(report.markdown(result), encoding="utf-8")
    print(f"Written: {target} and {args.out / 'benchmark.md'}")
    return 0


def _measure(section: str, args: argparse.Namespace, bundle: Bundle) -> dict[str, Any]:
    quick = args.quick
    if section == "in_process":
        return in_process.measure(rounds=1 if quick else 5, calls=10 if quick else 100)
    if section == "http":
        seconds = 1.0 if quick else args.seconds
        return serving.measure_http(seconds, 1 if quick else 3, args.workers)
    if section == "cold_start":
        return serving.measure_cold_start(1 if quick else 7)
    if section == "memory":
        return serving.measure_memory(4.0 if quick else args.soak)
    if section == "scaling":
        return scaling.measure(5 if quick else 40)
    with tempfile.TemporaryDirectory() as folder:
        tensors = _real_slices(bundle, Path(folder), args.data)
        return engines.measure(bundle.path, 20 if quick else 300, tensors)


def _real_slices(bundle: Bundle, folder: Path, data: Path | None) -> Path | None:
    """Prepare the val slices of the protocol split; None where the data is absent."""
    if data is None:
        common.say("no real data: accuracy is not compared")
        return None
    from brain_cnn.dataset.labelled import load_labelled, true_labels
    from brain_cnn.preprocess import prepare

    labelled = load_labelled(str(data / "brain-tumor-mri.zip"), "protocol", data / "provenance.csv")
    places = labelled.split.val
    tensors = [prepare(labelled.images[i], bundle.input_size).tensor for i in places]
    path = folder / "slices.npz"
    np.savez(path, tensors=np.stack(tensors), labels=true_labels(labelled, places))
    return path


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--only", type=_sections, default=list(SECTIONS), help=f"of {', '.join(SECTIONS)}"
    )
    parser.add_argument("--out", type=Path, default=common.ROOT / "docs", help="folder")
    parser.add_argument("--data", type=Path, default=_data(), help="folder of the real data")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load over HTTP")
    parser.add_argument("--soak", type=float, default=90.0, help="seconds of the memory section")
    parser.add_argument("--quick", action="store_true", help="tiny repetitions")
    return parser.parse_args(arguments)


def _sections(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in SECTIONS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SECTIONS)}")
    return names


def _data() -> Path | None:
    named = os.environ.get("BRAIN_CNN_DATA")
    folder = Path(named) if named else common.ROOT.parent / "shared" / "data"
    return folder if (folder / "provenance.csv").is_file() else None


if __name__ == "__main__":
    sys.exit(main())
