"""The neighbours of a slice in a study, and the median over them; see the rule in `study`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The fewest familiar slices of which one odd slice is outvoted: the median of two is their
# mean, and lets one of them name the class.
OUTVOTING = 3

_NEIGHBOURHOOD = 1 / 20


def neighbourhood(count: int) -> int:
    """Return the odd number of slices that are smoothed over, of `count`."""
    if count < OUTVOTING:
        return 1
    return max(OUTVOTING, 2 * int(count * _NEIGHBOURHOOD / 2) + 1)


def neighbours(familiar: NDArray[np.bool_], place: int, window: int) -> NDArray[np.intp]:
    """Return the familiar slices of the location at slice `place`, in order.

    Args:
        familiar: bool (n,). place: 0..n-1. window: the neighbourhood's size, odd.

    Returns:
        int (k,): the familiar slices of the smallest neighbourhood of at least `window` slices
        with three familiar ones, moved inwards at the ends; of all slices where there are not
        three. Empty where not more than half of the neighbourhood is familiar.
    """
    count = len(familiar)
    while True:
        window = min(window, count)
        start = min(max(0, place - window // 2), count - window)
        near = start + np.flatnonzero(familiar[start : start + window])
        if len(near) >= OUTVOTING or window == count:
            return near if 2 * len(near) > window else near[:0]
        window += 2


def smooth(
    probabilities: NDArray[np.floating], familiar: NDArray[np.bool_], window: int
) -> NDArray[np.float64]:
    """Return the median of each class over the familiar slices of each location.

    Args:
        probabilities: float (n, 4). familiar: bool (n,). window: odd.

    Returns:
        float64 (n, 4) that sums to 1 along a row; NaN where a slice is no location, see
        `neighbours`.
    """
    result = np.full(probabilities.shape, np.nan)
    for place in range(len(probabilities)):
        near = neighbours(familiar, place, window)
        if len(near):
            median = np.median(probabilities[near], axis=0)
            result[place] = median / max(median.sum(), 1e-12)
    return result
