"""Grad-CAM for any Keras CNN (Selvaraju et al. 2017, section 3.1).

The map of a class is ReLU(sum_k a_k F_k), where F is a feature map and a_k the mean over
positions of the gradient of the class's logit with respect to F_k. The logit is taken
*before* a final softmax: after it, a confident network has almost no gradient left.

The forward pass runs eagerly under a gradient tape, and a hook records the layer of
interest while it runs. Nothing is rebuilt, so functional, sequential, nested and freshly
loaded models all work; the model does not change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from brain_cnn.errors import LayerNotFoundError

# Ours: the layer whose input is the last feature map (see network.py).
CLASS_MAPS = "class_maps"
LOGITS = "logits"
_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
)
_SQUASHING = ("softmax", "sigmoid")
# Listening replaces a layer's `call` for one pass; two passes must not overlap.
_listening = threading.Lock()


def make_gradcam_heatmap(
    img_array: ArrayLike,
    model: keras.Model,
    last_conv_layer_name: str | None = None,
    pred_index: int | None = None,
) -> NDArray[np.float32]:
    """Return the Grad-CAM of one class for one image.

    Args:
        img_array: (1, S, S, C), the model's input (this function does not scale it).
        model: any Keras CNN on the TensorFlow backend. From a dict of outputs `logits` is
            used, from a list the first. Scores are taken before a final softmax or sigmoid.
        last_conv_layer_name: the layer whose output is the feature map, nested ones
            included. None: the tensor that enters `class_maps` if the model has such a
            layer (then the result equals ReLU of the class map), else the output of the
            last convolution.
        pred_index: the class; None takes the one with the highest logit.

    Returns:
        float32 (h, w), the grid of the feature map, scaled by its own maximum to 0..1;
        all zero if there is no positive evidence for the class.

    Raises:
        LayerNotFoundError: no such layer, or it has no (h, w, C) output; lists those that do.
        ValueError: `img_array` or `pred_index` does not fit, or the logits cannot be found.
    """
    image = np.asarray(img_array, dtype=np.float32)
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(f"img_array must be one image (1, S, S, C), got {image.shape}")
    if keras.backend.backend() != "tensorflow":
        raise ValueError("Grad-CAM needs the TensorFlow backend: set KERAS_BACKEND=tensorflow")
    if not model.built:  # a sequential model without an input has no graph before its first call
        model(image, training=False)
    layer, take_input = _target_layer(model, last_conv_layer_name)
    with _listening, tf.GradientTape(watch_accessed_variables=False) as tape:
        features, logits = _forward(model, image, layer, take_input, tape)
        if logits.shape.rank != 2:
            raise ValueError(f"the model's output must be (1, classes), got {logits.shape}")
        chosen = int(tf.argmax(logits[0])) if pred_index is None else int(pred_index)
        if not 0 <= chosen < logits.shape[1]:
            raise ValueError(f"pred_index must be 0..{logits.shape[1] - 1}, got {pred_index}")
        score = logits[0, chosen]
    if not tf.is_tensor(features) or features.shape.rank != 4:
        raise _not_found(model, layer.name, "has no feature map (h, w, C)")
    gradient = tape.gradient(score, features)
    if gradient is None:
        raise _not_found(model, layer.name, "does not lead to the logits")
    return _combine(features[0].numpy(), gradient[0].numpy())


def _forward(
    model: keras.Model,
    image: NDArray[np.float32],
    layer: keras.Layer,
    take_input: bool,
    tape: tf.GradientTape,
) -> tuple[Any, Any]:
    """Run the model once under `tape`; return the feature map and the logits (1, classes).

    Args:
        layer: whose output, or with `take_input` whose input, is the feature map.
    """
    final = _final_operation(model)
    seen: dict[str, Any] = {"features": None, "before_final": None}

    def notice_features(inputs: Any, outputs: Any) -> None:
        features = inputs if take_input else outputs
        # A layer that is applied several times in one pass: the last one counts.
        seen["features"] = features
        if tf.is_tensor(features):
            tape.watch(features)

    def notice_before_final(inputs: Any, outputs: Any) -> None:
        seen["before_final"] = inputs

    with _listen(layer, notice_features, before=take_input):
        if final is None:
            outputs = model(image, training=False)
        else:
            with _listen(final, notice_before_final, before=True):
                outputs = model(image, training=False)
    logits = tf.cast(_logits(final, seen["before_final"], outputs), tf.float32)
    return seen["features"], logits


def _combine(features: NDArray[Any], gradient: NDArray[Any]) -> NDArray[np.float32]:
    """Return the scaled map (h, w) of features and gradient, both (h, w, C)."""
    weights = gradient.astype(np.float64).mean(axis=(0, 1))
    heat = np.maximum(features.astype(np.float64) @ weights, 0.0)
    peak = heat.max()
    if not peak > 0.0:
        return np.zeros(heat.shape, dtype=np.float32)
    result: NDArray[np.float32] = (heat / peak).astype(np.float32)
    return result


@contextmanager
def _listen(
    operation: Any, notice: Callable[[Any, Any], None], *, before: bool = False
) -> Iterator[None]:
    """Call `notice(first input, output)` for every call of `operation` meanwhile.

    With `before`, `notice` runs before the call (output None), so that what it watches is
    recorded from the layer's own work on.
    """
    original = operation.call
    had_own = "call" in vars(operation)

    def call(*args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else next(iter(kwargs.values()), None)
        if before:
            notice(first, None)
            return original(*args, **kwargs)
        outputs = original(*args, **kwargs)
        notice(first, outputs)
        return outputs

    # Around Keras's own attribute tracking: this is no part of the model.
    object.__setattr__(operation, "call", call)
    try:
        yield
    finally:
        if had_own:
            object.__setattr__(operation, "call", original)
        else:
            object.__delattr__(operation, "call")


def _all_layers(model: Any) -> Iterator[keras.Layer]:
    """Yield the layers in the order of the graph, those of nested models in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer


