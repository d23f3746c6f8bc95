"""The shortcut audit: how far one comes without looking at any tumour.

A decision tree is given what betrays a file and not a brain: its width and height, its
border, its histogram. What it reaches on the test part is what any network could have
learned from the source alone; after `prepare` it should be less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from brain_cnn.evaluation.metrics import evaluate_predictions
from brain_cnn.labels import LABELS
from brain_cnn.preprocess import prepare

_BINS = 32
_BORDER = 4  # pixels
_LEAVES = (8, 16, 32, 64)


def file_features(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Return what a file shows besides its brain: `size`, `border`, `histogram`.

    Args:
        pixels: uint8 (H, W).

    Returns:
        `size`: width, height, their ratio; `border`: of each side's outermost pixels the mean
        and maximum, and how many lines are nearly black; `histogram`: shares of 32 bins.
    """
    height, width = pixels.shape
    values = pixels.astype(np.float64)
    edges = (values[:_BORDER], values[-_BORDER:], values[:, :_BORDER], values[:, -_BORDER:])
    rows, columns = values.max(axis=1), values.max(axis=0)
    lines = (rows, rows[::-1], columns, columns[::-1])
    dark = [int(np.argmax(line > 20)) / len(line) for line in lines]
    counts = np.bincount((pixels // (256 // _BINS)).ravel(), minlength=_BINS)
    return {
        "size": np.array([width, height, width / height]),
        "border": np.array([f(e) for e in edges for f in (np.mean, np.max)] + dark),
        "histogram": counts / pixels.size,
    }


def shortcut_audit(
    images: Sequence[NDArray[np.uint8]],
    labels: NDArray[np.int64],
    parts: dict[str, NDArray[np.int64]],
    groups: NDArray[Any],
    size: int,
) -> dict[str, Any]:
    """Return what trees reach from file features, before and after `prepare`.

    Args:
        images: N slices uint8 (H, W).
        labels: int64 (N,), positions in `LABELS`.
        parts: "train", "val" (chooses the size of the tree), "test": positions.
        groups: (N,) bootstrap units.
        size: side of the prepared slice, pixels.

    Returns:
        "before" and "after" -> features ("size", "border", "histogram", "all together") ->
        `n`, `groups`, `accuracy`, `balanced_accuracy`; and `most_frequent_class`: the
        accuracy of always naming it.
    """
    ready = [np.rint(prepare(p, size).tensor[..., 0] * 255).astype(np.uint8) for p in images]
    test = parts["test"]
    result: dict[str, Any] = {
        "protocol": "trees fitted on protocol train, sized on val, measured on test",
        "most_frequent_class": round(float(np.bincount(labels[test]).max() / len(test)), 6),
    }
    for name, pictures in (("before", list(images)), ("after", ready)):
        rows = [file_features(p) for p in pictures]
        kinds = {kind: np.stack([row[kind] for row in rows]) for kind in rows[0]}
        kinds["all together"] = np.concatenate(list(kinds.values()), axis=1)
        result[name] = {}
        for kind, features in kinds.items():
            called = _best_tree(features, labels, parts).predict(features[test])
            evaluated = evaluate_predictions(
                labels[test], np.eye(len(LABELS))[called], [str(g) for g in groups[test]]
            )
            result[name][kind] = {
                "n": evaluated["n"],
                "groups": evaluated["groups"],
                "accuracy": evaluated["accuracy"],
                "balanced_accuracy": evaluated["macro_recall"],
            }
    return result


def _best_tree(
    features: NDArray[np.float64], labels: NDArray[np.int64], parts: dict[str, NDArray[np.int64]]
) -> DecisionTreeClassifier:
    train, val = parts["train"], parts["val"]
    trees = [
        DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced", random_state=0)
        for leaves in _LEAVES
    ]
    scores = [
        tree.fit(features[train], labels[train]).score(features[val], labels[val]) for tree in trees
    ]
    return trees[int(np.argmax(scores))]
