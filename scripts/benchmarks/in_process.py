"""File bytes -> class, probabilities and heatmap array, without a server and without drawing.

Each side runs in a process of its own, and they take turns: what slows the machine for a
while slows both. Run as a program, this file is one of the sides.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from benchmarks.common import AS_PROGRAM, ENVIRONMENT, picture, say, spread

# Seconds of the engine calls of one classification.
_engine_s: list[float] = []

_PICTURES = {"gray": "L", "colour": "RGB"}


def measure(rounds: int, calls: int) -> dict[str, Any]:
    """Measure both sides in turns, `rounds` times `calls` calls for each picture."""
    say("in process: ours and the usual way, in turns")
    sides = {side: _Side(side) for side in ("ours", "usual")}
    times: dict[str, dict[str, list[dict[str, float]]]] = {
        side: {name: [] for name in _PICTURES} for side in sides
    }
    try:
        for _ in range(rounds):
            for name in _PICTURES:
                for side, process in sides.items():
                    # The slow side needs fewer calls for the same certainty.
                    count = calls if side == "ours" else max(3, calls // 10)
                    times[side][name] += process.run(name, count)
    finally:
        for process in sides.values():
            process.stop()
    result: dict[str, Any] = {"picture": "512 x 512 JPEG", "bytes": {}, "sides": {}}
    for name, mode in _PICTURES.items():
        result["bytes"][name] = len(picture(512, mode))
    for side, pictures in times.items():
        result["sides"][side] = {
            name: {part: spread([one[part] for one in found]) for part in found[0]}
            for name, found in pictures.items()
        }
    result["ratio"] = {
        name: round(
            result["sides"]["usual"][name]["total_ms"]["median"]
            / result["sides"]["ours"][name]["total_ms"]["median"],
            1,
        )
        for name in _PICTURES
    }
    return result


class _Side:
    """A process that classifies when it is told to."""

    def __init__(self, side: str) -> None:
        self._process = subprocess.Popen(
            [*AS_PROGRAM, "benchmarks.in_process", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=ENVIRONMENT,
        )

    def run(self, name: str, count: int) -> list[dict[str, float]]:
        """Return milliseconds by part for each of `count` calls."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(name, count, file=self._process.stdin, flush=True)
        for line in self._process.stdout:  # libraries may chat on the same stream
            if line.startswith("TIMES "):
                result: list[dict[str, float]] = json.loads(line.removeprefix("TIMES "))
                return result
        raise RuntimeError("a side of the benchmark stopped")

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _ours(data: bytes) -> dict[str, float]:
    _engine_s.clear()
    start = time.perf_counter()
    diagnosis = _classifier.classify(data)
    _ = diagnosis.label, diagnosis.probabilities, diagnosis.heatmap
    total = time.perf_counter() - start
    engine = sum(_engine_s)
    rest = total - engine
    return {"total_ms": total * 1e3, "engine_ms": engine * 1e3, "rest_ms": rest * 1e3}


def _usual(data: bytes) -> dict[str, float]:
    start = time.perf_counter()
    _classifier.classify(data)
    return {"total_ms": (time.perf_counter() - start) * 1e3}


def _load_ours() -> Any:
    from brain_cnn import load_classifier

    classifier = load_classifier()
    run = classifier.engine.run

    def timed(batch: Any) -> Any:
        start = time.perf_counter()
        output = run(batch)
        _engine_s.append(time.perf_counter() - start)
        return output

    classifier.engine.run = timed  # type: ignore[method-assign]
    return classifier


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        _classifier, _classify = _load_ours(), _ours
    else:
        from benchmarks.usual_app import UsualClassifier

        _classifier, _classify = UsualClassifier(), _usual
    _files = {name: picture(512, mode) for name, mode in _PICTURES.items()}
    for _file in _files.values():
        for _ in range(3):
            _classify(_file)
    for _line in sys.stdin:
        _name, _count = _line.split()
        _done = [_classify(_files[_name]) for _ in range(int(_count))]
        print("TIMES", json.dumps(_done), flush=True)
