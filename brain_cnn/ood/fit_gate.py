"""Fit the gate's picture of appearances: after a training, on its train and val parts alone.

Needs scikit-learn; a served bundle holds the arrays that come out. No picture of a set that
the gate is measured on enters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_cnn.ood.appearance import Appearance
from brain_cnn.ood.descriptors import describe
from brain_cnn.ood.outlier_drawings import Picture
from brain_cnn.ood.outliers import make_outliers, vary
from brain_cnn.ood.ranks import LEVELS, PASS_SHARE
from brain_cnn.preprocess import prepare

# How the refused share of val is divided among the checks, in the order of `CHECKS`: the
# check that has seen outliers gets most of it.
_TAILS = np.array([1.0, 1.0, 12.0])
_COMPONENTS = 160
# Strong weight decay: the limits hang on the strangest few heads of val, which an overfitted
# network judges wildly.
_DECAY = 3.0
_OUTLIERS = 7000
_KNOWN_OUTLIERS = 2500
_HIDDEN, _NETWORKS, _EPOCHS = 96, 6, 12


def describe_pictures(pictures: Sequence[Picture], size: int) -> NDArray[np.float32]:
    """Return the descriptors (N, K) of pictures uint8 (H, W), prepared as uploads are."""
    batches = [
        describe(np.stack([prepare(one, size).tensor for one in pictures[start : start + 64]]))
        for start in range(0, len(pictures), 64)
    ]
    return np.concatenate(batches)


class ValSlices(NamedTuple):
    """What the limits are set on, of M slices that no training saw.

    Attributes:
        descriptors: float32 (M, K).
        feature_distances: float (M,), the check `feature-distance`.
        sources: int (M,), 0 for the val part, other numbers for other sources; None: all val.
    """

    descriptors: NDArray[np.float32]
    feature_distances: NDArray[np.floating]
    sources: NDArray[np.integer] | None = None


def fit_appearance(
    heads: Sequence[Picture],
    descriptors: NDArray[np.float32],
    val: ValSlices,
    size: int,
    known_outliers: Sequence[Picture] = (),
    *,
    seed: int = 0,
    outliers: int | None = None,
) -> Appearance:
    """Fit on heads of the train part, and set the limits on those of the val part.

    Args:
        heads: N prepared slices uint8 (size, size) of the train part.
        descriptors: float32 (N, K), of these.
        val: what the limits are set on.
        size: side of the network's input, pixels.
        known_outliers: prepared pictures uint8 (size, size) of the data set that are known
            to be no brain MRI (head CTs, say); negatives beside those that are made.
        seed: the same pictures and seed give the same gate.
        outliers: how many negatives are made; None: about two a head, at most 7000.
    """
    rng = np.random.default_rng(seed)
    if outliers is None:
        outliers = min(_OUTLIERS, 200 + 2 * len(heads))
    varied = describe_pictures([vary(head, rng) for head in heads], size)
    made = describe_pictures(make_outliers(heads, outliers, rng)[0], size)
    negatives = [made]
    if len(known_outliers):
        drawn = rng.integers(0, len(known_outliers), min(_KNOWN_OUTLIERS, len(heads)))
        negatives += [
            describe_pictures(known_outliers, size),
            describe_pictures([vary(known_outliers[i], rng) for i in drawn], size),
        ]
    positive, negative = np.concatenate([descriptors, varied]), np.concatenate(negatives)
    mean, scale = positive.mean(axis=0), positive.std(axis=0) + 1e-2
    empty = np.zeros(3)
    draft = Appearance(mean, scale, np.zeros((len(mean), 1)), np.zeros((1, 1)), np.zeros(2),
                       empty, empty + 1, np.zeros(len(LEVELS)))  # fmt: skip
    inside, outside = draft.scaled(positive), draft.scaled(negative)
    axes = np.linalg.svd(inside, full_matrices=False)[2][:_COMPONENTS].T
    hidden, output = _learn(inside, outside, seed)
    draft = Appearance(mean, scale, axes, hidden, output, empty, empty + 1, draft.quantiles)
    values = np.column_stack([val.feature_distances, *draft.values(val.descriptors)])
    return set_limits(draft, values, val.sources)


def set_limits(
    draft: Appearance, values: NDArray[np.float64], sources: NDArray[np.integer] | None = None
) -> Appearance:
    """Return `draft` with limits that let `PASS_SHARE` of each source's slices pass together.

    Args:
        values: float (M, 3), of the val slices, in the order of `CHECKS`.
        sources: int (M,), as in `ValSlices`.
    """
    sources = np.zeros(len(values), np.int64) if sources is None else sources
    parts = [values[sources == source] for source in np.unique(sources)]
    low, high = 0.0, 1.0 / _TAILS.max()
    for _ in range(40):  # the largest tail that keeps the promise
        tail = (low + high) / 2
        limits = _limits(values, tail)
        if min((part <= limits).all(axis=1).mean() for part in parts) >= PASS_SHARE:
            low = tail
        else:
            high = tail
    limits, middles = _limits(values, low), np.median(values, axis=0)
    # A hair wider: of few val slices one lies on its limit, and the last bits of its value hang
    # on the engine and on how many slices are judged together.
    limits = np.maximum(limits, middles) + 1e-5 * (1.0 + np.abs(limits))
    fields = {name: getattr(draft, name) for name in ("mean", "scale", "axes", "hidden", "output")}
    made = Appearance(**fields, middles=middles, limits=limits, quantiles=draft.quantiles)
    quantiles = np.quantile(made.excess(values).max(axis=1), LEVELS)
    return Appearance(**fields, middles=middles, limits=limits, quantiles=quantiles)


def _limits(values: NDArray[np.float64], tail: float) -> NDArray[np.float64]:
    shares = 1.0 - np.minimum(tail * _TAILS, 0.5)
    return np.array([np.quantile(v, s) for v, s in zip(values.T, shares, strict=True)])


def _learn(
    heads: NDArray[np.float64], outliers: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both layers of the mean of a few small networks; 1 is an outlier."""
    from sklearn.neural_network import MLPClassifier

    inputs = np.concatenate([heads, outliers]).astype(np.float32)
    truth = np.repeat([0, 1], [len(heads), len(outliers)])
    hidden, output, bias = [], [], 0.0
    for number in range(_NETWORKS):
        network = MLPClassifier(
            (_HIDDEN,), alpha=_DECAY, learning_rate_init=2e-3, batch_size=128,
            max_iter=_EPOCHS, n_iter_no_change=_EPOCHS, random_state=seed + number,
        )  # fmt: skip
        with _no_warning():
            network.fit(inputs, truth)
        hidden.append(np.concatenate([network.coefs_[0], network.intercepts_[:1]]))
        output.append(network.coefs_[1][:, 0] / _NETWORKS)
        bias += float(network.intercepts_[1][0]) / _NETWORKS
    return np.concatenate(hidden, axis=1).astype(np.float64), np.append(
        np.concatenate(output), bias
    ).astype(np.float64)


def learn_outliers(
    heads: NDArray[np.float64], outliers: NDArray[np.float64], seed: int = 0
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Learn scaled descriptors of heads from those of outliers; return the log odds."""
    hidden, output = _learn(heads, outliers, seed)
    count = heads.shape[1]
    draft = Appearance(np.zeros(count), np.ones(count), np.zeros((count, 1)), hidden, output,
                       np.zeros(3), np.ones(3), np.zeros(len(LEVELS)))  # fmt: skip
    return draft.likeness


def _no_warning() -> AbstractContextManager[Any]:
    """Silence "not converged": the number of epochs is chosen, not a failure."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    context = warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
    return context
