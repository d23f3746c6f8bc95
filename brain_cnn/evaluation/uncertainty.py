"""Whether the model is as sure as it says: calibration, sets, refusals, selective answers.

Every function takes predictions (`models.Predictions`) and the truth, and returns numbers that
`json` can write; intervals are 95 % bootstraps over `groups` (patients, or look-alikes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.evaluation.bootstrap import RESAMPLES, bootstrap_mean
from brain_cnn.evaluation.metrics import ECE_BINS, evaluate_predictions
from brain_cnn.evaluation.models import Predictions
from brain_cnn.inference.conformal import COVERAGES, coverage_floor
from brain_cnn.labels import LABELS

SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares answered at which selective prediction is reported."""

_SIMULATIONS = 2000
Groups = Sequence[Any] | NDArray[Any] | None


def counted(values: Any, groups: Groups) -> dict[str, Any]:
    """Return {"n", "groups", "value", "low", "high"}: a mean that says of what it is.

    Of nothing, `value`, `low` and `high` are None.
    """
    numbers = np.asarray(values, dtype=np.float64)
    count = None if groups is None else len({str(g) for g in groups})
    if numbers.size == 0:
        return {"n": 0, "groups": count, "value": None, "low": None, "high": None}
    return {"n": int(numbers.size), "groups": count, **bootstrap_mean(numbers, groups)}


def groups_of(groups: Groups, members: NDArray[np.bool_]) -> Groups:
    """Return the groups of some slices."""
    return None if groups is None else np.asarray([str(g) for g in groups])[members]


