"""Probabilities that mean what they say, and the labels that come into question.

A temperature (Guo et al. 2017) and conformal prediction sets, both fitted on the `val` part
alone; `calibration` carries them with the weights.

**The sets.** A label enters the set where 1 - p(label) is at most the threshold of that label
(score of Sadinle, Lei and Wasserman 2019, "least ambiguous sets"). Each label has a threshold
of its own, fitted on the val slices of that label (label-conditional, or Mondrian, conformal
prediction: Vovk 2012), so that each class reaches the target coverage, not only their mean:
`notumor` is a twelfth of the slices and would drown in it.

**The groups.** Slices of one patient resemble each other, so val slices are not exchangeable;
patients are. A threshold is therefore a quantile over groups: each slice weighs 1 / (slices of
this label in its group), and one group more, the next patient, counts as beyond every score.
With one slice a group this is the usual split-conformal quantile; with many, a slice of a new
group is covered with at least the target coverage (Lee, Barber and Willett 2023, hierarchical
conformal prediction; Dunn, Wasserman and Ramdas 2023 compare it with its rivals).

**Why not the rivals.** 20 groups of 1 to 60 slices, three quarters of the scores' variance
between groups, target coverage 0.90, 4000 repetitions (`tests/inference/test_conformal.py`
repeats it in small). Coverage of a slice of a new group, and share of repetitions below 0.80:

| quantile | mean | below 0.80 |
|---|---|---|
| each slice weighs the same, groups ignored | 0.886 | 8.4 % |
| groups weigh the same, without the next one (CDF pooling, valid for many groups) | 0.888 | 5.8 % |
| one slice drawn from each group | 0.904 | 7.6 % |
| **groups weigh the same, the next one counted (ours)** | 0.933 | 0.8 % |
| one quantile a group, then the quantile of these | 0.961 | 0.0 % |

The first two miss the target, the third throws slices away and hangs on the draw, the last
makes sets wider than the target asks for.

**Few groups.** With G groups no threshold below 1 can be sure to reach a coverage above
G / (G + 1): 9 patients support 0.90, and 0.95 takes 19. A label could then be put into every
set, but with two such labels each set would hold both, whatever the slice shows. Instead the
threshold is the largest score of the label's val slices, which is sure to reach G / (G + 1).
The model card names the groups and that floor beside the target. A label without any val
slice is in every set.

Sources: Vovk 2012, Conditional validity of inductive conformal predictors; Sadinle, Lei and
Wasserman 2019, Least ambiguous set-valued classifiers; Dunn, Wasserman and Ramdas 2023,
Distribution-free prediction sets for two-layer hierarchical models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import BundleError
from brain_cnn.labels import LABELS

COVERAGES = (0.90, 0.95, 0.99)
Thresholds = dict[float, tuple[float, ...]]
"""Target coverage -> for each label the largest 1 - p with which it is still in the set."""

_ROUNDING = 1e-9
"""In groups: sums of 1/3 and the like are not exact."""


def same_for_all(threshold: float) -> Thresholds:
    """Return one threshold for every label and coverage: 0 leaves the likeliest label, 1 all."""
    return dict.fromkeys(COVERAGES, (threshold,) * len(LABELS))


def labels_within(
    probabilities: NDArray[np.floating], thresholds: Sequence[float]
) -> tuple[str, ...]:
    """Return the labels of float (4,) whose 1 - p is at most their threshold, likeliest first.

    The likeliest is always among them. Four numbers are too few for array operations to pay:
    in plain Python this costs a tenth, and every uploaded slice asks several times.
    """
    values = probabilities.tolist()
    order = np.argsort(-probabilities, kind="stable").tolist()
    return tuple(
        LABELS[label]
        for place, label in enumerate(order)
        if place == 0 or 1.0 - values[label] <= thresholds[label]
    )


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return float64 (N, 4) probabilities of logits (N, 4), computed in float64."""
    values = np.asarray(logits, dtype=np.float64)
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature in 0.2..5 with the smallest mean negative log-likelihood."""
    grid = np.exp(np.linspace(np.log(0.2), np.log(5.0), 400))
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(logits / t)[rows, labels] + 1e-12).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])


def fit_set_thresholds(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], groups: Any
) -> Thresholds:
    """Return for each coverage in `COVERAGES` the threshold of each label.

    Args:
        probabilities: float (N, 4), calibrated.
        labels: int (N,), the true ones, positions in `LABELS`.
        groups: N names; slices of one name (one patient) are not independent.
    """
    names = np.asarray([str(name) for name in groups])
    scores = 1.0 - np.asarray(probabilities, dtype=np.float64)
    own = [np.asarray(labels) == label for label in range(len(LABELS))]
    return {
        coverage: tuple(
            group_quantile(scores[members, label], names[members], coverage)
            for label, members in enumerate(own)
        )
        for coverage in COVERAGES
    }


def count_groups(labels: NDArray[np.integer], groups: Any) -> tuple[int, ...]:
    """Return for each label how many groups have a slice of it."""
    names = np.asarray([str(name) for name in groups])
    return tuple(len(set(names[np.asarray(labels) == i].tolist())) for i in range(len(LABELS)))


def coverage_floor(coverage: float, groups: int) -> float:
    """Return the coverage that a threshold of this many groups is sure to reach."""
    return min(coverage, groups / (groups + 1)) if groups else 1.0


def group_quantile(scores: NDArray[np.float64], groups: NDArray[Any], coverage: float) -> float:
    """Return the conformal quantile of scores (N,) in 0..1, each group weighing the same.

    The smallest score that `coverage` of the groups and one unseen group do not exceed; the
    largest score where there are too few groups for that, 1 where there is none.
    """
    if not len(scores):
        return 1.0
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(1.0 / sizes[member][order])  # in groups: the last is their number
    wanted = min(coverage * (len(sizes) + 1), len(sizes))
    return float(scores[order][np.searchsorted(mass, wanted - _ROUNDING)])


def read_thresholds(record: dict[str, Any]) -> Thresholds:
    """Return the thresholds of calibration.json's `set_thresholds`.

    Raises:
        BundleError: they are of an older program, one for all labels.
        ValueError: they are not one number in 0..1 for each label.
    """
    if any(isinstance(row, (int, float)) for row in record.values()):
        raise BundleError(
            "calibration-outdated",
            "The model's prediction sets are of an older program: calibration.json has one "
            "threshold for all classes, this program needs one for each class.",
            "Fit them again with python scripts/calibrate.py --sets-only, or train again.",
        )
    thresholds = {float(key): tuple(float(v) for v in row) for key, row in record.items()}
    for coverage, row in thresholds.items():
        if len(row) != len(LABELS) or not all(0.0 <= value <= 1.0 for value in row):
            raise ValueError(f"set_thresholds of {coverage}: {list(row)}, not 4 numbers in 0..1")
    return thresholds
