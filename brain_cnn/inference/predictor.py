"""What a network says of slices, asked in one way whatever network it is.

`BundleJudge` asks a bundle exactly as an upload does; `KerasJudge` asks a Keras model whose
weights are not shipped (the baseline), with a calibration of its own and no familiarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.classifier import Classifier
from brain_cnn.inference.diagnosis import CONFIDENT, class_heat
from brain_cnn.preprocess import prepare
from brain_cnn.scan.types import Scan, Slice

_BATCH = 32
Tensors = NDArray[np.float32]


@dataclass(frozen=True)
class Said:
    """What was said of N slices.

    Attributes:
        probabilities: float64 (N, 4), calibrated.
        familiar: bool (N,), whether the gate let the slice pass.
        familiarity: float64 (N,) in 0..1, higher is more like the training slices.
        calibration: what makes prediction sets of the probabilities.
        trust: float64 (N,) in 0..1, whether the label would hold elsewhere.
    """

    probabilities: NDArray[np.float64]
    familiar: NDArray[np.bool_]
    familiarity: NDArray[np.float64]
    calibration: Calibration
    trust: NDArray[np.float64]

    def sets(self, coverage: float = 0.95) -> list[tuple[str, ...]]:
        """Return each slice's prediction set."""
        return [self.calibration.prediction_set(row, coverage) for row in self.probabilities]

    def confident(self, coverage: float = 0.95) -> NDArray[np.bool_]:
        """Return bool (N,): the verdict is "confident"."""
        rows = zip(self.familiar, self.sets(coverage), self.trust, strict=True)
        said = [self.calibration.verdict(bool(f), s, float(t)) for f, s, t in rows]
        return np.array([verdict == CONFIDENT for verdict in said], dtype=bool)

    def called(self) -> NDArray[np.int64]:
        """Return int64 (N,): the likeliest class of each slice."""
        return self.probabilities.argmax(axis=1)

    def part(self, members: NDArray[Any]) -> Said:
        """Return what was said of some of the slices (positions, or bool (N,))."""
        return Said(
            self.probabilities[members],
            self.familiar[members],
            self.familiarity[members],
            self.calibration,
            self.trust[members],
        )


class Judge(Protocol):
    """A network that can be asked."""

    size: int

    def say(self, slices: Sequence[Slice]) -> Said:
        """Judge slices as they were read."""
        ...

    def predict(self, tensors: Tensors) -> NDArray[np.float64]:
        """Return calibrated probabilities (N, 4) of prepared slices float32 (N, S, S, 1)."""
        ...

    def heat(self, tensors: Tensors, labels: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return for each prepared slice the heat (h, w) of the class in `labels`."""
        ...


class BundleJudge:
    """The bundle, as it is served."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.size = classifier.bundle.input_size
        self.calibration = classifier.bundle.calibration

    def say(self, slices: Sequence[Slice]) -> Said:
        """Judge slices as they were read; see `Judge`."""
        rows, familiar, familiarity, trust = [], [], [], []
        for part in _parts(slices):
            for diagnosis in self.classifier.classify_scan(Scan(tuple(part), "PNG")):
                rows.append(list(diagnosis.probabilities.values()))
                familiar.append(diagnosis.familiar)
                familiarity.append(diagnosis.familiarity)
                trust.append(diagnosis.trust)
        return Said(
            np.array(rows),
            np.array(familiar, bool),
            np.array(familiarity),
            self.calibration,
            np.array(trust),
        )

    def predict(self, tensors: Tensors) -> NDArray[np.float64]:
        """Return calibrated probabilities; see `Judge`."""
        logits = [self.classifier.engine.run(part).logits for part in _parts(tensors)]
        return self.calibration.probabilities(np.concatenate(logits))

    def heat(self, tensors: Tensors, labels: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return the served heat of each slice's class; see `Judge`."""
        maps = [self.classifier.engine.run(part).class_maps for part in _parts(tensors)]
        return [
            class_heat(grid[..., [label]])[..., 0]
            for grid, label in zip(np.concatenate(maps), labels, strict=True)
        ]


class KerasJudge:
    """A Keras model with the output `logits`, and a calibration that was fitted to it."""

    def __init__(self, model: Any, calibration: Calibration) -> None:
        self.model = model
        self.calibration = calibration
        self.size = int(model.input_shape[1])

    def logits(self, tensors: Tensors) -> NDArray[np.float32]:
        """Return logits (N, 4) of prepared slices."""
        parts = [self.model.predict_on_batch(part)["logits"] for part in _parts(tensors)]
        return np.concatenate([np.asarray(part) for part in parts])

    def say(self, slices: Sequence[Slice]) -> Said:
        """Judge slices as they were read; every one is familiar to a model without gate."""
        rows = [self.predict(prepare_slices(part, self.size)) for part in _parts(slices)]
        count = len(slices)
        ones = np.ones(count)
        return Said(np.concatenate(rows), ones > 0, ones, self.calibration, ones)

    def predict(self, tensors: Tensors) -> NDArray[np.float64]:
        """Return calibrated probabilities; see `Judge`."""
        return self.calibration.probabilities(self.logits(tensors))

    def heat(self, tensors: Tensors, labels: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return the Grad-CAM of each slice's class; see `Judge`."""
        from brain_cnn.explain.gradcam import make_gradcam_heatmap

        return [
            make_gradcam_heatmap(tensor[None], self.model, pred_index=int(label))
            for tensor, label in zip(tensors, labels, strict=True)
        ]


def prepare_slices(slices: Sequence[Slice], size: int) -> Tensors:
    """Return the network's input float32 (N, size, size, 1) of slices."""
    return np.stack([prepare(one.pixels, size).tensor for one in slices])


def _parts(items: Any) -> list[Any]:
    return [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]
