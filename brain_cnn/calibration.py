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

from brain_cnn.diagnosis import CONFIDENT, UNCERTAIN, UNFAMILIAR
from brain_cnn.errors import BundleError, SettingsError
from brain_cnn.familiarity.describe import describe
from brain_cnn.familiarity.features import Familiarity, fit_familiarity
from brain_cnn.familiarity.gate import CHECKS, Appearance, check, check_contrast, rank
from brain_cnn.familiarity.trust import Trust, trust_inputs
from brain_cnn.labels import LABELS

COVERAGES = (0.90, 0.95, 0.99)
CALIBRATION_FILES = ("calibration.json", "familiarity.npz")


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
            `familiarity` and `reasons` of an `Assessment`.
        """
        return self._judge(features, tensors)[:2]

    def assess(self, output: NetworkOutput, tensors: NDArray[np.floating]) -> Assessment:
        """Judge familiarity and trust of slices in one go.

        Args:
            output: logits (N, 4), class maps (N, h, w, 4) and features (N, D).
            tensors: float (N, S, S, 1) that the network saw.
        """
        score, reasons, excess, looks = self._judge(output.features, tensors)
        if self.trust is None or self.gate is None or self.looks is None:
            return Assessment(score, reasons, np.ones(len(tensors)))
        inputs = self.trust_inputs(output, excess)
        called = output.logits.argmax(axis=1)
        trust = self.trust.of(inputs, self.looks.scaled(looks), excess, called)
        return Assessment(score, reasons, trust)

    def trust_inputs(
        self, output: NetworkOutput, excess: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what trust is judged by; `excess` (N, 3) as `excesses` gives it."""
        assert self.gate is not None
        return trust_inputs(
            output.logits / self.temperature,
            output.class_maps,
            output.features,
            self.gate.distances(output.features),
            excess,
        )

    def excesses(
        self, features: NDArray[np.floating], tensors: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Return by how much each check is exceeded (N, 3): 0 is common, 1 the limit."""
        return self._judge(features, tensors)[2]

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
        return self.trust is None or bool(trust >= self.trust.limit)

    def _judge(
        self, features: NDArray[np.floating], tensors: NDArray[np.floating]
    ) -> tuple[
        NDArray[np.float64],
        list[list[dict[str, Any]]],
        NDArray[np.float64],
        NDArray[np.float32],
    ]:
        """Return score, reasons, excess of each check (N, 3), and descriptors (N, K)."""
        count = len(tensors)
        looks = np.zeros((count, 0), np.float32)
        spread = tensors.reshape(count, -1).std(axis=1)
        distance = np.zeros(count) if self.gate is None else self.gate.distance(features)
        if self.looks is not None:
            looks = describe(tensors)
            values = np.column_stack([distance, *self.looks.values(looks)])
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
        return score, reasons, excess, looks

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
