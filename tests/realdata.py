"""Where the real images are, if this machine has them.

`BRAIN_CNN_DATA` names their folder; else `../shared/data` beside the repository is looked at.
Tests that need them carry `@needs_real_data` and are skipped, saying why, where they are absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ZIP_NAME = "brain-tumor-mri.zip"


def _find() -> Path | None:
    named = os.environ.get("BRAIN_CNN_DATA")
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(named) if named else beside.resolve()
    return folder if (folder / ZIP_NAME).is_file() else None


REAL_DATA: Path | None = _find()
"""Folder that holds the ZIP of slices, the protocol CSV and the masks; None where absent."""

NO_REAL_DATA = "no real data"
"""How the reason of every skip for want of them begins (tests/skips.py)."""

needs_real_data = pytest.mark.skipif(
    REAL_DATA is None,
    reason=f"{NO_REAL_DATA}: neither BRAIN_CNN_DATA nor ../shared/data holds {ZIP_NAME}",
)
