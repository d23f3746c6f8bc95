"""How sure, which labels, and whether the model knows this kind of picture at all.

Fitted after training, on the `val` part alone (what is familiar on `train` as well), and
travelling with the weights:

- a temperature (Guo et al. 2017): probabilities = softmax(logits / temperature);
- split conformal prediction sets (Romano et al. 2020): labels in falling order of
  probability, until a threshold that keeps the promised coverage;
- a familiarity gate (`familiarity.gate`): distances from the training slices and likeness
  to strangers; its limits together let 98 % of `val` pass;
- a trust (`familiarity.trust`): whether a label would hold had the slice another source;
  without it no label is "confident".
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import BundleError, SettingsError
from brain_cnn.inference.conformal import (
    COVERAGES,
    fit_set_thresholds,
    fit_temperature,
    labels_within,
    softmax,
)
from brain_cnn.inference.diagnosis import CONFIDENT, UNCERTAIN, UNFAMILIAR
from brain_cnn.labels import LABELS
from brain_cnn.ood.descriptors import describe
from brain_cnn.ood.gate import CHECKS, Appearance, check, check_contrast, rank, spreads
from brain_cnn.ood.mahalanobis import Familiarity, fit_familiarity
from brain_cnn.ood.trust import Trust, trust_inputs

Floats = NDArray[np.float64]

CALIBRATION_FILES = ("calibration.json", "familiarity.npz")

__all__ = [
    "CALIBRATION_FILES", "COVERAGES", "Assessment", "Calibration", "Familiarity",
    "NetworkOutput", "fit_calibration", "fit_set_thresholds", "fit_temperature", "softmax",
]  # fmt: skip


class NetworkOutput(Protocol):
    """One forward pass: float logits (N, 4), class_maps (N, h, w, 4), features (N, D)."""

    @property
    def logits(self) -> NDArray[np.float32]: ...
    @property
    def class_maps(self) -> NDArray[np.float32]: ...
    @property
    def features(self) -> NDArray[np.float32]: ...


class Assessment(NamedTuple):
    """What is thought of N slices beside their probabilities.

    Attributes:
        familiarity: float64 (N,) in 0..1, higher is more like the training slices.
        reasons: for each slice a list of checks: dicts with `check`, `value`, `limit`,
            `failed` and a `sentence`.
        trust: float64 (N,) in 0..1, whether the likeliest label would hold elsewhere; 1
            where no trust was fitted.
    """

    familiarity: NDArray[np.float64]
    reasons: list[list[dict[str, Any]]]
    trust: NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What turns the network's outputs into a statement with a promise.

    Attributes:
        temperature: divides the logits, above 0.
        set_thresholds: for each coverage in `COVERAGES`, the largest score of a label that
            still enters the set.
        gate: the check of the network's features; None lets everything pass (a model
            without features).
        looks: the checks of how a slice looks; None in models that were fitted before them.
        trust: whether a label would hold elsewhere; None trusts every label.
    """

    temperature: float
    set_thresholds: dict[float, float]
    gate: Familiarity | None = field(default=None, repr=False)
    looks: Appearance | None = field(default=None, repr=False)
    trust: Trust | None = field(default=None, repr=False)

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
        return labels_within(probabilities, self.set_thresholds[coverage])

    def familiarity(
        self, features: NDArray[np.floating], tensors: NDArray[np.floating]
    ) -> tuple[Floats, list[list[dict[str, Any]]]]:
        """Judge whether slices are like those that the model was trained on.

        Args:
            features: float (N, D) of the network.
            tensors: float (N, S, S, 1) that the network saw.

        Returns:
            `familiarity` and `reasons` of an `Assessment`.
        """
        return self._judge(self._distances(features), tensors)[:2]

    def assess(self, output: NetworkOutput, tensors: NDArray[np.floating]) -> Assessment:
        """Judge familiarity and trust of slices in one go.

        Args:
            output: logits (N, 4), class maps (N, h, w, 4) and features (N, D).
            tensors: float (N, S, S, 1) that the network saw.
        """
        distances = self._distances(output.features)
        score, reasons, excess, scaled = self._judge(distances, tensors)
        if self.trust is None or self.looks is None:
            return Assessment(score, reasons, np.ones(len(tensors)))
        inputs = self._trust_inputs(output, distances, excess)
        called = output.logits.argmax(axis=1)
        trust = self.trust.of(inputs, scaled, excess, called)
        return Assessment(score, reasons, trust)

    def trust_inputs(self, output: NetworkOutput, excess: Floats) -> Floats:
        """Return what trust is judged by; `excess` (N, 3) as `excesses` gives it."""
        return self._trust_inputs(output, self._distances(output.features), excess)

    def excesses(self, features: NDArray[np.floating], tensors: NDArray[np.floating]) -> Floats:
        """Return by how much each check is exceeded (N, 3): 0 is common, 1 the limit."""
        return self._judge(self._distances(features), tensors)[2]

    def verdict(self, familiar: bool, prediction_set: Sequence[str], trust: float = 1.0) -> str:
        """Return "confident", "uncertain" or "unfamiliar".

        Args:
            familiar: no check of familiarity failed.
            prediction_set: the labels in question, of which a confident verdict has one.
            trust: of `Assessment`; of a study, of its slices.
        """
        if not familiar:
            return UNFAMILIAR
        if len(prediction_set) != 1 or not self.trusted(trust):
            return UNCERTAIN
        return CONFIDENT

    def trusted(self, trust: float) -> bool:
        """Return whether a label of this trust may be confident; NaN may not."""
        return self.trust_limit is None or bool(trust >= self.trust_limit)

    @property
    def trust_limit(self) -> float | None:
        """Trust from which on a label may be confident; None where no trust was fitted."""
        return None if self.trust is None else self.trust.limit

    def _distances(self, features: NDArray[np.floating]) -> Floats:
        """Return the distance to each class centre (N, 4), 0 where no gate was fitted."""
        if self.gate is None:
            return np.zeros((len(features), len(LABELS)))
        return self.gate.distances(features)

    def _trust_inputs(self, output: NetworkOutput, distances: Floats, excess: Floats) -> Floats:
        logits = output.logits / self.temperature
        return trust_inputs(logits, output.class_maps, output.features, distances, excess)

    def _judge(
        self, distances: NDArray[np.float64], tensors: NDArray[np.floating]
    ) -> tuple[Floats, list[list[dict[str, Any]]], Floats, Floats]:
        """Return score, reasons, excess of each check (N, 3), and scaled looks (N, K)."""
        count = len(tensors)
        scaled = np.zeros((count, 0))
        spread = spreads(tensors)
        distance = distances.min(axis=1)
        if self.looks is not None:
            scaled = self.looks.scaled(describe(tensors))
            values = np.stack([distance, *self.looks.values_of_scaled(scaled)], axis=1)
            limits, excess = self.looks.limits, self.looks.excess(values)
            score = rank(excess.max(axis=1), self.looks.quantiles)
        else:
            values, excess = distance[:, None], np.zeros((count, len(CHECKS)))
            limits = np.array([np.inf if self.gate is None else self.gate.limit])
            score = np.ones(count)
            if self.gate is not None:
                score = rank(distance, self.gate.quantiles)
        reasons = []
        for row in range(count):
            checks = [
                check(name, float(value), float(limit))
                for name, value, limit in zip(CHECKS, values[row], limits, strict=False)
            ]
            empty = check_contrast(float(spread[row]))
            if empty is not None:
                checks.append(empty)
                score[row] = 0.0
            reasons.append(checks)
        return score, reasons, excess, scaled

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
        arrays: dict[str, Any] = {
            # float32: half the size, and far finer than the limit needs.
            "centres": self.gate.centres.astype(np.float32),
            "whiten": self.gate.whiten.astype(np.float32),
            "quantiles": self.gate.quantiles,
            "limit": self.gate.limit,
        }
        if self.looks is not None:
            arrays |= self.looks.arrays()
        if self.trust is not None:
            arrays |= self.trust.arrays()
        np.savez(folder / CALIBRATION_FILES[1], **arrays)
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
            gate = looks = trust = None
            if record["familiarity"]:
                with np.load(folder / CALIBRATION_FILES[1], allow_pickle=False) as archive:
                    arrays = dict(archive)
                gate = Familiarity(
                    arrays["centres"].astype(np.float64),
                    arrays["whiten"].astype(np.float64),
                    arrays["quantiles"],
                    float(arrays["limit"]),
                )
                looks, trust = Appearance.from_arrays(arrays), Trust.from_arrays(arrays)
            return cls(float(record["temperature"]), thresholds, gate, looks, trust)
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise BundleError(
                "calibration-damaged",
                f"The model's calibration cannot be read ({error}).",
                "Restore the model folder, or train again.",
            ) from error


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
