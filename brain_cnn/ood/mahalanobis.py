"""The first check of the gate: the network's features against those of its training.

Mahalanobis distance to the nearest class centre (Lee et al. 2018): centres and spread from
the training slices, the limit from `val`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from brain_cnn.labels import LABELS
from brain_cnn.ood.ranks import LEVELS, PASS_SHARE


@dataclass(frozen=True)
class FeatureGate:
    """Distance of a slice's features to the training slices.

    Attributes:
        centres: float64 (4, D), mean features of each class.
        whiten: float64 (D, D), turns a difference of features into one of unit covariance.
        quantiles: float64 (201,), distances of the val slices at the levels 0, 0.005 .. 1.
        limit: distance above which a slice is unfamiliar.
    """

    centres: NDArray[np.float64]
    whiten: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    limit: float

    @cached_property
    def _whitened_centres(self) -> NDArray[np.float64]:
        """float64 (4, D); the same for every slice that is judged."""
        return self.centres @ self.whiten

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return float64 (N, 4): the Mahalanobis distance to each class centre."""
        moved = features.astype(np.float64) @ self.whiten  # (N, D)
        result: NDArray[np.float64] = np.sqrt(
            ((moved[:, None, :] - self._whitened_centres) ** 2).sum(axis=2)
        )
        return result

    def distance(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return float64 (N,): the smallest Mahalanobis distance to a class centre."""
        result: NDArray[np.float64] = self.distances(features).min(axis=1)
        return result


def fit_feature_gate(
    train_features: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    val_features: NDArray[np.floating],
) -> FeatureGate:
    """Fit centres and spread on train features (N, D), the limit on val features (M, D)."""
    features = train_features.astype(np.float64)
    overall = features.mean(axis=0)
    present = [bool((train_labels == index).any()) for index in range(len(LABELS))]
    centres = np.stack(
        [
            features[train_labels == index].mean(axis=0) if present[index] else overall
            for index in range(len(LABELS))
        ]
    )
    residual = features - centres[train_labels]
    covariance = residual.T @ residual / len(residual)
    # Shrunk towards its own diagonal: dead or twin channels must not divide by zero.
    scale = np.trace(covariance) / len(covariance)
    covariance = 0.9 * covariance + 0.1 * np.diag(np.diag(covariance))
    covariance += 1e-3 * scale * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    whiten = vectors / np.sqrt(values)
    draft = FeatureGate(centres, whiten, np.zeros(2), 0.0)
    distances = draft.distance(val_features)
    limit = float(np.quantile(distances, PASS_SHARE))
    return FeatureGate(centres, whiten, np.quantile(distances, LEVELS), limit)
