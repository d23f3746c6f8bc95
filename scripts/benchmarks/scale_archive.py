"""The archive that `scripts/scale_benchmark.py` scores."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from brain_cnn.labels import LABELS


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


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
