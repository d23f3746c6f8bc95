"""Where a value lies among those of the val slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS = np.linspace(0.0, 1.0, 201)
"""Levels at which the values of the val slices are kept."""

PASS_SHARE = 0.98
"""Share of the val slices that all checks together let pass."""


def rank(values: Floats, quantiles: Floats) -> Floats:
    """Return the share (N,) of val slices that lie at least as far out, in 0..1.

    Beyond the farthest val slice it falls on towards 0, so that it still ranks.

    Args:
        values: float (N,), higher is less like them. quantiles: float (201,), of the val slices.
    """
    share = 1.0 - np.interp(values, quantiles, LEVELS)
    last = quantiles[-1]
    tail = 0.5 * (LEVELS[1] - LEVELS[0])
    beyond = np.maximum(values - last, 0.0) / max(abs(last), 1e-9)
    # Fails closed: a value that is no number is not familiar.
    return np.where(np.isfinite(values), np.maximum(share, tail * np.exp(-beyond)), 0.0)
