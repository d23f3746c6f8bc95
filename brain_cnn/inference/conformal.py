"""Probabilities that mean what they say, and the labels that come into question.

A temperature (Guo et al. 2017) and split conformal prediction sets (Romano et al. 2020),
both fitted on the `val` part alone; `calibration` carries them with the weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brain_cnn.labels import LABELS

COVERAGES = (0.90, 0.95, 0.99)


def labels_within(probabilities: NDArray[np.floating], limit: float) -> tuple[str, ...]:
    """Return the labels of float (4,) whose `set_scores` is at most `limit`, likeliest first.

    The likeliest is always among them. Four numbers are too few for array operations to pay:
    in plain Python this costs a tenth, and every uploaded slice asks several times.
    """
    values = probabilities.tolist()
    order = np.argsort(-probabilities, kind="stable").tolist()
    labels: list[str] = []
    mass = 0.0
    for label in order:
        mass += values[label]
        if not labels or mass - values[label] / 2 <= limit:
            labels.append(LABELS[label])
    return tuple(labels)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return float64 (N, 4) probabilities of logits (N, 4), computed in float64."""
    values = np.asarray(logits, dtype=np.float64)
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def set_scores(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return float64 (N, 4): the mass of likelier labels, plus half of the label's own.

    Half: the expectation of the random share of Romano et al., so that sets are small and
    the same picture always gets the same set.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sorted_p = np.take_along_axis(probabilities, order, axis=1)
    scores = np.cumsum(sorted_p, axis=1) - sorted_p / 2
    result = np.empty_like(scores)
    np.put_along_axis(result, order, scores, axis=1)
    return result


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature in 0.2..5 with the smallest mean negative log-likelihood."""
    grid = np.exp(np.linspace(np.log(0.2), np.log(5.0), 400))
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(logits / t)[rows, labels] + 1e-12).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])


def fit_set_thresholds(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> dict[float, float]:
    """Return for each coverage the conformal quantile of the true label's score."""
    scores = np.sort(set_scores(probabilities)[np.arange(len(labels)), labels])
    thresholds = {}
    for coverage in COVERAGES:
        rank = int(np.ceil((len(scores) + 1) * coverage))
        # Too few slices for the promise: every label enters.
        thresholds[coverage] = float(scores[rank - 1]) if rank <= len(scores) else 1.0
    return thresholds
