"""What data set is this? By its counts, and by its pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from brain_cnn.labels import LABELS


class _Labelled(Protocol):
    @property
    def label(self) -> str: ...
    @property
    def official_split(self) -> str: ...


# Images per class, in the order of LABELS, in Training and in Testing.
_RELEASES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "kaggle-7023": (
        "the 7023-image release of the Kaggle Brain Tumor MRI Dataset",
        (1321, 1339, 1595, 1457),
        (300, 306, 405, 300),
    ),
    "kaggle-7019": (
        "the 7019-image copy of the 7023-image release of the Kaggle Brain Tumor MRI Dataset",
        (1321, 1339, 1591, 1457),
        (300, 306, 405, 300),
    ),
    "kaggle-7200": (
        "the newer 7200-image release of the Kaggle Brain Tumor MRI Dataset",
        (1400, 1400, 1400, 1400),
        (400, 400, 400, 400),
    ),
}


def count_images(records: Iterable[_Labelled]) -> dict[str, dict[str, int]]:
    """Return split ("train", "test" or "") -> label -> number of images, in label order."""
    counts = Counter((record.official_split, record.label) for record in records)
    splits = [split for split in ("train", "test", "") if any(s == split for s, _ in counts)]
    return {split: {label: counts[split, label] for label in LABELS} for split in splits}


def recognise_release(records: Iterable[_Labelled]) -> tuple[str, str]:
    """Name the public release that has these counts.

    Returns:
        ("kaggle-7023" | "kaggle-7019" | "kaggle-7200" | "other", the same in words). Counts
        only suggest a release; the pixel fingerprint is what proves two sets equal.
    """
    counts = count_images(records)
    for name, (words, train, test) in _RELEASES.items():
        expected = {
            "train": dict(zip(LABELS, train, strict=True)),
            "test": dict(zip(LABELS, test, strict=True)),
        }
        if counts == expected:
            return name, words
    total = sum(sum(of.values()) for of in counts.values())
    return "other", f"a data set of {total} images that is none of the known releases"


def pixel_fingerprint(images: Sequence[NDArray[np.uint8]]) -> str:
    """Return the SHA-256, as 64 hexadecimal digits, of a set of images uint8 (H, W).

    Names, folders and order do not count, the decoded pixels do: the same pictures give the
    same fingerprint however they were packed.
    """
    hashes = sorted(pixel_hash(pixels) for pixels in images)
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def pixel_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Return the SHA-256 (32 bytes) of one image's size and pixels, uint8 (H, W)."""
    height, width = pixels.shape
    head = f"{height}x{width}:".encode()
    return hashlib.sha256(head + np.ascontiguousarray(pixels).tobytes()).digest()
