"""Fit when a label may be called confident, on slices of other sources than the training's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.augment import AugmentSettings, augment
from brain_cnn.dataset.batches import PreparedData
from brain_cnn.dataset.edits import transplant
from brain_cnn.labels import LABELS, NOTUMOR

Tensors = NDArray[np.float32]
Floats = NDArray[np.float64]

# Other contrasts, textures and resolutions than any the val slices have; upright heads.
_OTHER_SOURCE = AugmentSettings(
    curve=1.0, invert=0.1, bias_field=0.5, resolution=0.5, convolution=0.5, elastic=0.2,
    right_angles=0.0,
)  # fmt: skip
_ROUNDS = 3
_GRAFTS = 600
# A grafted tumour counts as this many slices of another contrast: there are fewer of them.
_GRAFT_WEIGHT = 2.0
# How weak the regression's coefficients are kept: a few thousand slices, some thirty inputs.
_INVERSE_PENALTY = 0.1


@dataclass(frozen=True)
class Shifted:
    """Slices that stand for other sources.

    Attributes:
        tensors: float32 (N, S, S, 1), the network's input.
        truth: int64 (N,), positions in `LABELS`.
        weights: float64 (N,), how much each counts.
    """

    tensors: Tensors
    truth: NDArray[np.int64]
    weights: Floats


def shift_sources(
    prepared: PreparedData,
    positions: NDArray[np.int64],
    seed: int = 0,
    others: Sequence[PreparedData] = (),
) -> Shifted:
    """Return the slices at `positions` as other sources might have shown them, and others.

    With masks, tumours are also laid into heads without one: the shortest way to a tumour
    that comes from where the normals come from.

    Args:
        others: data sets of other sources that no training saw; each counts as much as the
            changed slices do.
    """
    rng = np.random.default_rng(seed)
    size = prepared.images.shape[1]
    tensors, truth, weights = [], [], []
    for _ in range(_ROUNDS):
        for i in positions:
            tensors.append(augment(prepared.images[i], None, size, rng, _OTHER_SOURCE)[0])
            truth.append(int(prepared.labels[i]))
            weights.append(1.0)
    for picture, label in _grafts(prepared, positions, rng):
        tensors.append(picture.astype(np.float32) / 255.0)
        truth.append(label)
        weights.append(_GRAFT_WEIGHT)
    total = sum(weights)
    for other in others:
        tensors += [image.astype(np.float32) / 255.0 for image in other.images]
        truth += other.labels.tolist()
        weights += [total / len(other.images)] * len(other.images)
    return Shifted(np.stack(tensors)[..., None], np.array(truth), np.array(weights))


def _grafts(
    prepared: PreparedData, positions: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[NDArray[np.uint8], int]]:
    none = LABELS.index(NOTUMOR)
    heads = [int(i) for i in positions if prepared.labels[i] == none]
    donors = [int(i) for i in positions if prepared.labels[i] != none and prepared.has_mask[i]]
    if prepared.masks is None or not heads or not donors:
        return []
    made = []
    for _ in range(min(_GRAFTS, 4 * len(positions))):
        head, donor = int(rng.choice(heads)), int(rng.choice(donors))
        label = int(prepared.labels[donor])
        result = transplant(
            prepared.images[head], prepared.images[donor], prepared.masks[donor],
            LABELS[label], rng,
        )  # fmt: skip
        if result is not None:
            made.append((result[0], label))
    return made


def fit_odds(
    inputs: Floats, right: NDArray[np.bool_], weights: Floats
) -> tuple[Floats, Floats, Floats]:
    """Fit what tells right labels from wrong ones on shifted slices.

    Args:
        inputs: float (N, F), `trust_inputs` of the shifted slices.
        right: bool (N,), whether the network names them rightly. weights: float (N,).

    Returns:
        mean and scale (F,) of the inputs, and weights (F + 1,).
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    if right.all() or not right.any():  # nothing to learn from: every label alike
        return mean, scale, np.zeros(inputs.shape[1] + 1)
    scaled = np.clip((inputs - mean) / scale, -6.0, 6.0)
    # Classes as they are: the result is a probability, and is called one.
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=3000)
    model.fit(scaled, right, sample_weight=weights / weights.mean())
    return mean, scale, np.append(model.coef_[0], model.intercept_[0])


def limit_for(trust: Floats, right: NDArray[np.bool_], weights: Floats, target: float) -> float:
    """Return the lowest limit from which on `target` of the trusted labels are right.

    Args:
        trust: float (N,), of the shifted slices; right: bool (N,); weights: float (N,).
        target: share in 0..1.

    Returns:
        A trust; 2, which none reaches, where even the most trusted are not right that often,
        or there is none.
    """
    if not trust.size:
        return 2.0
    order = np.argsort(-trust, kind="stable")
    total = np.cumsum(weights[order])
    share = np.cumsum(weights[order] * right[order]) / total
    # A handful of slices at the top says nothing yet.
    reached = np.flatnonzero((share >= target) & (total >= 0.02 * total[-1]))
    return float(trust[order][reached[-1]]) if reached.size else 2.0
