"""Keras model -> ONNX file, and the proof that both say the same."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import BundleError
from brain_cnn.onnx_graph import optimise_onnx

OUTPUTS = ("logits", "class_maps", "features")
MAX_DIFFERENCE = 1e-3
"""Largest difference of a logit between Keras and ONNX Runtime that an export may have."""
MIN_IMAGES = 64


def export_onnx(model: keras.Model, path: Path) -> None:
    """Write one graph from `image` (N, S, S, 1) to `logits`, `class_maps` and `features`.

    Args:
        model: float32 model of `brain_cnn.network.build_cnn`, TensorFlow backend.
        path: the `.onnx` file to write.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    size = model.input_shape[1]

    # A plain function with named results: exporting the model itself would call them
    # Identity:0, Identity_1:0 ...
    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 1), tf.float32, "image")])
    def graph(image: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(image, training=False)
        return {name: tf.identity(outputs[name], name=name) for name in OUTPUTS}

    proto, _ = tf2onnx.convert.from_function(graph, input_signature=graph.input_signature, opset=17)
    names = {value.name: _plain_name(value.name) for value in proto.graph.output}
    for node in proto.graph.node:
        for place, name in enumerate(node.output):
            node.output[place] = names.get(name, name)
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
    for value in proto.graph.output:
        value.name = names[value.name]
    if sorted(names.values()) != sorted(OUTPUTS):
        raise BundleError("export-failed", f"The ONNX graph's outputs are {sorted(names)}.")
    # Nothing of the machine that exported it stays in the file.
    proto.doc_string = ""
    onnx.save(optimise_onnx(proto), str(path))


def _plain_name(name: str) -> str:
    return name.split(":")[0]


def verify_onnx(model: keras.Model, path: Path, tensors: NDArray[np.float32]) -> float:
    """Return the largest difference of a logit between `model` and the ONNX file.

    Args:
        tensors: float32 (N, S, S, 1), at least `MIN_IMAGES` prepared slices.

    Raises:
        BundleError: too few slices, or a difference above `MAX_DIFFERENCE`.
    """
    import onnxruntime

    if len(tensors) < MIN_IMAGES:
        raise BundleError(
            "export-unverified",
            f"{len(tensors)} slices are too few to compare Keras with ONNX.",
            f"Give at least {MIN_IMAGES}.",
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for start in range(0, len(tensors), 32):
        batch = tensors[start : start + 32]
        (logits,) = session.run(["logits"], {"image": batch})
        expected = keras.ops.convert_to_numpy(model(batch, training=False)["logits"])
        worst = max(worst, float(np.abs(logits - expected).max()))
    if not worst <= MAX_DIFFERENCE:
        raise BundleError(
            "export-differs",
            f"ONNX and Keras differ by {worst:.2g} in a logit (limit {MAX_DIFFERENCE}).",
            "The bundle was not written.",
        )
    return worst
