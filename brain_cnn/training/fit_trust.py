"""Fit when a label may be called confident, on val slices whose source was changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.augment import AugmentSettings, augment
from brain_cnn.dataset.batches import PreparedData
from brain_cnn.dataset.edits import transplant
from brain_cnn.labels import LABELS, NOTUMOR
from brain_cnn.ood.ranks import LEVELS

Tensors = NDArray[np.float32]

# Other contrasts, textures and resolutions than any the val slices have; upright heads.
_OTHER_SOURCE = AugmentSettings(
    curve=1.0, invert=0.1, bias_field=0.5, resolution=0.5, convolution=0.5, elastic=0.2,
    right_angles=0.0,
)  # fmt: skip
_ROUNDS = 3
_GRAFTS = 600
# A grafted tumour counts as this many slices of another contrast: there are fewer of them.
_GRAFT_WEIGHT = 2.0


@dataclass(frozen=True)
class Shifted:
    """Slices that stand for other sources.

    Attributes:
        tensors: float32 (N, S, S, 1), what the network sees.
        truth: int64 (N,), positions in `LABELS`.
        weights: float64 (N,), how much each counts.
    """

    tensors: Tensors
    truth: NDArray[np.int64]
    weights: NDArray[np.float64]


def shift_sources(prepared: PreparedData, positions: NDArray[np.int64], seed: int = 0) -> Shifted:
    """Return the slices at `positions` as other sources might have shown them.

    With masks, tumours are also laid into heads without one: the shortest way to a tumour
    that comes from where the normals come from.
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
    inputs: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
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
    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=3000)
    model.fit(scaled, right, sample_weight=weights)
    return mean, scale, np.append(model.coef_[0], model.intercept_[0])


def fit_source(
    descriptors: NDArray[np.float64], labels: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Fit on scaled descriptors (N, K) of train slices which source a slice resembles: (K + 1,)."""
    from sklearn.linear_model import LogisticRegression

    tumour = np.asarray(labels) != LABELS.index(NOTUMOR)
    if tumour.all() or not tumour.any():
        return np.zeros(descriptors.shape[1] + 1)
    model = LogisticRegression(C=0.001, class_weight="balanced", max_iter=500)
    model.fit(descriptors, tumour)
    return np.append(model.coef_[0], model.intercept_[0])


def quantiles_by_label(
    speaks: NDArray[np.float64], labels: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return (4, 201): quantiles of each label's values, of all values for a label never named."""
    rows = [speaks[labels == label] for label in range(len(LABELS))]
    return np.stack([np.quantile(row if len(row) else speaks, LEVELS) for row in rows])


def limit_for(trust: NDArray[np.float64], candidate: NDArray[np.bool_], share: float) -> float:
    """Return the limit at which `share` of all val slices are trusted.

    Args:
        trust: float (M,), of all val slices.
        candidate: bool (M,), familiar.
    """
    ordered = np.sort(trust[candidate])[::-1]
    wanted = round(share * len(trust))
    if not len(ordered):
        return 2.0  # none may be confident
    return float(ordered[min(wanted, len(ordered)) - 1]) if wanted else 2.0
