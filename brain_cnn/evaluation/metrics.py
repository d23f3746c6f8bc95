"""Metrics with confidence intervals, and the results table.

The images of one patient are not independent: a network that fails on a patient fails on
most of the slices. So the bootstrap draws whole groups (patients, or look-alikes where
the patient is unknown), never single images where groups are known.

Every metric is computed from weighted counts. The estimate itself gives each group the
weight 1; a bootstrap resample gives it the number of times that it was drawn. One piece
of code therefore makes the value and its interval, and 2000 resamples take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brain_cnn.evaluation.bootstrap import (
    RESAMPLES,
    Interval,
    group_members,
    interval,
    resampled_weights,
)
from brain_cnn.labels import LABELS, NOTUMOR, label_index

ECE_BINS = 15

PUBLISHED_REFERENCE: dict[str, dict[str, float]] = {
    "glioma": {"precision": 0.9701, "recall": 0.8667, "f1": 0.9155},
    "meningioma": {"precision": 0.8527, "recall": 0.8889, "f1": 0.8704},
    "notumor": {"precision": 0.9388, "recall": 0.9852, "f1": 0.9614},
    "pituitary": {"precision": 0.9766, "recall": 0.9733, "f1": 0.9750},
}
"""A published two-convolution network on the official (leaky) split."""

Floats = NDArray[np.float64]


def evaluate_predictions(
    true: ArrayLike,
    probabilities: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Return every metric of a set of predictions with its 95 % bootstrap interval.

    Args:
        true: int (N,), positions in `LABELS`.
        probabilities: float (N, 4), in the order of `LABELS`, each row sums to 1.
        groups: N group names (patients); None resamples single images.
        resamples: number of bootstrap resamples.
        seed: of the resampling; the same seed gives the same intervals.

    Returns:
        A dict that `json` can write: `n`, `groups` (their number, or None), `accuracy`,
        `macro_precision`, `macro_recall`, `macro_f1`, `macro_auc`, `ece`,
        `tumour_called_notumor` (share of tumours predicted `notumor`), `per_class`
        (label -> precision, recall, f1, auc, support) and `confusion` (4x4 counts, rows
        are the truth). Each metric is {"value", "low", "high"}, in 0..1, the interval
        between the 2.5th and 97.5th percentile. A class without a true image has None
        for its metrics, and the macro averages go over the other classes. With fewer than
        two groups there is no interval: `low` and `high` are None.

    Raises:
        ValueError: shapes that do not fit, classes outside 0..3, rows that do not sum to 1.
    """
    truth, scores, members, group_count = _checked(true, probabilities, groups)
    statistics = _Statistics(truth, scores, members, group_count)
    value = statistics.metrics(np.ones((1, group_count)))
    drawn = [statistics.metrics(w) for w in resampled_weights(group_count, resamples, seed)]
    named = {
        name: interval(float(value[name][0]), np.concatenate([d[name] for d in drawn]), group_count)
        for name in value
    }
    confusion = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    np.add.at(confusion, (truth, scores.argmax(axis=1)), 1)
    result: dict[str, Any] = {
        "n": len(truth),
        "groups": None if groups is None else group_count,
    }
    result.update({k: v for k, v in named.items() if "/" not in k})
    result["per_class"] = {
        label: {
            **{m: named[f"{label}/{m}"] for m in ("precision", "recall", "f1", "auc")},
            "support": int(confusion[i].sum()),
        }
        for i, label in enumerate(LABELS)
    }
    result["confusion"] = confusion.tolist()
    return result


