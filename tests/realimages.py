"""A few real slices, read straight from the ZIP, for tests that need real pixels."""

from __future__ import annotations

import zipfile

import numpy as np

from brain_cnn.scan import read_scan
from tests.realdata import REAL_DATA, ZIP_NAME


def sample_real_images(count: int, seed: int = 0) -> list[np.ndarray]:
    """Return `count` slices uint8 (H, W), drawn evenly over classes and parts."""
    assert REAL_DATA is not None
    with zipfile.ZipFile(REAL_DATA / ZIP_NAME) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        chosen = np.random.default_rng(seed).choice(len(names), count, replace=False)
        return [read_scan(archive.read(names[i])).slices[0].pixels for i in sorted(chosen)]
