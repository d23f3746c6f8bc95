"""Whether a heatmap tells the truth about the network, and not just about the picture.

- Deletion and insertion (Petsiuk et al. 2018): cells are blurred away, or brought back into
  a blurred picture, hottest first. A faithful map makes the class's probability fall, or
  rise, sooner than the same cells in a random order.
- Weight randomisation (Adebayo et al. 2018): a map that stays the same when the weights are
  random shows the picture's edges, not the network's reasons.
- Tumour removed: with the tumour filled by healthy brain, the tumour's probability must
  fall; with the same fill beside it ("sham"), it must not.

Everything works on prepared slices and a function that gives probabilities, so that it is
the same for any network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.edits import erase, sham
from brain_cnn.evaluation.bootstrap import RESAMPLES, bootstrap_mean
from brain_cnn.labels import NOTUMOR, label_index

Tensor = NDArray[np.float32]
Predict = Callable[[Tensor], NDArray[np.floating]]
"""float32 (N, S, S, 1) in 0..1 -> probabilities (N, 4)."""

STEPS = 16
GRID = 20
"""Cells on each side that are deleted and inserted: the same for every network's map."""
RANDOM_ORDERS = 2

# Blur that takes a tumour out of sight, as a share of the side.
_BLUR = 0.08


class Curves(NamedTuple):
    """Probability of one class while cells change, and the areas under these curves.

    Attributes:
        deletion, insertion: float64 (STEPS + 1,), hottest cells first.
        random_deletion, random_insertion: the same in random orders, averaged.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]
    random_deletion: NDArray[np.float64]
    random_insertion: NDArray[np.float64]


def deletion_insertion(
    tensor: Tensor,
    heat: NDArray[np.floating],
    label: int,
    predict: Predict,
    rng: np.random.Generator,
    *,
    steps: int = STEPS,
) -> Curves:
    """Return the four curves of one slice.

    Args:
        tensor: float32 (S, S, 1), a prepared slice.
        heat: float (h, w), not negative, over the whole slice.
        label: the class whose probability is followed.
        predict: the network.
        rng: orders cells of equal heat, and the random orders.
        steps: equal parts in which all cells change.
    """
    cells = cv2.resize(heat.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    # Ties (a map is often zero over half of the slice) have no order of their own.
    shuffled = rng.permutation(cells.size)
    hottest = shuffled[np.argsort(-cells.ravel()[shuffled], kind="stable")]
    orders = [hottest, *(rng.permutation(cells.size) for _ in range(RANDOM_ORDERS))]
    blurred = cv2.GaussianBlur(tensor[..., 0], (0, 0), _BLUR * tensor.shape[0])[..., None]
    batch = []
    for order in orders:
        for old, new in ((tensor, blurred), (blurred, tensor)):
            batch += [_changed(old, new, order, step / steps) for step in range(steps + 1)]
    followed = np.asarray(predict(np.stack(batch)), dtype=np.float64)[:, label]
    curves = followed.reshape(len(orders), 2, steps + 1)
    return Curves(
        curves[0, 0], curves[0, 1], curves[1:, 0].mean(axis=0), curves[1:, 1].mean(axis=0)
    )


def _changed(old: Tensor, new: Tensor, order: NDArray[np.int64], share: float) -> Tensor:
    """Return `old` (S, S, 1) with the first `share` of the cells in `order` from `new`."""
    cells = np.zeros(GRID * GRID, np.float32)
    cells[order[: round(share * order.size)]] = 1.0
    side = old.shape[0]
    where = cv2.resize(cells.reshape(GRID, GRID), (side, side), interpolation=cv2.INTER_NEAREST)
    return np.where(where[..., None] > 0.5, new, old)


def area_under(curve: NDArray[np.floating]) -> float:
    """Return the mean height of a curve over its steps (trapezoids), 0..1."""
    return float(np.mean((curve[1:] + curve[:-1]) / 2))


def summarise_curves(
    curves: Sequence[Curves], groups: Sequence[Any] | None, *, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Return areas with intervals over many slices, and the mean curves for a figure.

    Returns:
        `n`, `groups`; `deletion`, `deletion_random`, `insertion`, `insertion_random`: areas
        {"value", "low", "high"}; `deletion_gain` = random - hottest and `insertion_gain` =
        hottest - random, paired by slice: faithful when the interval lies above 0;
        `curves`: name -> mean curve.
    """

    def mean(values: Sequence[float]) -> dict[str, float | None]:
        return bootstrap_mean(values, groups, resamples=resamples)

    areas = {name: [area_under(getattr(c, name)) for c in curves] for name in Curves._fields}
    gain = np.subtract(areas["random_deletion"], areas["deletion"])
    rise = np.subtract(areas["insertion"], areas["random_insertion"])
    return {
        **_count(len(curves), groups),
        "deletion": mean(areas["deletion"]),
        "deletion_random": mean(areas["random_deletion"]),
        "insertion": mean(areas["insertion"]),
        "insertion_random": mean(areas["random_insertion"]),
        "deletion_gain": mean(gain.tolist()),
        "insertion_gain": mean(rise.tolist()),
        "curves": {
            name: np.round(np.mean([getattr(c, name) for c in curves], axis=0), 5).tolist()
            for name in Curves._fields
        },
    }


