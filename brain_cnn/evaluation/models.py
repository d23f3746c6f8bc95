"""Networks as evaluation asks them, and the predictions that they give.

`ServedModel` is a bundle, asked exactly as an upload asks it; `KerasModel` is a Keras model
whose weights are not shipped (the baseline), with a calibration of its own and no gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.evaluation.faithfulness import randomise_weights
from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.classifier import Classifier
from brain_cnn.inference.diagnosis import CONFIDENT, Prediction, class_heat
from brain_cnn.inference.predictor import Predictor, Tensors, keras_network
from brain_cnn.labels import LABELS
from brain_cnn.scan.types import Slice

_KERAS_BATCH = 32


@dataclass(frozen=True)
class Predictions:
    """The predictions of N slices, and their fields as arrays.

    Attributes:
        items: one for each slice.
        calibration: what makes prediction sets of the probabilities, for any coverage.
    """

    items: tuple[Prediction, ...]
    calibration: Calibration

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 (N, 4), calibrated."""
        rows = [[one.probabilities[label] for label in LABELS] for one in self.items]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(LABELS))

    @cached_property
    def familiar(self) -> NDArray[np.bool_]:
        """Bool (N,), whether the gate let the slice pass."""
        return np.array([one.familiar for one in self.items], dtype=bool)

    @cached_property
    def familiarity(self) -> NDArray[np.float64]:
        """float64 (N,) in 0..1, higher is more like the training slices."""
        return np.array([one.familiarity for one in self.items], dtype=np.float64)

    @cached_property
    def trust(self) -> NDArray[np.float64]:
        """float64 (N,) in 0..1, whether the label would hold elsewhere."""
        return np.array([one.trust for one in self.items], dtype=np.float64)

    def sets(self, coverage: float = 0.95) -> list[tuple[str, ...]]:
        """Return each slice's prediction set."""
        return [self.calibration.prediction_set(row, coverage) for row in self.probabilities]

    def confident(self, coverage: float = 0.95) -> NDArray[np.bool_]:
        """Return bool (N,): the verdict is "confident"."""
        rows = zip(self.familiar, self.sets(coverage), self.trust, strict=True)
        verdicts = [self.calibration.verdict(bool(f), s, float(t)) for f, s, t in rows]
        return np.array([verdict == CONFIDENT for verdict in verdicts], dtype=bool)

    def called(self) -> NDArray[np.int64]:
        """Return int64 (N,): the likeliest class of each slice."""
        result: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return result

    def part(self, members: NDArray[Any]) -> Predictions:
        """Return the predictions of some of the slices (positions, or bool (N,))."""
        positions = np.arange(len(self.items))[members]
        return Predictions(tuple(self.items[i] for i in positions), self.calibration)


class EvaluatedModel:
    """A network whose heat comes from its class maps, with its calibration.

    Args:
        predictor: runs the network.
        calibration: turns its outputs into predictions.
    """

    def __init__(self, predictor: Predictor, calibration: Calibration) -> None:
        self.predictor = predictor
        self.calibration = calibration

    @property
    def size(self) -> int:
        """Side of the network's input, pixels."""
        return self.predictor.size

    def predict(self, slices: Sequence[Slice]) -> Predictions:
        """Prepare slices as they were read, and return the predictions."""
        items: list[Prediction] = []
        for batch in self.predictor.batches(one.pixels for one in slices):
            items += self.calibration.predict(batch.output, batch.tensors)
        return Predictions(tuple(items), self.calibration)

    def probabilities(self, tensors: Tensors) -> NDArray[np.float64]:
        """Return calibrated probabilities (N, 4) of prepared slices float32 (N, S, S, 1)."""
        return self.calibration.probabilities(self.predictor.predict(tensors).logits)

    def heat(self, tensors: Tensors, labels: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return for each prepared slice the heat (h, w) in 0..1 of the class in `labels`."""
        maps = self.predictor.predict(tensors).class_maps
        pairs = zip(maps, labels, strict=True)
        return [class_heat(grid[..., [label]])[..., 0] for grid, label in pairs]


class ServedModel(EvaluatedModel):
    """A bundle, as it is served."""

    def __init__(self, classifier: Classifier) -> None:
        bundle = classifier.bundle
        super().__init__(Predictor(classifier.engine.run, bundle.input_size), bundle.calibration)
        self.bundle = bundle

    def with_random_weights(self, seed: int = 0) -> EvaluatedModel:
        """Return the same network with random weights; the given one stays as it is."""
        import keras

        model = keras.saving.load_model(self.bundle.keras_path, compile=False)
        randomise_weights(model, seed)
        network = Predictor(keras_network(model), self.size, _KERAS_BATCH)
        return EvaluatedModel(network, self.calibration)


class KerasModel(EvaluatedModel):
    """Any Keras model with the output `logits`; its heat is a Grad-CAM by gradient."""

    def __init__(self, model: Any, calibration: Calibration) -> None:
        size = int(model.input_shape[1])
        super().__init__(Predictor(keras_network(model), size, _KERAS_BATCH), calibration)
        self.model = model

    def heat(self, tensors: Tensors, labels: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return the Grad-CAM of each slice's class; see `EvaluatedModel`."""
        from brain_cnn.explain.gradcam import make_gradcam_heatmap

        return [
            make_gradcam_heatmap(tensor[None], self.model, pred_index=int(label))
            for tensor, label in zip(tensors, labels, strict=True)
        ]

    def with_random_weights(self, seed: int = 0) -> EvaluatedModel:
        """Return the same network with random weights; the given one stays as it is."""
        import keras

        model = keras.models.clone_model(self.model)
        model.set_weights(self.model.get_weights())
        randomise_weights(model, seed)
        return KerasModel(model, self.calibration)
