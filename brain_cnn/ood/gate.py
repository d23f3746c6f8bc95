"""The out-of-distribution gate as it is served: a few matrix products on saved arrays.

Three values are taken of a slice, each higher the less it is like the training slices:

- `feature-distance`: Mahalanobis distance of the network's features to the nearest class
  of the training slices (`mahalanobis`; Lee et al. 2018);
- `appearance-distance` and `stranger-likeness`: of its descriptors (`appearance`).

Each has a limit. What counts is the worst: a value's *excess* is 0 at the median of the val
slices and 1 at its limit, and one excess above 1 makes the slice unfamiliar.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.ood.appearance import Appearance
from brain_cnn.ood.descriptors import describe
from brain_cnn.ood.mahalanobis import FeatureGate
from brain_cnn.ood.ranks import rank

Floats = NDArray[np.float64]

# Grey values of a standard deviation below this are one grey.
_LEAST_SPREAD = 0.02


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
"""Sentences for a check that passed, and for one that failed."""


@dataclass(frozen=True)
class Check:
    """One value of a slice against its limit.

    Attributes:
        check: name, one of `CHECKS` or "contrast".
        value: higher is less like the training slices ("contrast": lower); None where it is
            not finite.
        limit: beyond which the check fails; None where there is none.
        failed: whether it does.
        sentence: what that means, for a person.
    """

    check: str
    value: float | None
    limit: float | None
    failed: bool
    sentence: str

    def __getitem__(self, name: str) -> Any:
        """Return an attribute by name, as from the record that `as_dict` gives."""
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return asdict(self)


@dataclass(frozen=True)
class GateResult:
    """The gate's answer for N slices.

    Attributes:
        familiarity: float64 (N,) in 0..1, higher is more like the training slices.
        checks: of each slice, in the order of `CHECKS`, as many as the model has; after them
            "contrast" where the picture is nearly one grey.
        excess: float64 (N, 3), of each check: 0 is common, 1 the limit.
        scaled: float64 (N, K), scaled descriptors; (N, 0) without an appearance.
    """

    familiarity: Floats
    checks: list[tuple[Check, ...]]
    excess: Floats
    scaled: Floats


def run_gate(
    feature_gate: FeatureGate | None,
    appearance: Appearance | None,
    distances: Floats,
    tensors: NDArray[np.floating],
) -> GateResult:
    """Check whether slices are like those that the model was trained on.

    Args:
        feature_gate: of the network's features; None has no limit (a model without features).
        appearance: of how a slice looks; None in models that were fitted before it.
        distances: float64 (N, 4), of the features to the centre of each class.
        tensors: float (N, S, S, 1) that the network saw.
    """
    count = len(tensors)
    scaled = np.zeros((count, 0))
    spread = spreads(tensors)
    distance = distances.min(axis=1)
    if appearance is not None:
        scaled = appearance.scaled(describe(tensors))
        values = np.stack([distance, *appearance.values_of_scaled(scaled)], axis=1)
        limits, excess = appearance.limits, appearance.excess(values)
        score = rank(excess.max(axis=1), appearance.quantiles)
    else:
        values, excess = distance[:, None], np.zeros((count, len(CHECKS)))
        limits = np.array([np.inf if feature_gate is None else feature_gate.limit])
        score = np.ones(count)
        if feature_gate is not None:
            score = rank(distance, feature_gate.quantiles)
    found = []
    for row in range(count):
        checks = [
            check_value(name, float(value), float(limit))
            for name, value, limit in zip(CHECKS, values[row], limits, strict=False)
        ]
        empty = check_contrast(float(spread[row]))
        if empty is not None:
            checks.append(empty)
            score[row] = 0.0
        found.append(tuple(checks))
    return GateResult(score, found, excess, scaled)


def check_value(name: str, value: float, limit: float) -> Check:
    """Return the check called `name` of one value; a value that is no number fails."""
    failed = not value <= limit  # also true for NaN
    return Check(
        name,
        round(value, 3) if math.isfinite(value) else None,
        round(limit, 3) if math.isfinite(limit) else None,
        failed,
        SENTENCES[name][failed],
    )


def spreads(tensors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the standard deviation (N,) of the pixels of each of (N, S, S, 1)."""
    pixels = tensors.reshape(len(tensors), -1)
    middle = pixels.mean(axis=1)
    variance = np.vecdot(pixels, pixels) / pixels.shape[1] - middle * middle  # faster than `std`
    result: NDArray[np.floating] = np.sqrt(np.maximum(variance, 0.0))
    return result


def check_contrast(spread: float) -> Check | None:
    """Return the failed check of a picture that is nearly one grey, None for any other."""
    if spread >= _LEAST_SPREAD:
        return None
    value = round(spread, 4) if np.isfinite(spread) else None
    sentence = "The picture is nearly one grey: there is nothing to see in it."
    return Check("contrast", value, _LEAST_SPREAD, True, sentence)
