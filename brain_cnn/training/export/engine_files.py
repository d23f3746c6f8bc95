"""Keras model -> the files of the other engines, and the proof that all give the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import BundleError
from brain_cnn.inference.bundle import KERAS_NAME, NCNN_NAMES, ONNX_NAME
from brain_cnn.inference.engines import NcnnEngine
from brain_cnn.training.export.ncnn_graph import export_ncnn
from brain_cnn.training.export.onnx_graph import optimise_onnx

OUTPUTS = ("logits", "class_maps", "features")
MAX_DIFFERENCE = 1e-3
"""Largest difference between Keras and another engine that an export may have: of any output,
as a share of its largest value in the batch where that is above 1."""
MIN_IMAGES = 64


def export_all(model: keras.Model, folder: Path, tensors: NDArray[np.float32]) -> list[str]:
    """Write the network for every engine, compare them, and return the names of the files.

    Args:
        model: as `export_onnx`. tensors: as `verify_onnx`.

    Raises:
        BundleError: an engine gives something else than the model.
    """
    graph, weights = (folder / name for name in NCNN_NAMES)
    model.save(folder / KERAS_NAME)
    export_onnx(model, folder / ONNX_NAME)
    export_ncnn(model, graph, weights)
    worst = max(
        verify_onnx(model, folder / ONNX_NAME, tensors),
        verify_ncnn(model, (graph, weights), tensors),
    )
    print(
        f"Keras, ONNX Runtime and ncnn agree on {len(tensors)} images: all outputs within "
        f"{worst:.1e}.",
        flush=True,
    )
    return [KERAS_NAME, ONNX_NAME, *NCNN_NAMES]


def export_onnx(model: keras.Model, path: Path) -> None:
    """Write one graph from `image` (N, S, S, 1) to `logits`, `class_maps` and `features`.

    Args:
        model: float32 model of `brain_cnn.training.network.build_cnn`, TensorFlow backend.
        path: the `.onnx` file to write.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    size = model.input_shape[1]

    # A plain function with named results: exporting the model itself would call them
    # Identity:0, Identity_1:0 ...
    spec = tf.TensorSpec((None, size, size, 1), tf.float32, "image")

    @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
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
    return name.split(":", maxsplit=1)[0]


def verify_onnx(model: keras.Model, path: Path, tensors: NDArray[np.float32]) -> float:
    """Return the largest difference (`MAX_DIFFERENCE`) between `model` and the ONNX file.

    Args:
        tensors: float32 (N, S, S, 1), at least `MIN_IMAGES` prepared slices.

    Raises:
        BundleError: too few slices, or a difference above `MAX_DIFFERENCE`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return verify("ONNX", model, lambda x: session.run(list(OUTPUTS), {"image": x}), tensors)


def verify_ncnn(
    model: keras.Model, paths: tuple[Path, Path], tensors: NDArray[np.float32]
) -> float:
    """Return the largest difference (`MAX_DIFFERENCE`) between `model` and ncnn's two files.

    Args:
        tensors: as `verify_onnx`.

    Raises:
        BundleError: as `verify_onnx`, or ncnn cannot load them.
    """
    return verify("ncnn", model, NcnnEngine(paths).run, tensors)


def verify(
    engine: str,
    model: keras.Model,
    run: Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]],
    tensors: NDArray[np.float32],
) -> float:
    """Return the largest difference (`MAX_DIFFERENCE`) between `model` and another engine.

    Args:
        engine: its name, for the error.
        run: float32 (N, S, S, 1) to the `OUTPUTS`.
        tensors: as `verify_onnx`.

    Raises:
        BundleError: as `verify_onnx`.
    """
    if len(tensors) < MIN_IMAGES:
        raise BundleError(
            "export-unverified",
            f"{len(tensors)} slices are too few to compare Keras with {engine}.",
            f"Give at least {MIN_IMAGES}.",
        )
    worst = 0.0
    for start in range(0, len(tensors), 32):
        batch = tensors[start : start + 32]
        outputs = model(batch, training=False)
        for name, given in zip(OUTPUTS, run(batch), strict=True):
            expected = keras.ops.convert_to_numpy(outputs[name])
            apart = float(np.abs(given - expected).max() / max(1.0, np.abs(expected).max()))
            if not apart <= MAX_DIFFERENCE:  # also true for NaN
                raise BundleError(
                    "export-differs",
                    f"{engine} and Keras differ by {apart:.2g} in {name} (limit {MAX_DIFFERENCE}).",
                    "The bundle was not written.",
                )
            worst = max(worst, apart)
    return worst
