"""Where the strongest evidence lies, in words: heat must never be told by colour alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brain_cnn.inference.diagnosis import Diagnosis
from brain_cnn.labels import LABELS

HALF = 0.5
"""Share of the strongest evidence at which the page draws its contour."""

_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")
# Shares of the head's box between which a place is called its middle.
_MIDDLE = (0.4, 0.6)


def evidence_place(diagnosis: Diagnosis, label: str) -> str:
    """Return where on the picture the heat of `label` is at least half of its maximum.

    Sides are those of the picture, seen from the middle of the head: on an axial slice in the
    usual view the patient's right is at the picture's left.

    Returns:
        For example "upper left of the picture" or "centre of the picture"; "" where there is
        no positive evidence.
    """
    grid = diagnosis.heat[..., LABELS.index(label)]
    if not grid.any():
        return ""
    down, across = _middle(np.where(grid >= HALF, grid, 0.0))
    words = _ROWS[_zone(down)], _COLUMNS[_zone(across)]
    if words == ("middle", "centre"):
        return "centre of the picture"
    return f"{words[0]} {words[1]} of the picture"


def _middle(weights: NDArray[np.floating]) -> tuple[float, float]:
    """Return the weighted middle (row, column) of (h, w), as shares of its sides."""
    rows, columns = weights.shape
    total = float(weights.sum())
    row = float(weights.sum(axis=1) @ (np.arange(rows) + 0.5)) / total / rows
    column = float(weights.sum(axis=0) @ (np.arange(columns) + 0.5)) / total / columns
    return row, column


def _zone(share: float) -> int:
    return int(share > _MIDDLE[0]) + int(share > _MIDDLE[1])