def reliability(
    predictions: Predictions, truth: NDArray[np.int64], groups: Groups
) -> dict[str, Any]:
    """Return the calibration error, what a perfectly calibrated model shows, and the bins.

    Returns:
        `ece` and `ece_perfect` ({"value", "low", "high"}): the second is what a model whose
        probabilities are exactly right would show with as many slices; `bins`: of each
        non-empty one of 15 equal widths `low_edge`, `high_edge`, `n`, `confidence` and
        `accuracy` with its interval.
    """
    top = predictions.probabilities.max(axis=1)
    right = (predictions.called() == truth).astype(float)
    bins = np.clip(np.ceil(top * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    rows = []
    for number in range(ECE_BINS):
        inside = bins == number
        if inside.any():
            rows.append(
                {
                    "low_edge": round(number / ECE_BINS, 6),
                    "high_edge": round((number + 1) / ECE_BINS, 6),
                    "n": int(inside.sum()),
                    "confidence": round(float(top[inside].mean()), 6),
                    "accuracy": bootstrap_mean(right[inside], groups_of(groups, inside)),
                }
            )
    ece = evaluate_predictions(truth, predictions.probabilities, groups)["ece"]
    return {"ece": ece, "ece_perfect": _perfect_ece(top, bins), "bins": rows}


def _perfect_ece(top: NDArray[np.float64], bins: NDArray[np.int64]) -> dict[str, float]:
    rng = np.random.default_rng(0)
    hits = rng.random((_SIMULATIONS, len(top))) < top
    membership = np.eye(ECE_BINS)[bins]  # (N, bins)
    errors = np.abs((top - hits) @ membership).sum(axis=1) / len(top)
    low, high = np.percentile(errors, [2.5, 97.5])
    names = ("value", "low", "high")
    return {n: round(float(v), 6) for n, v in zip(names, (errors.mean(), low, high), strict=True)}


def coverage_table(
    predictions: Predictions, truth: NDArray[np.int64], groups: Groups
) -> dict[str, Any]:
    """Return for each target coverage how often the set holds the truth, and its size.

    Returns:
        "0.90" -> {"all" or a label -> {"n", "groups", "coverage", "size" (mean), "sizes":
        {"1" .. "4": share of sets with so many labels}}}; for a label also `val_groups`, on
        which its threshold stands, and `floor`, the coverage that so many are sure to reach.
    """
    table: dict[str, Any] = {}
    fitted = dict(zip(LABELS, predictions.calibration.set_groups, strict=False))
    for target in COVERAGES:
        sets = predictions.sets(target)
        holds = np.array([LABELS[t] in s for t, s in zip(truth, sets, strict=True)], dtype=float)
        sizes = np.array([len(s) for s in sets])
        rows = {
            name: _set_row(holds[members], sizes[members], groups_of(groups, members))
            for name, members in _all_and_classes(truth)
            if members.any()
        }
        for name in fitted.keys() & rows.keys():
            floor = round(coverage_floor(target, fitted[name]), 6)
            rows[name] |= {"val_groups": fitted[name], "floor": floor}
        table[f"{target:.2f}"] = rows
    return table


def _set_row(
    holds: NDArray[np.float64], sizes: NDArray[np.int64], groups: Groups
) -> dict[str, Any]:
    return {
        "n": len(holds),
        "groups": counted(holds, groups)["groups"],
        "coverage": bootstrap_mean(holds, groups),
        "size": bootstrap_mean(sizes.astype(float), groups),
        "sizes": {
            str(count): bootstrap_mean((sizes == count).astype(float), groups)
            for count in range(1, len(LABELS) + 1)
        },
    }


def _all_and_classes(truth: NDArray[np.int64]) -> list[tuple[str, NDArray[np.bool_]]]:
    whole = [("all", np.ones(len(truth), dtype=bool))]
    return whole + [(label, truth == i) for i, label in enumerate(LABELS)]


def verdicts(predictions: Predictions, truth: NDArray[np.int64], groups: Groups) -> dict[str, Any]:
    """Return shares of the three verdicts, and the accuracy of the confident answers."""
    sure = predictions.confident()
    right = predictions.called() == truth
    return {
        "confident": counted(sure, groups),
        "uncertain": counted(predictions.familiar & ~sure, groups),
        "unfamiliar": counted(~predictions.familiar, groups),
        "accuracy_of_confident": counted(right[sure], groups_of(groups, sure)),
    }


def selective(
    predictions: Predictions, truth: NDArray[np.int64], groups: Groups
) -> list[dict[str, Any]]:
    """Return accuracy against the share answered: the familiar and likeliest answers first."""
    order = np.argsort(
        -(predictions.familiar + predictions.probabilities.max(axis=1)), kind="stable"
    )
    right = predictions.called() == truth
    rows = []
    for share in SHARES:
        answered = np.zeros(len(truth), dtype=bool)
        answered[order[: max(1, round(share * len(truth)))]] = True
        accuracy = counted(right[answered], groups_of(groups, answered))
        rows.append({"share": share, "accuracy": accuracy})
    return rows


def auroc(
    higher: NDArray[np.floating],
    lower: NDArray[np.floating],
    groups_higher: Groups = None,
    groups_lower: Groups = None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how often a score of `higher` (N,) exceeds one of `lower` (M,), ties by half.

    Returns:
        {"n", "m", "value", "low", "high"}; the bootstrap draws the groups of both sides.
    """
    wins = (higher[:, None] > lower[None]) + 0.5 * (higher[:, None] == lower[None])
    rows, row_sizes = _membership(groups_higher, len(higher))
    columns, column_sizes = _membership(groups_lower, len(lower))
    table = rows.T @ wins @ columns  # wins of each pair of groups
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        w = rng.multinomial(len(row_sizes), np.full(len(row_sizes), 1 / len(row_sizes)))
        v = rng.multinomial(len(column_sizes), np.full(len(column_sizes), 1 / len(column_sizes)))
        drawn.append((w @ table @ v) / ((w @ row_sizes) * (v @ column_sizes)))
    low, high = np.percentile(drawn, [2.5, 97.5])
    value = float(wins.mean())
    return {
        "n": len(higher), "m": len(lower), "value": round(value, 6),
        "low": round(float(low), 6), "high": round(float(high), 6),
    }  # fmt: skip


def _membership(groups: Groups, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, G) of 0 and 1, and the size of each group."""
    names = [str(i) for i in range(count)] if groups is None else [str(g) for g in groups]
    _, members = np.unique(names, return_inverse=True)
    matrix = np.eye(int(members.max()) + 1)[members]
    return matrix, matrix.sum(axis=0)
