"""Small data sets drawn by code, and ZIPs made of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from brain_cnn.labels import LABELS


def picture(seed: int, side: int = 96) -> np.ndarray:
    """Return a picture with structure at several scales, uint8 (side, side), unlike any other."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side), np.float32)
    for cells, weight in ((4, 1.0), (9, 0.7), (20, 0.5)):
        coarse = rng.normal(size=(cells, cells)).astype(np.float32)
        total += weight * cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    total = (total - total.min()) / (total.max() - total.min())
    return (30 + 190 * total).astype(np.uint8)


def image_bytes(pixels: np.ndarray, kind: str = "PNG", **options: int) -> bytes:
    """Return uint8 (H, W) as a file in memory."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def data_set_files(per_class: int = 2, parts: tuple[str, ...] = ("Training", "Testing")) -> dict:
    """Return path -> bytes of a small valid data set, every picture another."""
    files, seed = {}, 0
    for part in parts:
        for label in LABELS:
            for number in range(per_class):
                prefix = f"{part}/" if part else ""
                files[f"{prefix}{label}/{number}.png"] = image_bytes(picture(seed, 48))
                seed += 1
    return files


def write_files(folder: Path, files: dict) -> Path:
    """Write path -> bytes below `folder`, and return it."""
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def write_zip(path: Path, files: dict, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write path -> bytes as a ZIP, names unchecked, and return its path."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
