"""The same network on several engines, all in float32, each in a process of its own.

Run as a program, this file measures one engine and prints a line of JSON.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import AS_PROGRAM, ENVIRONMENT, rss_mib, say, spread, version

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""float32 (N, S, S, 1) -> logits (N, 4); the class maps are computed too."""

# Engine -> the package that must be installed, and all that belong to it.
ENGINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ncnn": ("ncnn", ("ncnn",)),
    "onnxruntime": ("onnxruntime", ("onnxruntime", "flatbuffers", "protobuf")),
    "tensorflow": ("tensorflow", ("tensorflow", "keras", "h5py", "ml-dtypes", "grpcio")),
    "litert": ("ai-edge-litert", ("ai-edge-litert",)),
    "openvino": ("openvino", ("openvino", "openvino-telemetry")),
}


def measure(folder: Path, calls: int, tensors: Path | None) -> dict[str, Any]:
    """Measure every engine that is installed.

    Args:
        folder: the model.
        calls: at batch 1; a sixteenth of them at batch 32.
        tensors: .npz with `tensors` (N, S, S, 1) and `labels` (N,) of real val slices; without
            it noise is compared.
    """
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for engine, (package, belongs) in ENGINES.items():
            if version(package) is None:
                result[engine] = {"absent": f"{package} is not installed"}
                continue
            say(f"engine: {engine}")
            said = Path(scratch) / f"{engine}.npy"
            command = [
                *AS_PROGRAM,
                "benchmarks.engines",
                engine,
                str(folder),
                str(calls),
                str(said),
            ]
            done = subprocess.run(
                [*command, str(tensors or "")],
                capture_output=True,
                text=True,
                env=ENVIRONMENT | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            )
            lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
            if not lines:
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                result[engine] = {"failed": reason[:200]}
                continue
            result[engine] = json.loads(lines[-1].removeprefix("RESULT "))
            result[engine]["installed_mb"] = round(sum(_size(p) for p in belongs) / 1e6, 1)
            result[engine]["version"] = version(package)
        _compare(result, Path(scratch), tensors)
    return result


def _compare(result: dict[str, Any], scratch: Path, tensors: Path | None) -> None:
    """Add accuracy, and the largest difference of a probability from ONNX Runtime's."""
    chances = {e: _softmax(np.load(scratch / f"{e}.npy")) for e in result if "start_s" in result[e]}
    reference = chances.get("onnxruntime")
    labels = None if tensors is None else np.load(tensors)["labels"]
    for engine, found in chances.items():
        if labels is not None:
            result[engine]["accuracy"] = round(float((found.argmax(1) == labels).mean()), 5)
            result[engine]["images"] = len(labels)
        if reference is not None:
            difference = float(np.abs(found - reference).max())
            result[engine]["largest_difference"] = float(f"{difference:.2g}")
            changed = int((found.argmax(1) != reference.argmax(1)).sum())
            result[engine]["changed_classes"] = changed


def _size(package: str) -> int:
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return 0
    return sum(int(p.stat().st_size) for f in files if (p := Path(str(f.locate()))).is_file())


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    result: NDArray[np.float32] = powers / powers.sum(1, keepdims=True)
    return result


def _ncnn(folder: Path, threads: int) -> Run:
    from brain_cnn.inference.bundle import NCNN_NAMES
    from brain_cnn.inference.engines import NcnnEngine

    graph, weights = (folder / name for name in NCNN_NAMES)
    engine = NcnnEngine((graph, weights), threads)
    return lambda batch: engine.run(batch).logits


