"""Two checks of how a slice descriptors, whatever the network makes of it.

- `appearance-distance`: how far its descriptors (`descriptors.describe`) lie from the subspace
  that those of training heads span;
- `stranger-likeness`: a small network that learned training heads from pictures that are none
  (`outliers`; outlier exposure, Hendrycks et al. 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Appearance:
    """How training slices look, as the gate holds it.

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

    def values(self, descriptors: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Return distance and likeness to outliers, (N,) each, of descriptors (N, K)."""
        return self.values_of_scaled(self.scaled(descriptors))

    def values_of_scaled(self, scaled: Floats) -> tuple[Floats, Floats]:
        """Return what `values` returns, of descriptors that went through `scaled`."""
        return residual(scaled.astype(self.axes.dtype), self.axes), self.likeness(scaled)

    def scaled(self, descriptors: NDArray[np.floating]) -> Floats:
        """Return descriptors (N, K) in standard deviations, at most 6 of them."""
        return np.clip((descriptors.astype(np.float64) - self.mean) / self.scale, -6.0, 6.0)

    def likeness(self, scaled: Floats) -> Floats:
        """Return the log odds (N,) of being an outlier."""
        points = scaled.astype(self.hidden.dtype)
        inner = np.maximum(points @ self.hidden[:-1] + self.hidden[-1], 0.0)
        result: Floats = inner @ self.output[:-1] + self.output[-1]
        return result

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


def residual(points: Floats, axes: Floats) -> Floats:
    """Return the distance (N,) of points (N, K) from the subspace of orthonormal axes (K, P)."""
    # Pythagoras: the axes are read once.
    inside = points @ axes
    outside = np.vecdot(points, points) - np.vecdot(inside, inside)
    result: Floats = np.sqrt(np.maximum(outside, 0.0))
    return result
