"""The measured values as a page for a reader."""

from __future__ import annotations

from typing import Any

_NAMES = {"ours": "Brain CNN", "usual": "the usual way"}

_INTRODUCTION = """# Benchmark

Written by `make bench` (`scripts/benchmark.py`); the raw values are in `benchmark.json`.

*The usual way* is `scripts/benchmarks/usual_app.py`: a small Flask app with `model.predict`,
Grad-CAM by GradientTape and an overlay by matplotlib, on the same `.keras` file. It is faster
than most tutorials: it builds its Grad-CAM model once, it is warm before the first request,
gunicorn gives it as many processes as ours, and it only resizes the picture, while ours also
finds the head. Values are medians; in parentheses the quartiles, or the range over the rounds.
"""


def markdown(result: dict[str, Any]) -> str:
    """Return docs/benchmark.md for the sections that were measured."""
    parts = [_INTRODUCTION]
    for name, write in _WRITERS.items():
        if name in result:
            parts.append(write(result[name]) + _facts(result[name]["run"]))
    return "\n".join(parts)


def _facts(run: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {v}" for name, v in run["packages"].items())
    quick = " **With tiny repetitions: these numbers mean nothing.**" if run["quick"] else ""
    return (
        f"\n<sub>{run['date']}, {run['cores']} cores of {run['processor']}, "
        f"{run['memory_gib']} GiB, {run['system']}, Python {run['python']}, load before "
        f"{run['load_before']}; {run['model']} ({run['model_sha256']}); {packages}.{quick}</sub>\n"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(one: dict[str, float]) -> str:
    return f"{_number(one['median'])} ({_number(one['q1'])}-{_number(one['q3'])})"


def _ratio(value: float | None) -> str:
    return "no answer to compare with" if value is None else f"{value:.1f}x"


def _in_process(section: dict[str, Any]) -> str:
    rows = []
    for picture in section["ratio"]:
        for side in ("ours", "usual"):
            found = section["sides"][side][picture]
            parts = [_spread(found[p]) if p in found else "" for p in ("engine_ms", "rest_ms")]
            ratio = f"{section['ratio'][picture]:.1f}x" if side == "ours" else "1x"
            rows.append([f"{_NAMES[side]}, {picture}", _spread(found["total_ms"]), *parts, ratio])
    return (
        "## In process\n\n"
        f"Bytes of a {section['picture']} to class, probabilities and heatmap array; nothing is "
        "drawn on either side. *Colour* is a grey picture saved with three channels, as most "
        "programs do.\n\n" + _table(["", "ms", "the engine", "all the rest", "speed"], rows)
    )


def _http(section: dict[str, Any]) -> str:
    rows = []
    for side in ("ours", "usual"):
        for load in section["sides"][side]:
            low, high = load["requests_per_s_range"]
            clients = str(load["clients"])
            rows.append(
                [
                    f"{_NAMES[side]}, {clients} clients",
                    f"{_number(load['requests_per_s'])} ({_number(low)}-{_number(high)})",
                    _number(load["p50_ms"]),
                    _number(load["p99_ms"]),
                    str(load["errors"]),
                    _ratio(section["ratio"][clients]) if side == "ours" else "1x",
                ]
            )
    return (
        "## Over HTTP\n\n"
        f"`POST /api/v1/predict` with a 512 x 512 JPEG ({section['request_bytes']:,} bytes), load "
        f"by {section['load_maker']} on the same cores, {section['workers']} processes on each "
        f"side, {section['rounds']} rounds of {section['seconds']:g} s in turns. The usual app "
        "draws its overlay, as it usually does.\n\n"
        + _table(["", "requests/s", "p50 ms", "p99 ms", "errors", "requests/s, ratio"], rows)
    )


def _cold_start(section: dict[str, Any]) -> str:
    rows = [
        [_NAMES[side], _spread(section[side]["ready_s"]), _spread(section[side]["first_answer_s"])]
        for side in ("ours", "usual")
    ]
    return (
        "## Cold start\n\nFrom the start of the process to `/readyz`, and to the first diagnosis; "
        "one worker, files in the disk cache.\n\n"
        + _table(["", "ready, s", "first answer, s"], rows)
    )


def _memory(section: dict[str, Any]) -> str:
    rows = []
    for side in ("ours", "usual"):
        found = section[side]
        rows.append(
            [
                _NAMES[side],
                _number(found["rss_at_start_mib"]),
                _number(found["rss_at_end_mib"]),
                f"{found['requests']:,}",
                f"{found['seconds']:.0f}",
                f"{found['slope_mib_per_hour']} ± {found['slope_noise_mib_per_hour']}",
                "yes" if found["tensorflow_loaded"] else "no",
            ]
        )
    head = ["", "at start, MiB", "at the end", "requests", "seconds", "slope, MiB/hour"]
    return (
        "## Memory of a worker\n\nResident memory of one worker with 4 clients; the slope leaves "
        "out the first quarter.\n\n" + _table([*head, "TensorFlow loaded"], rows)
    )


def _scaling(section: dict[str, Any]) -> str:
    parts = ("total_ms", "read_ms", "prepare_ms", "network_ms")
    sizes = [
        [f"{one['side']} x {one['side']}", *(_spread(one[part]) for part in parts)]
        for one in section["sizes"]
    ]
    slices = [
        [str(one["slices"]), _spread(one["total_ms"]), _spread(one["per_slice_ms"])]
        for one in section["slices"]
    ]
    return (
        "## Cost against size and slices\n\nIn process, JPEG with three channels:\n\n"
        + _table(["pixels", "ms", "read", "prepare", "network and verdict"], sizes)
        + f"\nSlices of one file ({section['slice_picture']}):\n\n"
        + _table(["slices", "ms", "ms for each"], slices)
    )


def _engines(section: dict[str, Any]) -> str:
    rows, missing = [], []
    for engine, found in section.items():
        if engine == "run":
            continue
        if "start_s" not in found:
            missing.append(f"{engine}: {found.get('absent') or found.get('failed')}.")
            continue
        single = found.get("one_thread_ms")
        rows.append(
            [
                f"{engine} {found['version']}",
                _spread(found["batch_1_ms"]),
                _spread(found["batch_32_ms"]),
                _spread(single) if single else "",
                f"{found['start_s']:.2f}",
                f"{found['rss_added_mib']:.0f}",
                f"{found['installed_mb']:.0f}",
                f"{found['accuracy']:.4f}" if "accuracy" in found else "",
                f"{found.get('largest_difference', 0):.0e}",
            ]
        )
    head = ["", "batch 1, ms", "batch 32, ms", "batch 1, one thread", "import and load, s"]
    head += ["memory, MiB", "installed, MB", "val accuracy", "largest difference of a probability"]
    return (
        "## Engines\n\nThe shipped network in float32, logits and class maps, all cores unless "
        "said; accuracy on the real val slices of the protocol split. ncnn is the default: "
        "Winograd's convolutions multiply less at the same precision, it starts at once, is "
        "small, and asks nobody anything. ONNX Runtime serves the exported file as it is, for "
        "bundles without ncnn's files; one variable, which we set, turns its telemetry "
        "off.\n\n" + _table(head, rows) + ("\n" + " ".join(missing) + "\n" if missing else "")
    )


_WRITERS = {
    "in_process": _in_process,
    "http": _http,
    "cold_start": _cold_start,
    "memory": _memory,
    "scaling": _scaling,
    "engines": _engines,
}
