"""Whether a label may be called confident: would it hold, had the slice another source?

A probability that is calibrated on slices of the same scanners says little about others. Trust
is a logistic regression on what one forward pass gives, fitted to right and wrong labels of
slices of other sources: synthetic heads in every weighting and real normal heads, with and
without tumours laid in, none of them from a head that was trained on, and val slices with
other contrasts and textures (`training.fit_trust`). It is an estimate of the probability that
the label holds on a scanner that the model does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain_cnn.labels import LABELS, NOTUMOR

Floats = NDArray[np.float64]
_NONE = LABELS.index(NOTUMOR)
_TUMOURS = [index for index in range(len(LABELS)) if index != _NONE]


@dataclass(frozen=True)
class Trust:
    """What trusts a label, and the limit from which on it may be confident.

    Attributes:
        mean, scale: float (F,), of the inputs (`trust_inputs`).
        weights: float (F + 1,), of the logistic regression, the last one the bias.
        limit: trust in 0..1 from which on a label may be confident.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    limit: float = 0.0

    def of(self, inputs: Floats) -> Floats:
        """Return the trust (N,) in 0..1; 0 where an input is no number.

        Args:
            inputs: float (N, F), of `trust_inputs`.
        """
        trust = 1.0 / (1.0 + np.exp(-self.odds(inputs)))
        return np.where(np.isnan(trust), 0.0, trust)

    def odds(self, inputs: Floats) -> Floats:
        """Return the log odds (N,) that the label holds."""
        scaled = np.clip((inputs - self.mean) / self.scale, -6.0, 6.0)
        odds: Floats = scaled @ self.weights[:-1] + self.weights[-1]
        return odds

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what `from_arrays` takes."""
        return {f"trust_{name}": np.asarray(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> Trust | None:
        """Return what `arrays` gave; None where there is nothing of it (an older model).

        Raises:
            KeyError: a part is missing.
            ValueError: parts do not fit together.
        """
        if not any(name.startswith("trust_") for name in arrays):
            return None
        parts = {name: arrays[f"trust_{name}"].astype(np.float64) for name in _FIELDS}
        made = cls(**{**parts, "limit": float(parts["limit"])})  # type: ignore[arg-type]
        made.of(made.mean[None])
        return made


_FIELDS = tuple(Trust.__dataclass_fields__)
_COMMON = 14  # inputs that are there twice: for any label, and for the label "none"


def trust_inputs(
    logits: NDArray[np.floating],
    class_maps: NDArray[np.floating],
    features: NDArray[np.floating],
    distances: NDArray[np.floating],
    excess: NDArray[np.floating],
) -> Floats:
    """Return what a label is judged by: float64 (N, F).

    Args:
        logits: float (N, 4), over the temperature.
        class_maps: float (N, h, w, 4). features: float (N, D).
        distances: float (N, 4), of the features to the centre of each class.
        excess: float (N, 3), each check of the gate (`gate`): 0 is common, 1 the limit.
    """
    values = logits.astype(np.float64)
    count = len(values)
    rows = np.arange(count)
    top = values.argmax(axis=1)
    ordered = np.sort(values, axis=1)
    likeliest = ordered[:, 3]
    left = 1.0 - 1.0 / np.exp(values - likeliest[:, None]).sum(axis=1)  # of all other labels
    own = class_maps[rows, :, :, top].reshape(count, -1).astype(np.float64)
    middle = own.mean(axis=1)
    highest = class_maps.max(axis=(1, 2))  # (N, 4)
    near = np.sort(distances, axis=1)
    # Filled column by column: stacking this many costs more than computing them.
    made = np.zeros((count, 2 * _COMMON + len(LABELS)))
    common, of_none, kinds = np.split(made, (_COMMON, 2 * _COMMON), axis=1)
    common[:, 0] = likeliest - ordered[:, 2]
    common[:, 1] = likeliest - ordered[:, 1]
    common[:, 2] = likeliest
    common[:, 3] = np.log(left + 1e-4)
    common[:, 4] = distances[rows, top]
    common[:, 5] = near[:, 1] - common[:, 4]
    common[:, 6] = np.sqrt(np.vecdot(features, features))
    common[:, 7] = own.max(axis=1)
    common[:, 8] = middle
    variance = np.vecdot(own, own) / own.shape[1] - middle * middle
    common[:, 9] = np.sqrt(np.maximum(variance, 0.0))
    common[:, 10] = highest[:, _TUMOURS].max(axis=1)
    np.maximum(excess, -3.0, out=common[:, 11:])
    np.multiply(common, (top == _NONE)[:, None], out=of_none)
    kinds[rows, top] = 1.0
    return made