def _target_layer(model: keras.Model, name: str | None) -> tuple[keras.Layer, bool]:
    """Return the layer to listen to, and whether its input (not its output) is wanted."""
    layers = list(_all_layers(model))
    if name is not None:
        for layer in layers:
            if layer.name == name:
                return layer, False
        raise _not_found(model, name, "is not in this model")
    for layer in layers:
        if layer.name == CLASS_MAPS:
            return layer, True
    for layer in reversed(layers):
        if isinstance(layer, _CONVOLUTIONS):
            return layer, False
    raise _not_found(model, "(the last convolution)", "is not in this model")


def _not_found(model: keras.Model, name: str, what: str) -> LayerNotFoundError:
    usable = [layer.name for layer in _all_layers(model) if _is_spatial(layer)]
    return LayerNotFoundError(
        "layer-not-found",
        f"The layer {name!r} {what}.",
        f"Layers with a feature map: {', '.join(usable) or 'none'}.",
    )


def _is_spatial(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.InputLayer):
        return False
    try:
        return len(layer.output.shape) == 4
    except (AttributeError, TypeError):  # never called, or has several outputs
        return isinstance(layer, _CONVOLUTIONS)


def _choose(outputs: Any) -> Any:
    """Return the output that holds the class scores."""
    if isinstance(outputs, dict):
        return outputs[LOGITS] if LOGITS in outputs else next(iter(outputs.values()))
    if isinstance(outputs, (list, tuple)):
        return outputs[0]
    return outputs


def _final_operation(model: Any) -> Any:
    """Return the layer or operation that makes the class scores; None if unknown.

    Known for functional and sequential models, whose graph can be inspected.
    """
    try:
        # A sequential model has `outputs` alone; of a functional one, `output` keeps the names.
        is_sequence = isinstance(model, keras.Sequential)
        output = _choose(model.outputs if is_sequence else model.output)
    except (AttributeError, ValueError):
        return None
    # Keras keeps on every symbolic tensor which operation made it.
    operation = output._keras_history.operation
    return _final_operation(operation) if isinstance(operation, keras.Model) else operation


def _logits(final: Any, before_final: Any, outputs: Any) -> Any:
    """Return the scores before a final softmax or sigmoid, as a tensor of the tape."""
    scores = _choose(outputs)
    activation = getattr(getattr(final, "activation", None), "__name__", "")
    if type(final).__name__.lower() in _SQUASHING or (
        isinstance(final, keras.layers.Activation) and activation in _SQUASHING
    ):
        return before_final
    if activation in _SQUASHING:
        # The same layer without its activation, made aside: the model stays as it is.
        twin = final.__class__.from_config({**final.get_config(), "activation": "linear"})
        twin.build(before_final.shape)
        twin.set_weights(final.get_weights())
        return twin(before_final)
    if final is None:
        values = np.asarray(scores)
        if values.ndim == 2 and values.min() >= 0 and abs(float(values.sum()) - 1.0) < 1e-4:
            raise ValueError(
                "the model ends in probabilities and its graph cannot be read, so its logits "
                "are unknown: give a functional or sequential model, or one that ends in logits"
            )
    return scores
