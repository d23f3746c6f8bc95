"""How sure, which labels, and whether the model knows this kind of picture at all.

Fitted after training, on the `val` part alone (what is familiar on `train` as well), and
travelling with the weights:

- a temperature (Guo et al. 2017): probabilities = softmax(logits / temperature);
- label-conditional conformal prediction sets (`conformal`): a label is in the set where its
  probability reaches its own threshold, fitted over patients for a target coverage;
- an out-of-distribution gate (`ood.gate`): distances from the training slices and likeness
  to outliers; its limits together let 98 % of `val` pass;
- a trust (`ood.trust`): whether a label would hold had the slice another source;
  without it no label is "confident".
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import BundleError, SettingsError
from brain_cnn.inference.conformal import (
    COVERAGES,
    Thresholds,
    count_groups,
    fit_set_thresholds,
    fit_temperature,
    labels_within,
    read_thresholds,
    same_for_all,
    softmax,
)
from brain_cnn.inference.diagnosis import CONFIDENT, UNCERTAIN, UNFAMILIAR, Prediction
from brain_cnn.inference.output import EngineOutput
from brain_cnn.labels import LABELS
from brain_cnn.ood.appearance import Appearance
from brain_cnn.ood.gate import GateResult, run_gate
from brain_cnn.ood.mahalanobis import FeatureGate, fit_feature_gate
from brain_cnn.ood.trust import Trust, trust_inputs

Floats = NDArray[np.float64]

CALIBRATION_FILES = ("calibration.json", "familiarity.npz")

__all__ = [
    "CALIBRATION_FILES", "COVERAGES", "Calibration", "fit_calibration",
    "fit_set_thresholds", "fit_temperature", "softmax",
]  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """What turns the network's outputs into predictions.

    Attributes:
        temperature: divides the logits, above 0.
        set_thresholds: for each target coverage in `COVERAGES`, for each label the largest
            1 - p (0..1) with which it is still in the set.
        gate: the check of the network's features; None lets everything pass (a model
            without features).
        appearance: the checks of how a slice looks; None in models that were fitted before them.
        trust: whether a label would hold elsewhere; None trusts every label.
        set_groups: for each label how many groups its thresholds stand on; () is not known.
    """

    temperature: float
    set_thresholds: Thresholds
    gate: FeatureGate | None = field(default=None, repr=False)
    appearance: Appearance | None = field(default=None, repr=False)
    trust: Trust | None = field(default=None, repr=False)
    set_groups: tuple[int, ...] = ()

    @classmethod
    def identity(cls) -> Calibration:
        """Return one that changes nothing: temperature 1, sets of the top label, no gate."""
        return cls(1.0, same_for_all(0.0))

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return float64 (N, 4) that sums to 1, from logits (N, 4)."""
        return softmax(logits.astype(np.float64) / self.temperature)

    def prediction_set(
        self, probabilities: NDArray[np.floating], coverage: float = 0.95
    ) -> tuple[str, ...]:
        """Return the labels that hold the truth with the target coverage, likeliest first.

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

    def check(self, features: NDArray[np.floating], tensors: NDArray[np.floating]) -> GateResult:
        """Check whether slices are like those that the model was trained on.

        Args:
            features: float (N, D) of the network.
            tensors: float (N, S, S, 1) that the network saw.
        """
        return self._check(self._distances(features), tensors)

    def predict(
        self, output: EngineOutput, tensors: NDArray[np.floating], coverage: float = 0.95
    ) -> list[Prediction]:
        """Turn the network's outputs for N slices into predictions, in their order.

        Args:
            output: logits (N, 4), class maps (N, h, w, 4) and features (N, D).
            tensors: float (N, S, S, 1) that the network saw.
            coverage: target of the prediction sets, one of `COVERAGES`.

        Raises:
            SettingsError: no prediction sets were fitted for this coverage.
        """
        probabilities = self.probabilities(output.logits)
        gate, trusts = self._assess(output, tensors)
        limit = self.trust_limit
        predictions = []
        for row, chances in enumerate(probabilities):
            top = int(chances.argmax())
            labels = self.prediction_set(chances, coverage)
            familiar = not any(check.failed for check in gate.checks[row])
            trust = float(trusts[row])
            predictions.append(
                Prediction(
                    label=LABELS[top],
                    confidence=float(chances[top]),
                    probabilities={n: float(p) for n, p in zip(LABELS, chances, strict=True)},
                    prediction_set=labels,
                    coverage=coverage,
                    familiar=familiar,
                    familiarity=float(gate.familiarity[row]),
                    reasons=gate.checks[row],
                    verdict=self.verdict(familiar, labels, trust),
                    trust=trust,
                    trust_limit=limit,
                )
            )
        return predictions

    def _assess(
        self, output: EngineOutput, tensors: NDArray[np.floating]
    ) -> tuple[GateResult, Floats]:
        """Return the gate's result and the trust (N,); 1 where no trust was fitted."""
        distances = self._distances(output.features)
        gate = self._check(distances, tensors)
        if self.trust is None or self.appearance is None:
            return gate, np.ones(len(tensors))
        inputs = self._trust_inputs(output, distances, gate.excess)
        return gate, self.trust.of(inputs)

    def trust_inputs(self, output: EngineOutput, excess: Floats) -> Floats:
        """Return what trust is judged by; `excess` (N, 3) as `excesses` gives it."""
        return self._trust_inputs(output, self._distances(output.features), excess)

    def excesses(self, features: NDArray[np.floating], tensors: NDArray[np.floating]) -> Floats:
        """Return by how much each check is exceeded (N, 3): 0 is common, 1 the limit."""
        return self.check(features, tensors).excess

    def verdict(self, familiar: bool, prediction_set: Sequence[str], trust: float = 1.0) -> str:
        """Return "confident", "uncertain" or "unfamiliar".

        Args:
            familiar: no check of familiarity failed.
            prediction_set: the labels in question, of which a confident verdict has one.
            trust: of a slice; of a study, of its slices.
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

    def _trust_inputs(self, output: EngineOutput, distances: Floats, excess: Floats) -> Floats:
        logits = output.logits / self.temperature
        return trust_inputs(logits, output.class_maps, output.features, distances, excess)

    def _check(self, distances: Floats, tensors: NDArray[np.floating]) -> GateResult:
        return run_gate(self.gate, self.appearance, distances, tensors)

    def save(self, folder: Path) -> list[str]:
        """Write `CALIBRATION_FILES` into `folder`; return the names written."""
        names = self.save_record(folder)
        if self.gate is None:
            return names
        arrays: dict[str, Any] = {
            # float32: half the size, and far finer than the limit needs.
            "centres": self.gate.centres.astype(np.float32),
            "whiten": self.gate.whiten.astype(np.float32),
            "quantiles": self.gate.quantiles,
            "limit": self.gate.limit,
        }
        if self.appearance is not None:
            arrays |= self.appearance.arrays()
        if self.trust is not None:
            arrays |= self.trust.arrays()
        np.savez(folder / CALIBRATION_FILES[1], **arrays)
        return list(CALIBRATION_FILES)

    def save_record(self, folder: Path) -> list[str]:
        """Write calibration.json alone: temperature and sets; return its name."""
        record = {
            "temperature": self.temperature,
            "set_thresholds": {str(key): list(row) for key, row in self.set_thresholds.items()},
            "set_groups": list(self.set_groups),
            "familiarity": self.gate is not None,
        }
        (folder / CALIBRATION_FILES[0]).write_text(json.dumps(record, indent=2) + "\n")
        return [CALIBRATION_FILES[0]]

    @classmethod
    def load(cls, folder: Path, set_thresholds: Thresholds | None = None) -> Calibration:
        """Read what `save` wrote.

        Args:
            folder: the model folder.
            set_thresholds: these in place of the file's, to fit those again.

        Raises:
            BundleError: a file is missing or does not hold what it should, or the prediction
                sets are of an older program.
        """
        try:
            record = json.loads((folder / CALIBRATION_FILES[0]).read_text())
            thresholds = set_thresholds or read_thresholds(record["set_thresholds"])
            set_groups = tuple(int(count) for count in record.get("set_groups", ()))
            gate = appearance = trust = None
            if record["familiarity"]:
                with np.load(folder / CALIBRATION_FILES[1], allow_pickle=False) as archive:
                    arrays = dict(archive)
                gate = FeatureGate(
                    arrays["centres"].astype(np.float64),
                    arrays["whiten"].astype(np.float64),
                    arrays["quantiles"],
                    float(arrays["limit"]),
                )
                appearance, trust = Appearance.from_arrays(arrays), Trust.from_arrays(arrays)
            temperature = float(record["temperature"])
            return cls(temperature, thresholds, gate, appearance, trust, set_groups)
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise BundleError(
                "calibration-damaged",
                f"The model's calibration cannot be read ({error}).",
                "Restore the model folder, or train again.",
            ) from error


def fit_calibration(
    val_logits: NDArray[np.floating],
    val_labels: NDArray[np.integer],
    val_groups: Any,
    train_features: NDArray[np.floating] | None = None,
    train_labels: NDArray[np.integer] | None = None,
    val_features: NDArray[np.floating] | None = None,
) -> Calibration:
    """Fit temperature, prediction sets and gate; without features there is no gate.

    `val_groups` are N names, one a patient (or look-alikes): the units of the sets.
    """
    temperature = fit_temperature(val_logits, val_labels)
    # As `Calibration.probabilities` makes them, to the last bit.
    probabilities = softmax(val_logits.astype(np.float64) / temperature)
    thresholds = fit_set_thresholds(probabilities, val_labels, val_groups)
    gate = None
    if train_features is not None and train_labels is not None and val_features is not None:
        gate = fit_feature_gate(train_features, train_labels, val_features)
    groups = count_groups(val_labels, val_groups)
    return Calibration(temperature, thresholds, gate, set_groups=groups)
