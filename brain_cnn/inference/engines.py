"""Run a bundle's network: ncnn by default, ONNX Runtime or TensorFlow on request.

One forward pass gives the scores of the four classes and all four heatmaps, so no engine
needs a gradient to serve.
"""

from __future__ import annotations

import contextlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brain_cnn.cores import cores
from brain_cnn.errors import BundleError, SettingsError
from brain_cnn.inference.bundle import Bundle
from brain_cnn.inference.output import EngineOutput

ENGINES = ("ncnn", "onnx", "tensorflow")

# What each imports, what that is called, and where it is listed.
_PACKAGES = {
    "ncnn": ("ncnn", "ncnn", "requirements-serve.txt"),
    "onnx": ("onnxruntime", "ONNX Runtime", "requirements-serve.txt"),
    "tensorflow": ("tensorflow", "TensorFlow", "requirements.txt"),
}


class Engine(Protocol):
    """Anything that runs the network; `run` may be called from several threads."""

    name: str

    def run(self, batch: NDArray[np.float32]) -> EngineOutput:
        """Run float32 (N, S, S, 1) in 0..1, N >= 1."""
        ...


class NcnnEngine:
    """ncnn on the CPU: the fastest in float32 of those in docs/benchmark.md.

    Its 3 x 3 convolutions multiply less (Winograd); all arithmetic stays float32. It knows no
    batches: slices go through one after the other.

    Args:
        paths: its graph and its weights.
        threads: threads of one `run`; None takes the cores that the process may use. In a
            process that was forked from the one that loaded it there is one.

    Raises:
        BundleError: ncnn cannot load the files.
    """

    name = "ncnn"

    def __init__(self, paths: tuple[Path, Path], threads: int | None = None) -> None:
        # Between the layers its threads wait for each other by spinning, which is right. Left
        # alone they spin on for a millisecond after the last one: a third more processor time
        # for a slice, and nothing gained.
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
        import ncnn

        self._ncnn = ncnn
        self._paths = paths
        self._net = self._load(threads or cores())
        self._process = os.getpid()

    def _load(self, threads: int) -> Any:
        net = self._ncnn.Net()
        options = net.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        # Half precision is its default where the processor has it: the answers would differ.
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_packed = options.use_bf16_storage = False
        graph, weights = (str(path) for path in self._paths)
        if net.load_param(graph) or net.load_model(weights):
            raise BundleError(
                "engine-failed",
                "ncnn cannot load the bundle's network.",
                "Restore the model folder, or export the model again.",
            )
        return net

    def run(self, batch: NDArray[np.float32]) -> EngineOutput:
        """Run float32 (N, S, S, 1) in 0..1, N >= 1."""
        if os.getpid() != self._process:
            # After a fork the threads of OpenMP are gone, and waiting for them never ends. A
            # network keeps the number of threads that it was loaded with.
            self._net = self._load(1)
            self._process = os.getpid()
        found = [self._run_one(np.ascontiguousarray(one[..., 0], np.float32)) for one in batch]
        return EngineOutput(*(np.stack(parts) for parts in zip(*found, strict=True)))

    def _run_one(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        # ncnn reads the pixels where they are: `image` lives as long as the extractor.
        extractor = self._net.create_extractor()
        if extractor.input("image", self._ncnn.Mat(image)):
            raise RuntimeError("ncnn does not take the slice")
        found = []
        for name in EngineOutput._fields:
            code, value = extractor.extract(name)
            if code:  # what it gives then must not be touched: the process would end
                raise RuntimeError(f"ncnn cannot compute {name}")
            found.append(np.array(value))
        logits, maps, features = found
        return logits, maps.transpose(1, 2, 0), features


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
        BundleError: the file cannot be loaded.
    """

    name = "tensorflow"

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        import keras
        import tensorflow as tf

        if threads:
            # Where TensorFlow already runs in this process, its threads are set.
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(threads)
        try:
            model = keras.saving.load_model(bundle.keras_path, compile=False, safe_mode=True)
            size = bundle.input_size
            spec = tf.TensorSpec((None, size, size, 1), tf.float32)

            @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
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


def check_engine(bundle: Bundle, kind: str) -> None:
    """Tell without starting it whether the engine called `kind` could be started.

    Raises:
        SettingsError: an unknown kind.
        BundleError: its package is not installed, or the bundle has no network for it.
    """
    if kind not in ENGINES:
        raise SettingsError(
            "unknown-engine",
            f"There is no engine {kind!r}.",
            f"Choose one of {', '.join(ENGINES)}.",
        )
    module, name, listed = _PACKAGES[kind]
    other = "ncnn" if kind == "onnx" else "onnx"
    if find_spec(module) is None:
        raise BundleError(
            "engine-missing",
            f"The engine {kind!r} needs {name}, which is not installed here.",
            f"Install {listed}, or use the engine {other!r}.",
        )
    if kind == "ncnn" and bundle.ncnn_paths is None:
        raise BundleError(
            "engine-failed",
            "The bundle has no network for ncnn.",
            "Use the engine 'onnx', or train again.",
        )


def make_engine(bundle: Bundle, kind: str = ENGINES[0], threads: int | None = None) -> Engine:
    """Start the engine called `kind`, one of `ENGINES`.

    Raises:
        SettingsError: an unknown kind.
        BundleError: as `check_engine`, or the network cannot be run.
    """
    check_engine(bundle, kind)
    if kind == "onnx":
        return OnnxEngine(bundle, threads)
    if kind == "tensorflow":
        return KerasEngine(bundle, threads)
    assert bundle.ncnn_paths is not None  # checked above
    engine = NcnnEngine(bundle.ncnn_paths, threads)
    try:
        engine.run(_empty_batch(bundle))  # warm
    except RuntimeError as error:
        raise BundleError(
            "engine-failed",
            f"ncnn cannot run the bundle's network ({error}).",
            "Restore the model folder, or export the model again.",
        ) from error
    return engine


def hold_helpers(threads: int) -> None:
    """Let NumPy's BLAS and OpenCV use at most `threads` threads, in the whole process.

    What is computed beside the network is small. With more threads, those that have done
    their part wait for the next by spinning, on the cores that the network needs next.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(threads)
    threadpool_limits(threads, user_api="blas")


def _empty_batch(bundle: Bundle) -> NDArray[np.float32]:
    return np.zeros((1, bundle.input_size, bundle.input_size, 1), np.float32)
