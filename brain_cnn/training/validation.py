"""How well a network does on prepared slices while it is trained."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.augment import plain
from brain_cnn.inference.calibration import softmax
from brain_cnn.inference.output import EngineOutput
from brain_cnn.inference.predictor import Predictor, keras_network
from brain_cnn.training.distribution import devices_in_use

_BATCH = 32  # slices of one forward pass


def predict_prepared(model: keras.Model, images: NDArray[np.uint8], size: int) -> EngineOutput:
    """Run the network over prepared slices uint8 (N, S, S), scaled to `size` pixels a side."""
    network = keras_network(model, devices_in_use())
    return Predictor(network, size, _BATCH).predict(
        plain(image, size)[..., None] for image in images
    )


def loss_and_accuracy(
    logits: NDArray[np.floating], labels: NDArray[np.integer]
) -> tuple[float, float]:
    """Return the mean cross-entropy (nats) and the accuracy of logits (N, 4)."""
    probabilities = softmax(logits.astype(np.float64))
    loss = -np.log(probabilities[np.arange(len(labels)), labels] + 1e-12).mean()
    return float(loss), float((logits.argmax(axis=1) == labels).mean())
