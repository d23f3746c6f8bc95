"""What all measurements share: pictures, statistics, processes, facts of the machine."""

from __future__ import annotations

import io
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

# A part as a program of its own: `python -m benchmarks.x`, with the environment below.
AS_PROGRAM = (sys.executable, "-m")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": f"{HERE.parent}{os.pathsep}{ROOT}",
    "ORT_DISABLE_TELEMETRY": "1",
    # As in the Makefile and the Dockerfile; for both sides alike.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "pillow",
    "flask",
    "gunicorn",
    "ncnn",
    "onnxruntime",
    "tensorflow",
    "keras",
    "matplotlib",
    "ai-edge-litert",
    "openvino",
)


def picture(side: int = 512, mode: str = "RGB", form: str = "JPEG") -> bytes:
    """Return the file of a drawn head, `side` x `side`; "RGB" is grey saved with 3 channels."""
    from brain_cnn.phantoms import draw_phantom

    image = Image.fromarray(draw_phantom("meningioma", seed=1, side=side)).convert(mode)
    file = io.BytesIO()
    image.save(file, form, quality=90)
    return file.getvalue()


def multipart(data: bytes) -> tuple[bytes, str]:
    """Return the body of a form with `data` as the field `file`, and its content type."""
    head = (
        b"--bench\r\n"
        b'Content-Disposition: form-data; name="file"; filename="slice.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n"
    )
    return head + data + b"\r\n--bench--\r\n", "multipart/form-data; boundary=bench"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, quartiles, p99 and smallest of measurements, and how many there were."""
    ordered = sorted(values)
    quartiles = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else [ordered[0]] * 3
    return {
        "median": _short(statistics.median(ordered)),
        "q1": _short(quartiles[0]),
        "q3": _short(quartiles[2]),
        "p99": _short(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]),
        "min": _short(ordered[0]),
        "count": len(ordered),
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """Return facts that explain numbers, without names of hosts or people."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: v for name in PACKAGES if (v := version(name))},
        "load_before": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }


def version(package: str) -> str | None:
    """Return the version of an installed package, else None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    flags = facts.get("flags", "").split()
    vector = next((f for f in ("avx512f", "avx2", "avx") if f in flags), "no AVX")
    return f"{facts.get('model name', platform.processor())} ({vector})"


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def children(pid: int) -> list[int]:
    """Return the processes that `pid` started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def maps_library(pid: int, name: str) -> bool:
    """Whether a process has a shared library with `name` in its path loaded."""
    return name in Path(f"/proc/{pid}/maps").read_text()


def say(text: str) -> None:
    """Tell the person who waits what is being measured."""
    print(text, file=sys.stderr, flush=True)