def map_similarity(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the rank correlation (Spearman, -1..1) of two maps (h, w); 0 if one is flat."""
    a, b = _ranks(one), _ranks(other)
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ranks (N,) of the flattened values, equal ones sharing their mean rank."""
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    result: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse.ravel()]
    return result


def randomise_weights(model: Any, seed: int = 0) -> None:
    """Give every kernel of a Keras model, in place, random weights of the same spread.

    Biases and normalisations stay: the signals keep their size, what was learned goes.
    """
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        values = np.asarray(variable)
        if values.ndim > 1:
            noise = rng.normal(0.0, max(float(values.std()), 1e-3), values.shape)
            variable.assign(noise.astype(np.float32))


def summarise_sanity(
    learned: Sequence[NDArray[np.floating]],
    noisy: Sequence[NDArray[np.floating]],
    randomised: Sequence[NDArray[np.floating]],
    groups: Sequence[Any] | None,
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Return how similar the maps of a randomised network are to those of the learned one.

    Args:
        learned: N maps (h, w) of the network as it is.
        noisy: of the same network, on slices with a little noise: how much a map moves
            when nothing that matters changes.
        randomised: of the network with random weights.
    """
    same = [map_similarity(a, b) for a, b in zip(learned, noisy, strict=True)]
    other = [map_similarity(a, b) for a, b in zip(learned, randomised, strict=True)]
    return {
        **_count(len(other), groups),
        "similarity_randomised": bootstrap_mean(other, groups, resamples=resamples),
        "similarity_noise": bootstrap_mean(same, groups, resamples=resamples),
    }


def tumour_removed(
    tensors: Sequence[Tensor],
    masks: Sequence[NDArray[np.uint8]],
    labels: Sequence[int],
    predict: Predict,
    groups: Sequence[Any] | None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Evaluate what the network predicts when the tumour is filled, and when its neighbour is.

    Args:
        tensors: N prepared slices float32 (S, S, 1) with a tumour.
        masks: N masks uint8 (S, S) in the same crop.
        labels: N true classes.

    Returns:
        For the slices that could be edited both ways: `n`, `groups`; `fell`: share in which
        the true class's probability fell; `drop`, `sham_drop`: mean fall of it;
        `tumour_drop`, `sham_tumour_drop`: of the three tumour classes together;
        `more_than_sham`: share in which removing did more than the sham. Metrics are None
        where no slice could be edited.
    """
    before, after, beside, kept = [], [], [], []
    for i, tensor in enumerate(tensors):
        pixels = np.rint(tensor[..., 0] * 255).astype(np.uint8)
        rng = np.random.default_rng([seed, i])
        filled, control = erase(pixels, masks[i], rng), sham(pixels, masks[i], rng)
        if filled is not None and control is not None:
            three = np.stack([pixels, filled, control])[..., None] / 255
            three_ways = np.asarray(predict(three.astype(np.float32)), dtype=np.float64)
            before.append(three_ways[0])
            after.append(three_ways[1])
            beside.append(three_ways[2])
            kept.append(i)
    own = None if groups is None else [groups[i] for i in kept]
    result: dict[str, Any] = {**_count(len(kept), own), "not_editable": len(tensors) - len(kept)}
    if not kept:
        return result
    rows, true = np.arange(len(kept)), np.array([labels[i] for i in kept])
    p0, p1, p2 = (np.stack(part) for part in (before, after, beside))
    notumor = label_index(NOTUMOR)
    values = {
        "fell": p1[rows, true] < p0[rows, true],
        "drop": p0[rows, true] - p1[rows, true],
        "sham_drop": p0[rows, true] - p2[rows, true],
        "tumour_drop": p1[:, notumor] - p0[:, notumor],
        "sham_tumour_drop": p2[:, notumor] - p0[:, notumor],
        "more_than_sham": p1[rows, true] < p2[rows, true],
    }
    for name, numbers in values.items():
        result[name] = bootstrap_mean(numbers.astype(float), own, resamples=resamples)
    return result


def _count(count: int, groups: Sequence[Any] | None) -> dict[str, Any]:
    return {"n": count, "groups": None if groups is None else len({str(g) for g in groups})}