class _Statistics:
    """Sums per group from which every metric of a weighted sample follows."""

    def __init__(
        self, truth: NDArray[np.int64], scores: Floats, members: NDArray[np.int64], group_count: int
    ) -> None:
        predicted = scores.argmax(axis=1)
        top = scores.max(axis=1)
        self.members = members
        self.confusion = np.zeros((group_count, len(LABELS), len(LABELS)))
        np.add.at(self.confusion, (members, truth, predicted), 1.0)
        # |sum of confidence - sum of hits| per bin is all that the calibration error needs.
        bins = np.clip(np.ceil(top * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
        self.gap = np.zeros((group_count, ECE_BINS))
        np.add.at(self.gap, (members, bins), top - (predicted == truth))
        self.rankings = [_Ranking(scores[:, i], truth == i) for i in range(len(LABELS))]

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return metric name -> (R,), for group weights (R, G); NaN where undefined."""
        confusion = np.tensordot(weights, self.confusion, axes=1)  # (R, 4, 4)
        total = confusion.sum(axis=(1, 2))
        hits = np.diagonal(confusion, axis1=1, axis2=2)  # (R, 4)
        support, called = confusion.sum(axis=2), confusion.sum(axis=1)
        image_weights = weights[:, self.members]
        present = support > 0
        per_class = {
            # A class that is never predicted has precision 0, as in scikit-learn.
            "precision": _ratio(hits, np.where(called > 0, called, 1.0)),
            "recall": _ratio(hits, support),
            "f1": _ratio(2 * hits, support + called),
            "auc": np.stack([r.auc(image_weights) for r in self.rankings], axis=1),
        }
        per_class = {k: np.where(present, v, np.nan) for k, v in per_class.items()}
        notumor = label_index(NOTUMOR)
        tumours = total - support[:, notumor]
        result = {"accuracy": _ratio(hits.sum(axis=1), total)}
        result.update({f"macro_{k}": _nan_mean(v) for k, v in per_class.items()})
        result["tumour_called_notumor"] = _ratio(called[:, notumor] - hits[:, notumor], tumours)
        result["ece"] = _ratio(np.abs(weights @ self.gap).sum(axis=1), total)
        for i, label in enumerate(LABELS):
            result.update({f"{label}/{k}": v[:, i] for k, v in per_class.items()})
        return result


class _Ranking:
    """The images in order of one class's score, ready for weighted AUCs."""

    def __init__(self, score: Floats, positive: NDArray[np.bool_]) -> None:
        self.order = np.argsort(score, kind="stable")
        ordered = score[self.order]
        self.positive = positive[self.order].astype(np.float64)
        # Images with the same score are one step of the curve: a tie counts half.
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def auc(self, image_weights: Floats) -> Floats:
        """Return the area under the ROC curve (R,) for image weights (R, N)."""
        ordered = image_weights[:, self.order]
        positive = np.add.reduceat(ordered * self.positive, self.starts, axis=1)
        negative = np.add.reduceat(ordered * (1 - self.positive), self.starts, axis=1)
        below = np.cumsum(negative, axis=1) - 0.5 * negative
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return _ratio((positive * below).sum(axis=1), pairs)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, NaN where `whole` is 0."""
    result: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return result


def _nan_mean(values: Floats) -> Floats:
    """Return the mean over the last axis of the numbers that are not NaN."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(float))


def _checked(
    true: ArrayLike, probabilities: ArrayLike, groups: Sequence[Any] | NDArray[Any] | None
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64], int]:
    truth = np.asarray(true)
    scores = np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or truth.size == 0 or truth.dtype.kind not in "iu":
        raise ValueError(f"true must be int (N,) with N > 0, got {truth.dtype} {truth.shape}")
    if scores.shape != (len(truth), len(LABELS)):
        raise ValueError(f"probabilities must be ({len(truth)}, {len(LABELS)}), got {scores.shape}")
    if truth.min() < 0 or truth.max() >= len(LABELS):
        raise ValueError(f"classes must be 0..{len(LABELS) - 1}, got {truth.min()}..{truth.max()}")
    if not np.all(np.abs(scores.sum(axis=1) - 1.0) < 1e-3) or scores.min() < 0:
        raise ValueError("each row of probabilities must be non-negative and sum to 1")
    members, group_count = group_members(groups, len(truth))
    return truth.astype(np.int64), scores, members, group_count


def format_table(
    results: dict[str, dict[str, Any]],
    reference: dict[str, dict[str, float]] | None = None,
) -> str:
    """Return the results table as plain text, one block a model.

    Args:
        results: model name ("ours", "baseline") -> what `evaluate_predictions` returned.
        reference: published values, label -> precision, recall, f1; printed last.

    Returns:
        Lines: per class precision, recall, F1, AUC and support, the macro averages,
        accuracy, each with its interval in parentheses; n and groups in the heading.
    """
    header = f"{'':<12}" + "".join(f"{c:<24}" for c in ("precision", "recall", "F1", "AUC"))
    lines: list[str] = []
    for name, result in results.items():
        lines += [f"{name}: {sample_sentence(result)}", header + "support"]
        for label, row in result["per_class"].items():
            cells = "".join(
                f"{format_interval(row[m]):<24}" for m in ("precision", "recall", "f1", "auc")
            )
            lines.append(f"{label:<12}{cells}{row['support']}")
        macro = "".join(
            f"{format_interval(result['macro_' + m]):<24}"
            for m in ("precision", "recall", "f1", "auc")
        )
        lines.append(f"{'macro':<12}{macro}{result['n']}")
        lines.append(f"{'accuracy':<12}{format_interval(result['accuracy'])}")
        lines.append(
            f"tumours called notumor {format_interval(result['tumour_called_notumor'])}; "
            f"calibration error (ECE) {format_interval(result['ece'])}"
        )
        lines.append("")
    if reference is not None:
        lines += ["published reference (its authors' numbers, no intervals)", header.rstrip()]
        for label, numbers in reference.items():
            cells = "".join(f"{numbers[m]:<24.4f}" for m in ("precision", "recall", "f1"))
            lines.append(f"{label:<12}{cells}".rstrip())
    return "\n".join(lines).rstrip() + "\n"


def sample_sentence(result: dict[str, Any]) -> str:
    """Return "n = 530 images of 92 groups; 95 % bootstrap intervals over groups"."""
    if result["groups"] is None:
        return f"n = {result['n']} images; 95 % bootstrap intervals over images"
    return (
        f"n = {result['n']} images of {result['groups']} groups; "
        "95 % bootstrap intervals over groups"
    )


def format_interval(metric: Interval, digits: int = 4) -> str:
    """Return "0.9321 (0.9005-0.9580)", "0.9321" without an interval, "-" when undefined."""
    value, low, high = metric["value"], metric["low"], metric["high"]
    if value is None:
        return "-"
    if low is None or high is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
