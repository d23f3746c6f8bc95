"""95 % intervals by drawing whole groups (patients, or look-alikes), never single images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
# Resamples whose image weights are held at once: bounds the memory, not the result.
_CHUNK = 200

Floats = NDArray[np.float64]
Interval = dict[str, float | None]


def bootstrap_mean(
    values: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean of `values` (N,) with its 95 % bootstrap interval over `groups`.

    Raises:
        ValueError: there is no value, or `groups` has another length.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"values must be a non-empty (N,) array, got shape {numbers.shape}")
    members, group_count = group_members(groups, len(numbers))
    sums = np.bincount(members, weights=numbers, minlength=group_count)
    counts = np.bincount(members, minlength=group_count).astype(np.float64)
    drawn = [(w @ sums) / (w @ counts) for w in resampled_weights(group_count, resamples, seed)]
    return interval(float(numbers.mean()), np.concatenate(drawn), group_count)


def resampled_weights(group_count: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield (chunk, G) counts of how often each group was drawn."""
    rng = np.random.default_rng(seed)
    share = np.full(group_count, 1.0 / group_count)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        yield rng.multinomial(group_count, share, size=size).astype(np.float64)


def interval(value: float, drawn: Floats, group_count: int) -> Interval:
    """Return {"value", "low", "high"}, rounded so that files compare across machines."""
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    # A resample may lack a class altogether: it says nothing of that class.
    known = drawn[~np.isnan(drawn)]
    if group_count < 2 or known.size == 0:
        return {"value": round(value, 6), "low": None, "high": None}
    low, high = np.percentile(known, [2.5, 97.5])
    return {"value": round(value, 6), "low": round(float(low), 6), "high": round(float(high), 6)}


def group_members(
    groups: Sequence[Any] | NDArray[Any] | None, count: int
) -> tuple[NDArray[np.int64], int]:
    """Return each image's group as an index, and the number of groups."""
    if groups is None:
        return np.arange(count), count
    if len(groups) != count:
        raise ValueError(f"{len(groups)} groups for {count} images")
    names, members = np.unique(np.array([str(g) for g in groups]), return_inverse=True)
    return members.reshape(-1).astype(np.int64), len(names)
