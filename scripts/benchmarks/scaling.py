"""What an answer costs against the size of the picture and the number of slices."""

from __future__ import annotations

import io
import time
from typing import Any

from PIL import Image

from benchmarks.common import picture, say, spread

SIDES = (128, 256, 512, 1024, 2048, 4096)
SLICES = (1, 8, 32, 128)


def measure(calls: int) -> dict[str, Any]:
    """Classify in this process, with all cores, `calls` times each."""
    from brain_cnn import load_classifier

    say("cost against size and slices")
    classifier = load_classifier()
    sizes = []
    for side in SIDES:
        data = picture(side)
        parts = [_parts(classifier, data) for _ in range(calls + 1)][1:]
        sizes.append(
            {"side": side, "bytes": len(data)}
            | {part: spread([p[part] for p in parts]) for part in parts[0]}
        )
    slices = []
    for count in SLICES:
        data = _pages(count)
        least = max(3, calls // count)
        totals = [_seconds(classifier, data) for _ in range(least + 1)][1:]
        slices.append(
            {
                "slices": count,
                "total_ms": spread([t * 1e3 for t in totals]),
                "per_slice_ms": spread([t * 1e3 / count for t in totals]),
            }
        )
    return {"sizes": sizes, "slices": slices, "slice_picture": "256 x 256, pages of a TIFF"}


def _parts(classifier: Any, data: bytes) -> dict[str, float]:
    start = time.perf_counter()
    diagnosis = classifier.classify(data)
    total = (time.perf_counter() - start) * 1e3
    timing = diagnosis.timing_ms
    return {
        "total_ms": total,
        "read_ms": timing["read"],
        "prepare_ms": timing["prepare"],
        "network_ms": timing["network"],
    }


def _seconds(classifier: Any, data: bytes) -> float:
    start = time.perf_counter()
    classifier.classify_study(data)
    return time.perf_counter() - start


def _pages(count: int) -> bytes:
    from brain_cnn.phantoms import draw_phantom

    pages = [Image.fromarray(draw_phantom("glioma", seed, 256)) for seed in range(count)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    return file.getvalue()
