"""Images that a person should look at: a wrong label, or no brain MRI among brain MRI.

Nothing is dropped here; a list is made, the oddest first. Both scores are out of fold, over
look-alike groups, so that no image is judged by what learned from it or from its twin:

- *label*: the probability that a simple classifier of descriptors (`ood.descriptors`) gives
  to the image's own label (self-confidence; Northcutt et al. 2021, "confident learning"). It
  is low for a picture that looks like another folder's.
- *outlier*: the log odds that a small network, which learned heads from
  made pictures that are none (`ood.outliers`), takes the image for one. High for a CT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.copies import find_lookalikes
from brain_cnn.labels import LABELS, label_index
from brain_cnn.ood.fit_gate import describe_pictures, learn_outliers
from brain_cnn.ood.outliers import make_outliers
from brain_cnn.preprocess import prepare

FOLDS = 4
_SIZE = 160
_OUTLIERS = 2000


@dataclass(frozen=True)
class Suspect:
    """One image to look at.

    Attributes:
        position: of the image.
        kind: "label" or "outlier".
        score: of `kind`; see the module.
        looks_like: for "label" the likeliest label, else "".
    """

    position: int
    kind: str
    score: float
    looks_like: str = ""


@dataclass(frozen=True)
class AuditScores:
    """Out-of-fold scores of N images.

    Attributes:
        probabilities: float64 (N, 4), of each label.
        own: float64 (N,), probability of the image's own label; low is suspect.
        outlier: float64 (N,), log odds of being no head in an MRI; high is suspect.
    """

    probabilities: NDArray[np.float64]
    own: NDArray[np.float64]
    outlier: NDArray[np.float64]


def score_audit(
    images: Sequence[NDArray[np.uint8]],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    seed: int = 0,
    outliers: int = _OUTLIERS,
) -> AuditScores:
    """Score N distinct images.

    Args:
        images: uint8 (H, W) each. labels: int64 (N,), positions in `LABELS`.
        groups: (N,) look-alike group of each; a group is never split between folds.
        seed: of the folds and of the made outliers.
        outliers: how many are made.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    descriptors = describe_pictures(images, _SIZE)
    # Cropped to the head as in a calibration: else what is made of them comes out blurred.
    heads = [
        np.rint(prepare(images[i], _SIZE).tensor[..., 0] * 255).astype(np.uint8)
        for i in rng.permutation(len(images))[:1000]
    ]
    made = describe_pictures(make_outliers(heads, outliers, rng)[0], _SIZE)
    names, members = np.unique(groups, return_inverse=True)
    fold = rng.permutation(np.arange(len(names)) % FOLDS)[members]
    probabilities = np.full((len(descriptors), len(LABELS)), 1.0 / len(LABELS))
    outlier = np.zeros(len(descriptors))
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        if not outside.any() or not inside.any():
            continue
        mean, scale = descriptors[inside].mean(axis=0), descriptors[inside].std(axis=0) + 1e-2

        def scaled(
            values: NDArray[np.float32], mean: NDArray[np.float32] = mean,
            scale: NDArray[np.float32] = scale,
        ) -> NDArray[np.float64]:  # fmt: skip
            result: NDArray[np.float64] = np.clip((values - mean) / scale, -6.0, 6.0).astype(
                np.float64
            )
            return result

        likeness = learn_outliers(scaled(descriptors[inside]), scaled(made), seed)
        outlier[outside] = likeness(scaled(descriptors[outside]))
        if len(np.unique(labels[inside])) > 1:
            model = LogisticRegression(C=0.01, max_iter=300)
            model.fit(scaled(descriptors[inside]), labels[inside])
            found = np.zeros((int(outside.sum()), len(LABELS)))
            found[:, model.classes_] = model.predict_proba(scaled(descriptors[outside]))
            probabilities[outside] = found
    return AuditScores(probabilities, probabilities[np.arange(len(labels)), labels], outlier)


def list_suspects(scores: AuditScores, labels: NDArray[np.int64], count: int = 30) -> list[Suspect]:
    """Return the `count` oddest images of each kind, the oddest first."""
    by_label = np.argsort(scores.own, kind="stable")[:count]
    by_outlier = np.argsort(-scores.outlier, kind="stable")[:count]
    return [
        Suspect(
            int(i), "label", float(scores.own[i]), LABELS[int(scores.probabilities[i].argmax())]
        )
        for i in by_label
        if int(scores.probabilities[i].argmax()) != int(labels[i])
    ] + [Suspect(int(i), "outlier", float(scores.outlier[i])) for i in by_outlier]


def audit_labels(
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[str],
    names: Sequence[str],
    copy_groups: NDArray[np.int64],
    count: int,
) -> list[dict[str, Any]]:
    """Return the oddest of N images as records that `json` can write.

    Args:
        images, labels, names: of N images.
        copy_groups: (N,), one image of each is judged and stands for its copies.
        count: how many of each kind.

    Returns:
        dicts with `path`, `label`, `kind`, `score`, `looks_like`.
    """
    first = np.sort(np.unique(copy_groups, return_index=True)[1])
    own = [images[i] for i in first]
    given = np.array([label_index(labels[i]) for i in first], dtype=np.int64)
    groups = find_lookalikes(own, np.arange(len(own)))
    found = list_suspects(score_audit(own, given, groups), given, count)
    return [
        {
            "path": names[int(first[one.position])],
            "label": labels[int(first[one.position])],
            "kind": one.kind,
            "score": round(one.score, 4),
            "looks_like": one.looks_like,
        }
        for one in found
    ]
