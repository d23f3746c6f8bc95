"""What a training minimises and how it steps: compiled network, learning rate, averaged weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from brain_cnn.errors import SettingsError
from brain_cnn.training.losses import guidance_loss
from brain_cnn.training.network import build_baseline, build_cnn
from brain_cnn.training.settings import TrainSettings


def make_repeatable(seed: int) -> None:
    """Seed every random generator, and set the backend to operations that repeat exactly."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def build(settings: TrainSettings, size: int) -> keras.Model:
    """Build the network that the settings name, for inputs of `size` pixels a side."""
    if settings.arch == "baseline":
        return build_baseline(size)
    return build_cnn(size, dropout=settings.dropout)


def build_for_training(settings: TrainSettings, size: int) -> tuple[keras.Model, keras.Model]:
    """Build the network, and a compiled view of it that shares its layers.

    Returns:
        The network, and the view whose outputs are those that have a loss.
    """
    network = build(settings, size)
    losses: dict[str, Any] = {
        "logits": keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings.label_smoothing
        )
    }
    weights = {"logits": 1.0}
    if settings.arch == "ours":
        losses["class_maps"] = guidance_loss
        weights["class_maps"] = settings.map_weight
    optimizer = keras.optimizers.AdamW(
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    optimizer.build(network.trainable_variables)
    compiled = keras.Model(network.input, {name: network.output[name] for name in losses})
    compiled.compile(
        optimizer,
        loss=losses,
        loss_weights=weights,
        metrics={"logits": [keras.metrics.CategoricalAccuracy(name="accuracy")]},
        jit_compile=False,
    )
    return network, compiled


def all_variables(network: keras.Model, compiled: keras.Model) -> list[Any]:
    """Return the variables of the network and of its optimiser: all that a step changes."""
    return [*network.variables, *compiled.optimizer.variables]


def resized(
    network: keras.Model, compiled: keras.Model, settings: TrainSettings, size: int
) -> tuple[keras.Model, keras.Model]:
    """Return both for inputs of another size, with all weights and optimiser state."""
    new_network, new_compiled = build_for_training(settings, size)
    old, new = all_variables(network, compiled), all_variables(new_network, new_compiled)
    for target, source in zip(new, old, strict=True):
        target.assign(source)
    return new_network, new_compiled


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give `target` the weights of `source`.

    Raises:
        SettingsError: the two have other layers.
    """
    shapes = [[tuple(weight.shape) for weight in model.weights] for model in (source, target)]
    if shapes[0] != shapes[1]:
        raise SettingsError(
            "other-network",
            f"The network to start from has {len(shapes[0])} weights that do not fit ours.",
            "Give a .keras file that this script saved.",
        )
    target.set_weights(source.get_weights())


def learning_rate(settings: TrainSettings, progress: float) -> float:
    """Return the learning rate at `progress` epochs: linear warm-up, then half a cosine."""
    if progress < settings.warmup_epochs:
        return settings.learning_rate * progress / settings.warmup_epochs
    done = (progress - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-6)
    result: float = settings.learning_rate * max(0.5 * (1 + np.cos(np.pi * min(done, 1.0))), 0.003)
    return result


class AveragedWeights:
    """The exponential moving average of all weights, batch statistics included.

    Keras' own averages leave the batch statistics behind; with them the averaged network
    is a network, and what is evaluated is what is saved.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = [ops.convert_to_numpy(w).copy() for w in model.weights]

    def update(self, model: keras.Model) -> None:
        """Move the average towards the model's weights after a step."""
        self.steps += 1
        # Short runs must not keep the random start: the average begins as a plain mean.
        decay = min(self.decay, self.steps / (self.steps + 10.0))
        for value, weight in zip(self.values, model.weights, strict=True):
            value += (1.0 - decay) * (ops.convert_to_numpy(weight) - value)
