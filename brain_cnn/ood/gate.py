"""The familiarity gate as it is served: a few matrix products on saved arrays.

Three values are taken of a slice, each higher the stranger it is:

- `feature-distance`: Mahalanobis distance of the network's features to the nearest class
  of the training slices (Lee et al. 2018);
- `appearance-distance`: how far the look of the slice (`describe`) lies from the subspace
  that the looks of training heads span, whatever the network makes of it;
- `stranger-likeness`: a small network that learned training heads from pictures that are
  none (`strangers`; outlier exposure, Hendrycks et al. 2019).

Each has a limit. What counts is the worst: a value's *excess* is 0 at the median of the val
slices and 1 at its limit, and one excess above 1 makes the slice unfamiliar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS = np.linspace(0.0, 1.0, 201)
"""Levels at which the values of the val slices are kept."""

PASS_SHARE = 0.98
"""Share of the val slices that all checks together let pass."""

# Grey values of a standard deviation below this are one grey.
_LEAST_SPREAD = 0.02


@dataclass(frozen=True)
class Appearance:
    """What the gate knows of how training slices look.

    Attributes:
        mean, scale: float (K,), of the K descriptors of training slices.
        axes: float (K, P), orthonormal principal components of the scaled descriptors.
        hidden: float (K + 1, H), layer of the small network, the last row its bias.
        output: float (H + 1,), its output, the last one its bias.
        middles, limits: value at the val median, and limit, of each of `CHECKS`.
        quantiles: float (201,), worst excess of the val slices at `LEVELS`.
    """

    mean: Floats
    scale: Floats
    axes: Floats
    hidden: Floats
    output: Floats
    middles: Floats
    limits: Floats
    quantiles: Floats

    def values(self, looks: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Return distance and likeness to strangers, (N,) each, of descriptors (N, K)."""
        return self.values_of_scaled(self.scaled(looks))

    def values_of_scaled(self, scaled: Floats) -> tuple[Floats, Floats]:
        """Return what `values` returns, of descriptors that went through `scaled`."""
        return residual(scaled.astype(self.axes.dtype), self.axes), self.likeness(scaled)

    def scaled(self, looks: NDArray[np.floating]) -> Floats:
        """Return descriptors (N, K) in standard deviations, at most 6 of them."""
        return np.clip((looks.astype(np.float64) - self.mean) / self.scale, -6.0, 6.0)

    def likeness(self, scaled: Floats) -> Floats:
        """Return the log odds (N,) of being a stranger."""
        points = scaled.astype(self.hidden.dtype)
        inner = np.maximum(points @ self.hidden[:-1] + self.hidden[-1], 0.0)
        return inner @ self.output[:-1] + self.output[-1]

    def excess(self, values: Floats) -> Floats:
        """Return the excess (N, 3) of the values (N, 3) of `CHECKS`."""
        return (values - self.middles) / (self.limits - self.middles)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return what `from_arrays` takes; float32 is far finer than any limit needs."""
        return {f"looks_{name}": getattr(self, name).astype(np.float32) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> Appearance | None:
        """Return what `arrays` gave; None where there is nothing of it (an older model).

        Raises:
            KeyError: a part is missing.
            ValueError: parts do not fit together.
        """
        if not any(name.startswith("looks_") for name in arrays):
            return None
        # The large ones stay as they were saved: their products are what a slice waits for.
        wide = {name: np.float32 if name in ("axes", "hidden") else np.float64 for name in _FIELDS}
        parts: dict[str, Any] = {n: arrays[f"looks_{n}"].astype(wide[n]) for n in _FIELDS}
        made = cls(**parts)
        made.excess(np.column_stack([np.zeros(1), *made.values(made.mean[None])]))
        return made


_FIELDS = tuple(Appearance.__dataclass_fields__)

CHECKS = ("feature-distance", "appearance-distance", "stranger-likeness")
"""Names of the checks, in the order of `middles` and `limits`."""

SENTENCES = {
    "feature-distance": (
        "What the network sees in it is like the brain MRI slices that this model learned from.",
        "What the network sees in it is far from the brain MRI slices that this model learned "
        "from.",
    ),
    "appearance-distance": (
        "Shape, grey values and edges are those of brain MRI slices.",
        "Shape, grey values or edges are not those of the brain MRI slices that this model "
        "learned from.",
    ),
    "stranger-likeness": (
        "It looks like a head in an MRI, not like a CT, another part of the body or a photograph.",
        "It looks more like something else than like a head in an MRI: a CT, another part of "
        "the body, a cut-out, a photograph or a drawing.",
    ),
}
"""What is said of a check that passed, and of one that failed."""


def residual(points: Floats, axes: Floats) -> Floats:
    """Return the distance (N,) of points (N, K) from the subspace of orthonormal axes (K, P)."""
    # Pythagoras: the axes are read once.
    inside = points @ axes
    outside = np.vecdot(points, points) - np.vecdot(inside, inside)
    return np.sqrt(np.maximum(outside, 0.0))


def rank(values: Floats, quantiles: Floats) -> Floats:
    """Return the share (N,) of val slices that are at least as strange, in 0..1.

    Beyond the strangest val slice it falls on towards 0, so that it still ranks.

    Args:
        values: float (N,), higher is stranger. quantiles: float (201,), of the val slices.
    """
    share = 1.0 - np.interp(values, quantiles, LEVELS)
    last = quantiles[-1]
    tail = 0.5 * (LEVELS[1] - LEVELS[0])
    beyond = np.maximum(values - last, 0.0) / max(abs(last), 1e-9)
    # Fails closed: a value that is no number is not familiar.
    return np.where(np.isfinite(values), np.maximum(share, tail * np.exp(-beyond)), 0.0)


def check(name: str, value: float, limit: float) -> dict[str, Any]:
    """Return what is said of one value: check, value, limit, failed, sentence."""
    failed = not value <= limit  # also true for NaN
    return {
        "check": name,
        "value": round(value, 3) if math.isfinite(value) else None,
        "limit": round(limit, 3) if math.isfinite(limit) else None,
        "failed": failed,
        "sentence": SENTENCES[name][failed],
    }


def spreads(tensors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the standard deviation (N,) of the pixels of each of (N, S, S, 1)."""
    pixels = tensors.reshape(len(tensors), -1)
    middle = pixels.mean(axis=1)
    variance = np.vecdot(pixels, pixels) / pixels.shape[1] - middle * middle  # faster than `std`
    return np.sqrt(np.maximum(variance, 0.0))


def check_contrast(spread: float) -> dict[str, Any] | None:
    """Return the failed check of a picture that is nearly one grey, None for any other."""
    if spread >= _LEAST_SPREAD:
        return None
    return {
        "check": "contrast",
        "value": round(spread, 4) if np.isfinite(spread) else None,
        "limit": _LEAST_SPREAD,
        "failed": True,
        "sentence": "The picture is nearly one grey: there is nothing to see in it.",
    }
