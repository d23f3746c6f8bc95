"""The measured values of `scripts/scale_benchmark.py` as the regions of docs/scale.md."""

from __future__ import annotations

import re
from typing import Any

_REGION = re.compile(
    r"(<!-- BEGIN GENERATED (?P<name>[\w-]+) -->\n).*?(<!-- END GENERATED (?P=name) -->)",
    re.DOTALL,
)
_ARCHIVE = 10**8
Numbers = dict[str, Any]


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
        f"| one by one, `classify` in a loop; the network takes all cores | {base:.1f} | 1.0 | |",
        f"| the same, all of it on one core | {n['loop_one']:.1f} | {n['loop_one'] / base:.2f} | |",
        f"| stream, one process | {n['stream']:.1f} | {n['stream'] / base:.2f} "
        f"({n['stream'] / n['loop_one']:.2f} of the one on one core) | |",
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
    cores = n["stream"] * n["stream_cpu_ms"] / 1000
    lines += [
        "",
        f"A slice costs {n['stream_cpu_ms']:.1f} ms of processor time in the stream, which keeps "
        f"{cores:.2f} cores busy, and {n['loop_cpu_ms']:.1f} ms in the loop, which keeps "
        f"{base * n['loop_cpu_ms'] / 1000:.2f}.",
    ]
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
