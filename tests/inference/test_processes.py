"""Other processes: a fork is answered, and an error comes back whole."""

import pickle
import subprocess
import sys

import pytest

from brain_cnn import errors

KINDS = (
    "BrainCnnError", "ScanError", "RegionError", "DatasetError", "BundleError", "SettingsError",
    "LayerNotFoundError",
)  # fmt: skip

FORK = """
import multiprocessing, os
import numpy as np
from brain_cnn import load_classifier
model = load_classifier(threads=2)
image = np.random.default_rng(0).random((1, model.bundle.input_size, model.bundle.input_size, 1))
image = image.astype(np.float32)
expected = model.engine.run(image)
def child(queue):
    queue.put([np.asarray(part) for part in model.engine.run(image)])
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
found = queue.get(timeout=60)
process.join()
print(all(np.allclose(a, b, atol=1e-4) for a, b in zip(found, expected)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks as Linux does")
def test_default_engine_answers_after_a_fork():
    run = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.stdout.strip() == "True", run.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_error_survives_pickling(kind):
    error = getattr(errors, kind)("some-code", "A sentence.", "A hint.")
    if hasattr(error, "status"):
        error.status = 413
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(back) is type(error) and vars(back) == vars(error) and str(back) == str(error)
