"""Over HTTP: latency and throughput against clients, cold start, memory of a worker."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import maps_library, multipart, picture, rss_mib, say, spread
from benchmarks.load import Load, load_maker, make_load
from benchmarks.servers import SIDES, Running, running

CLIENTS = (1, 4, 16)


def measure_http(seconds: float, rounds: int, workers: int) -> dict[str, Any]:
    """Load both servers in turns; for each number of clients the round with the median rate."""
    body, kind = multipart(picture())
    loads: dict[str, dict[int, list[Load]]] = {s: {c: [] for c in CLIENTS} for s in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for side in SIDES:
                say(f"over HTTP: {side}, round {turn + 1} of {rounds}")
                with running(side, workers, Path(folder) / f"{side}.log") as server:
                    make_load(server.port, body, kind, 2 * workers, min(2.0, seconds))  # warm
                    for clients in CLIENTS:
                        load = make_load(server.port, body, kind, clients, seconds)
                        loads[side][clients].append(load)
    result: dict[str, Any] = {
        "load_maker": load_maker(),
        "workers": workers,
        "seconds": seconds,
        "rounds": rounds,
        "request_bytes": len(body),
        "sides": {},
    }
    for side, by_clients in loads.items():
        result["sides"][side] = [_median_round(found) for found in by_clients.values()]
    ours, usual = (result["sides"][side] for side in SIDES)
    result["ratio"] = {
        # A side that answered nothing at all (an overloaded machine) gives no ratio.
        str(mine["clients"]): round(mine["requests_per_s"] / theirs["requests_per_s"], 1)
        if theirs["requests"]
        else None
        for mine, theirs in zip(ours, usual, strict=True)
    }
    return result


def _median_round(found: list[Load]) -> dict[str, Any]:
    ordered = sorted(found, key=lambda load: load.requests_per_s)
    rates = [load.requests_per_s for load in ordered]
    chosen = ordered[len(ordered) // 2].values()
    # Errors of every round count.
    chosen["errors"] = sum(load.errors for load in found)
    return chosen | {"requests_per_s_range": [round(rates[0], 1), round(rates[-1], 1)]}


def measure_cold_start(rounds: int) -> dict[str, Any]:
    """Start each server with one worker, `rounds` times, the files being in the disk cache."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for side in SIDES:
            ready, answered = [], []
            for turn in range(rounds + 1):
                say(f"cold start: {side}, {turn} of {rounds}")
                start = time.perf_counter()
                with running(side, 1, Path(folder) / f"{side}.log") as server:
                    server.ask()
                    first = time.perf_counter() - start
                if turn:  # the first one fills the disk cache
                    ready.append(server.ready_s)
                    answered.append(first)
            result[side] = {"ready_s": spread(ready), "first_answer_s": spread(answered)}
    return result


def measure_memory(seconds: float) -> dict[str, Any]:
    """Load one worker of each for `seconds` and watch its resident memory."""
    body, kind = multipart(picture())
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for side in SIDES:
            say(f"memory: {side}, {seconds:g} s under load")
            with running(side, 1, Path(folder) / f"{side}.log") as server:
                result[side] = _watch(server, body, kind, seconds)
    return result


def _watch(server: Running, body: bytes, kind: str, seconds: float) -> dict[str, Any]:
    (worker,) = server.workers()
    start = rss_mib(worker)
    slices = max(4, min(60, round(seconds / 10)))
    times, sizes, requests, errors = [], [], 0, 0
    begin = time.monotonic()
    for _ in range(slices):
        load = make_load(server.port, body, kind, 4, max(1.0, seconds / slices))
        requests += load.requests
        errors += load.errors
        times.append(time.monotonic() - begin)
        sizes.append(rss_mib(worker))
    # The first quarter fills pools; from then on it must be flat.
    settled = slices // 4
    slope, noise = _slope(np.array(times[settled:]), np.array(sizes[settled:]))
    return {
        "seconds": round(times[-1], 1),
        "requests": requests,
        "errors": errors,
        "rss_at_start_mib": round(start, 1),
        "rss_at_end_mib": round(sizes[-1], 1),
        "rss_most_mib": round(max(sizes), 1),
        "slope_mib_per_hour": round(slope * 3600, 2),
        "slope_noise_mib_per_hour": round(noise * 3600, 2),
        "same_worker": server.workers() == [worker],
        "tensorflow_loaded": maps_library(worker, "tensorflow"),
    }


def _slope(times: Any, sizes: Any) -> tuple[float, float]:
    """Return the slope of a line through the points, and its standard error."""
    centred = times - times.mean()
    slope = float((centred * sizes).sum() / (centred**2).sum())
    rest = sizes - sizes.mean() - slope * centred
    noise = float(np.sqrt((rest**2).sum() / max(1, len(times) - 2) / (centred**2).sum()))
    return slope, noise
