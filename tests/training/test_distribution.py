"""`--distribute`: each batch is really shared, and the curve is that of one device."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None,
    reason="JAX is not installed (requirements-cluster.txt)",
)

# Trains in a process of its own: Keras has one backend for the life of a process.
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from keras.src.backend.jax import distribution_lib
from brain_cnn.dataset.batches import prepare_all
from brain_cnn.training.distribution import distribute_training
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.training.run_folder import RunFolder
from brain_cnn.training.settings import TrainSettings
from brain_cnn.training.trainer import fit

shares = []
share = distribution_lib.distribute_data_input

def watched(*arguments, **options):
    array = share(*arguments, **options)
    if array is not None:
        shares.append([list(piece.data.shape) for piece in array.addressable_shards])
    return array

distribution_lib.distribute_data_input = watched
devices = distribute_training() if sys.argv[1] == "two" else 1
labels = [LABELS[place % 4] for place in range(16)]
data = prepare_all([draw_phantom(l, s) for s, l in enumerate(labels)], labels, None, 64)
settings = TrainSettings(size=64, small_size=64, epochs=2, epoch_images=16, batch=8)
folder = Path(sys.argv[2])
fit(data, np.arange(12), np.arange(11, 16), settings, RunFolder(folder))
rows = [line.split(",") for line in (folder / "results.csv").read_text().split()]
print(json.dumps({"devices": devices, "shares": shares, "rows": rows}))
"""


def train(how, folder, backend="jax"):
    environ = os.environ | {
        "KERAS_BACKEND": backend,
        # On busy cores the two devices wait long for each other: no reason to give up.
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2"
        " --xla_cpu_collective_call_terminate_timeout_seconds=900",
        "JAX_PLATFORMS": "cpu",
        # Threads of XLA's pool: a device that waits for the other holds one, and with as few
        # as this machine has cores the other may find none left to arrive with.
        "NPROC": "8",
        "PYTHONPATH": str(ROOT),
    }
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, str(folder)],
        cwd=ROOT, env=environ, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


@needs_jax
def test_two_devices_share_each_batch_and_give_the_curve_of_one(tmp_path):
    two = train("two", tmp_path / "two")
    assert two["devices"] == 2
    images = [share for share in two["shares"] if len(share[0]) == 4 and share[0][-1] == 1]
    assert images and all(len(share) == 2 for share in images), "a piece on each device"
    assert [4, 64, 64, 1] in images[0], "half of a batch of 8"
    one = train("one", tmp_path / "one")
    assert not one["shares"]
    head = one["rows"][0]
    for name in ("loss", "val_loss"):
        column = head.index(name)
        ours, theirs = ([float(r[column]) for r in run["rows"][1:]] for run in (two, one))
        assert len(ours) == 2 and ours == pytest.approx(theirs, rel=1e-3), name


def script(*arguments, **environ):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "train.py"), "--smoke", "--distribute", *arguments],
        env=os.environ | environ, capture_output=True, text=True,
    )  # fmt: skip


def test_tensorflow_is_told_that_it_cannot(tmp_path):
    result = script("--run-dir", str(tmp_path / "run"), KERAS_BACKEND="tensorflow")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "does nothing on the tensorflow backend" in result.stderr
    assert "KERAS_BACKEND=jax" in result.stderr


@needs_jax
def test_one_device_and_uneven_batches_are_refused(tmp_path):
    one = script("--run-dir", str(tmp_path / "a"), KERAS_BACKEND="jax", JAX_PLATFORMS="cpu",
                 XLA_FLAGS="--xla_force_host_platform_device_count=1")  # fmt: skip
    assert one.returncode == 2 and "JAX sees one device here" in one.stderr
    from brain_cnn.errors import SettingsError
    from brain_cnn.training.distribution import check_shares

    check_shares(32, 96, 2)
    with pytest.raises(SettingsError, match="batch has 33 images"):
        check_shares(33, 99, 2)
    with pytest.raises(SettingsError, match="last batch of an epoch has 7 images"):
        check_shares(8, 15, 2)
