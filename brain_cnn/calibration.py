"""How sure, which labels, and whether the model knows this kind of picture at all.

Three things are fitted after training, on the `val` part alone (the familiarity's centres
and spread on `train`), and travel with the weights:

- a temperature (Guo et al. 2017): probabilities = softmax(logits / temperature);
- split conformal prediction sets (Romano et al. 2020): labels in falling order of
  probability, until a threshold that keeps the promised coverage;
- a familiarity gate (Lee et al. 2018): the Mahalanobis distance of the features to the
  nearest class centre of the training slices; the limit lets 98 % of `val` pass.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import BundleError, SettingsError
from brain_cnn.labels import LABELS

COVERAGES = (0.90, 0.95, 0.99)
CALIBRATION_FILES = ("calibration.json", "familiarity.npz")

# Share of val slices that the gate must let pass.
_PASS_SHARE = 0.98
_QUANTILES = np.linspace(0.0, 1.0, 201)


@dataclass(frozen=True)
class Familiarity:
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

    def distance(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return float64 (N,): the smallest Mahalanobis distance to a class centre."""
        moved = features.astype(np.float64) @ self.whiten  # (N, D)
        centres = self.centres @ self.whiten  # (4, D)
        return np.sqrt(((moved[:, None, :] - centres[None]) ** 2).sum(axis=2)).min(axis=1)

    def score(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return float64 (N,) in 0..1: the share of val slices that lie at least as far off.

        Beyond the farthest val slice it falls on towards 0, so that it still ranks.
        """
        share = 1.0 - np.interp(distance, self.quantiles, _QUANTILES)
        last = self.quantiles[-1]
        tail = 0.5 * (_QUANTILES[1] - _QUANTILES[0])
        share = np.maximum(share, tail * np.exp(-np.maximum(distance - last, 0.0) / last))
        # Fails closed: a distance that is no number is not familiar.
        return np.where(np.isfinite(distance), share, 0.0)


@dataclass(frozen=True)
class Calibration:
    """What turns the network's outputs into a statement with a promise.

    Attributes:
        temperature: divides the logits, above 0.
        set_thresholds: for each coverage in `COVERAGES`, the largest score of a label that
            still enters the set.
        gate: the familiarity gate; None lets everything pass (a model without features).
    """

    temperature: float
    set_thresholds: dict[float, float]
    gate: Familiarity | None = field(default=None, repr=False)

    @classmethod
    def identity(cls) -> Calibration:
        """Return one that changes nothing: temperature 1, sets of the top label, no gate."""
        return cls(1.0, dict.fromkeys(COVERAGES, 0.0))

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return float64 (N, 4) that sums to 1, from logits (N, 4)."""
        return softmax(logits.astype(np.float64) / self.temperature)

    def prediction_set(
        self, probabilities: NDArray[np.floating], coverage: float = 0.95
    ) -> tuple[str, ...]:
        """Return the labels that hold the truth with the promised coverage, likeliest first.

        Args:
            probabilities: float (4,), from `probabilities`.
            coverage: one of `COVERAGES`.

        Raises:
            SettingsError: no threshold was fitted for this coverage.
        """
        if coverage not in self.set_thresholds:
            raise SettingsError(
                "unknown-coverage",
                f"No prediction sets were fitted for a coverage of {coverage}.",
                f"Choose one of {', '.join(str(c) for c in self.set_thresholds)}.",
            )
        limit = self.set_thresholds[coverage]
        order = np.argsort(-probabilities, kind="stable")
        scores = set_scores(probabilities[None])[0]
        return tuple(
            LABELS[label]
            for rank, label in enumerate(order)
            if rank == 0 or scores[label] <= limit  # the top label always: never empty
        )

    def familiarity(
        self, features: NDArray[np.floating], tensors: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], list[list[dict[str, Any]]]]:
        """Judge whether slices are like those that the model was trained on.

        Args:
            features: float (N, D) of the network.
            tensors: float (N, S, S, 1) that the network saw.

        Returns:
            float64 (N,) in 0..1, and for each slice a list of checks: dicts with `check`,
            `value`, `limit`, `failed` and a `sentence`.
        """
        count = len(tensors)
        spread = tensors.reshape(count, -1).std(axis=1)
        if self.gate is None:
            distance, score = np.zeros(count), np.ones(count)
            limit = np.inf
        else:
            distance = self.gate.distance(features)
            score, limit = self.gate.score(distance), self.gate.limit
        reasons = []
        for row in range(count):
            far = not distance[row] <= limit  # also true for NaN
            checks = [_feature_check(float(distance[row]), float(limit), far)]
            if spread[row] < 0.02:
                checks.append(_empty_check(float(spread[row])))
                score[row] = 0.0
            reasons.append(checks)
        return score, reasons

    def save(self, folder: Path) -> list[str]:
        """Write `CALIBRATION_FILES` into `folder`; return the names written."""
        record = {
            "temperature": self.temperature,
            "set_thresholds": {str(key): value for key, value in self.set_thresholds.items()},
            "familiarity": self.gate is not None,
        }
        (folder / CALIBRATION_FILES[0]).write_text(json.dumps(record, indent=2) + "\n")
        if self.gate is None:
            return [CALIBRATION_FILES[0]]
        np.savez(
            folder / CALIBRATION_FILES[1],
            # float32: half the size, and far finer than the limit needs.
            centres=self.gate.centres.astype(np.float32),
            whiten=self.gate.whiten.astype(np.float32),
            quantiles=self.gate.quantiles,
            limit=self.gate.limit,
        )
        return list(CALIBRATION_FILES)

    @classmethod
    def load(cls, folder: Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            BundleError: a file is missing or does not hold what it should.
        """
        try:
            record = json.loads((folder / CALIBRATION_FILES[0]).read_text())
            thresholds = {float(key): float(v) for key, v in record["set_thresholds"].items()}
            gate = None
            if record["familiarity"]:
                with np.load(folder / CALIBRATION_FILES[1], allow_pickle=False) as arrays:
                    gate = Familiarity(
                        arrays["centres"].astype(np.float64),
                        arrays["whiten"].astype(np.float64),
                        arrays["quantiles"],
                        float(arrays["limit"]),
                    )
            return cls(float(record["temperature"]), thresholds, gate)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise BundleError(
                "calibration-damaged",
                f"The model's calibration cannot be read ({error}).",
                "Restore the model folder, or train again.",
            ) from error


def _feature_check(distance: float, limit: float, failed: bool) -> dict[str, Any]:
    return {
        "check": "feature-distance",
        "value": round(distance, 3) if np.isfinite(distance) else None,
        "limit": round(limit, 3) if np.isfinite(limit) else None,
        "failed": failed,
        "sentence": "The picture is far from the brain MRI slices that this model learned from."
        if failed
        else "The picture is like the brain MRI slices that this model learned from.",
    }


def _empty_check(spread: float) -> dict[str, Any]:
    return {
        "check": "contrast",
        "value": round(spread, 4),
        "limit": 0.02,
        "failed": True,
        "sentence": "The picture is nearly one grey: there is nothing to see in it.",
    }


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return float64 (N, 4) probabilities of logits (N, 4)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def set_scores(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return float64 (N, 4): the mass of likelier labels, plus half of the label's own.

    Half: the expectation of the random share of Romano et al., so that sets are small and
    the same picture always gets the same set.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sorted_p = np.take_along_axis(probabilities, order, axis=1)
    scores = np.cumsum(sorted_p, axis=1) - sorted_p / 2
    result = np.empty_like(scores)
    np.put_along_axis(result, order, scores, axis=1)
    return result


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature in 0.2..5 with the smallest mean negative log-likelihood."""
    grid = np.exp(np.linspace(np.log(0.2), np.log(5.0), 400))
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(logits / t)[rows, labels] + 1e-12).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])


