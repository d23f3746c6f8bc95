"""Run a bundle's network: ONNX Runtime by default, TensorFlow on request.

One forward pass gives the scores of the four classes and all four heatmaps, so no engine
needs a gradient to serve.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from brain_cnn.bundle import Bundle
from brain_cnn.errors import BundleError, SettingsError

ENGINES = ("onnx", "tensorflow")


class EngineOutput(NamedTuple):
    """What the network says of N slices.

    Attributes:
        logits: float32 (N, 4).
        class_maps: float32 (N, h, w, 4), evidence for each class at each place.
        features: float32 (N, D), pooled features for the familiarity gate.
    """

    logits: NDArray[np.float32]
    class_maps: NDArray[np.float32]
    features: NDArray[np.float32]


class Engine(Protocol):
    """Anything that runs the network; `run` may be called from several threads."""

    name: str

    def run(self, batch: NDArray[np.float32]) -> EngineOutput:
        """Run float32 (N, S, S, 1) in 0..1, N >= 1."""
        ...


class OnnxEngine:
    """ONNX Runtime on the CPU.

    Args:
        bundle: a checked bundle.
        threads: threads of one `run`; None lets ONNX Runtime take the cores.

    Raises:
        BundleError: the file is no network that ONNX Runtime can run.
    """

    name = "onnx"

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take the cores from the other requests of the server.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(bundle.onnx_path), options, providers=["CPUExecutionProvider"]
            )
            self.run(_empty_batch(bundle))  # warm, and proof that the outputs are there
        except Exception as error:  # ONNX Runtime has a dozen error classes without a base
            raise BundleError(
                "engine-failed",
                f"ONNX Runtime cannot run the bundle's network ({str(error).splitlines()[0]}).",
                "Restore the model folder, or export the model again.",
            ) from error

    def run(self, batch: NDArray[np.float32]) -> EngineOutput:
        """Run float32 (N, S, S, 1) in 0..1, N >= 1."""
        return EngineOutput(*self._session.run(list(EngineOutput._fields), {"image": batch}))


class KerasEngine:
    """The `.keras` file on TensorFlow, compiled once.

    Raises:
        BundleError: TensorFlow is not installed, or the file cannot be loaded.
    """

    name = "tensorflow"

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        try:
            import keras
            import tensorflow as tf
        except ImportError as error:
            raise BundleError(
                "engine-missing",
                "The TensorFlow engine needs TensorFlow, which is not installed here.",
                "Install requirements.txt, or use the engine 'onnx'.",
            ) from error
        if threads:
            # Where TensorFlow already runs in this process, its threads are set.
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(threads)
        try:
            model = keras.saving.load_model(bundle.keras_path, compile=False, safe_mode=True)
            size = bundle.input_size
            spec = tf.TensorSpec((None, size, size, 1), tf.float32)

            @tf.function(input_signature=[spec])
            def forward(batch: Any) -> Any:
                return model(batch, training=False)

            self._forward = forward
            self.run(_empty_batch(bundle))
        except Exception as error:  # Keras raises many kinds for one cause: it does not load
            raise BundleError(
                "engine-failed",
                f"TensorFlow cannot run the bundle's network ({str(error).splitlines()[0]}).",
                "Restore the model folder, or use the engine 'onnx'.",
            ) from error

    def run(self, batch: NDArray[np.float32]) -> EngineOutput:
        """Run float32 (N, S, S, 1) in 0..1, N >= 1."""
        outputs = self._forward(batch)
        return EngineOutput(*(outputs[name].numpy() for name in EngineOutput._fields))


def make_engine(bundle: Bundle, kind: str = "onnx", threads: int | None = None) -> Engine:
    """Start the engine called `kind`, one of `ENGINES`.

    Raises:
        SettingsError: an unknown kind.
        BundleError: the network cannot be run.
    """
    if kind == "onnx":
        return OnnxEngine(bundle, threads)
    if kind == "tensorflow":
        return KerasEngine(bundle, threads)
    raise SettingsError(
        "unknown-engine", f"There is no engine {kind!r}.", f"Choose one of {', '.join(ENGINES)}."
    )


def hold_blas(threads: int) -> None:
    """Let NumPy's BLAS use at most `threads` threads, in the whole process.

    The products beside the network are small. With more threads, those that have done their
    part wait for the next product by spinning, on the cores that the network needs next.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads, user_api="blas")


def _empty_batch(bundle: Bundle) -> NDArray[np.float32]:
    return np.zeros((1, bundle.input_size, bundle.input_size, 1), np.float32)