def _onnxruntime(folder: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(folder / "brain_cnn.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return lambda batch: session.run(["logits", "class_maps", "features"], {"image": batch})[0]


def _tensorflow(folder: Path, threads: int) -> Run:
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = keras.saving.load_model(folder / "brain_cnn.keras", compile=False)
    size = model.input_shape[1]

    spec = tf.TensorSpec((None, size, size, 1), tf.float32)

    @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
    def forward(batch: Any) -> Any:
        return model(batch, training=False)

    return lambda batch: forward(batch)["logits"].numpy()


def _litert(folder: Path, threads: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=os.environ["BENCHMARK_TFLITE"], num_threads=threads)
    (place,) = (d["index"] for d in interpreter.get_input_details())
    shape: list[tuple[int, ...]] = [()]

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if shape[0] != batch.shape:
            interpreter.resize_tensor_input(place, batch.shape)
            interpreter.allocate_tensors()
            shape[0] = batch.shape
        interpreter.set_tensor(place, batch)
        interpreter.invoke()
        outputs = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
        return next(o for o in outputs if o.shape == (len(batch), 4))

    return run


def _openvino(folder: Path, threads: int) -> Run:
    import onnx
    import openvino

    from brain_cnn.training.export.onnx_graph import optimise_onnx

    # Without this hint it computes in bfloat16 where the processor can, without a word.
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    # A file exported by an older version has a node that it cannot read.
    graph = optimise_onnx(onnx.load(folder / "brain_cnn.onnx"))
    model = core.read_model(io.BytesIO(graph.SerializeToString()))
    compiled = core.compile_model(model, "CPU", options | {"INFERENCE_NUM_THREADS": threads})
    request = compiled.create_infer_request()

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        request.infer([batch])
        result: NDArray[np.float32] = request.get_tensor("logits").data.copy()
        return result

    return run


_LOADERS: dict[str, Callable[[Path, int], Run]] = {
    "ncnn": _ncnn,
    "onnxruntime": _onnxruntime,
    "tensorflow": _tensorflow,
    "litert": _litert,
    "openvino": _openvino,
}


def convert_to_litert(folder: Path, target: Path) -> None:
    """Write the `.keras` model as a float32 LiteRT file; needs TensorFlow."""
    import keras
    import tensorflow as tf

    model = keras.saving.load_model(folder / "brain_cnn.keras", compile=False)
    target.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def _main(engine: str, folder: Path, calls: int, said: Path, tensors: str) -> None:
    cores = len(os.sched_getaffinity(0))
    if engine == "litert":
        # In a process of its own, so that TensorFlow counts for neither time nor memory.
        target = said.with_suffix(".tflite")
        os.environ["BENCHMARK_TFLITE"] = str(target)
        subprocess.run(
            [*AS_PROGRAM, "benchmarks.engines", "convert", str(folder), str(target)],
            check=True,
            env=ENVIRONMENT,
        )
    side = json.loads((folder / "bundle.json").read_text())["input_size"]
    rng = np.random.default_rng(0)
    noise = rng.random((32, side, side, 1), np.float32)
    before = rss_mib(os.getpid())
    start = time.perf_counter()
    run = _LOADERS[engine](folder, cores)
    run(noise[:1])
    result: dict[str, Any] = {
        "start_s": round(time.perf_counter() - start, 3),
        "batch_1_ms": spread(_times(run, noise[:1], calls)),
        "batch_32_ms": spread(_times(run, noise, max(3, calls // 16))),
    }
    result["rss_added_mib"] = round(rss_mib(os.getpid()) - before, 1)
    batch = np.load(tensors)["tensors"] if tensors else noise
    parts = [run(np.ascontiguousarray(batch[i : i + 32])) for i in range(0, len(batch), 32)]
    np.save(said, np.concatenate(parts))
    if engine != "tensorflow":  # its threads cannot be changed any more
        single = _LOADERS[engine](folder, 1)
        result["one_thread_ms"] = spread(_times(single, noise[:1], calls))
    print("RESULT", json.dumps(result), flush=True)


def _times(run: Run, batch: NDArray[np.float32], count: int) -> list[float]:
    run(batch)
    times = []
    for _ in range(count):
        start = time.perf_counter()
        run(batch)
        times.append((time.perf_counter() - start) * 1e3)
    return times


if __name__ == "__main__":
    if sys.argv[1] == "convert":
        convert_to_litert(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        _main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