def fit_set_thresholds(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> dict[float, float]:
    """Return for each coverage the conformal quantile of the true label's score."""
    scores = np.sort(set_scores(probabilities)[np.arange(len(labels)), labels])
    thresholds = {}
    for coverage in COVERAGES:
        rank = int(np.ceil((len(scores) + 1) * coverage))
        # Too few slices for the promise: every label enters.
        thresholds[coverage] = float(scores[rank - 1]) if rank <= len(scores) else 1.0
    return thresholds


def fit_familiarity(
    train_features: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    val_features: NDArray[np.floating],
) -> Familiarity:
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
    draft = Familiarity(centres, whiten, np.zeros(2), 0.0)
    distances = draft.distance(val_features)
    limit = float(np.quantile(distances, _PASS_SHARE))
    return Familiarity(centres, whiten, np.quantile(distances, _QUANTILES), limit)


def fit_calibration(
    val_logits: NDArray[np.floating],
    val_labels: NDArray[np.integer],
    train_features: NDArray[np.floating] | None = None,
    train_labels: NDArray[np.integer] | None = None,
    val_features: NDArray[np.floating] | None = None,
) -> Calibration:
    """Fit all three; without features there is no gate."""
    temperature = fit_temperature(val_logits, val_labels)
    thresholds = fit_set_thresholds(softmax(val_logits / temperature), val_labels)
    gate = None
    if train_features is not None and train_labels is not None and val_features is not None:
        gate = fit_familiarity(train_features, train_labels, val_features)
    return Calibration(temperature, thresholds, gate)
