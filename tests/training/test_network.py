"""Promises of the two networks."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from brain_cnn.labels import LABELS
from brain_cnn.training.network import build_baseline, build_cnn


@pytest.fixture(scope="module")
def ours() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_cnn(64)


def test_ours_has_at_most_three_million_parameters() -> None:
    assert build_cnn(160).count_params() <= 3_000_000


def test_layers_carry_the_names_that_people_type(ours: keras.Model) -> None:
    names = [layer.name for layer in ours.layers]
    assert {"image", "conv2d_1", "conv2d_2", "class_maps", "logits", "features"} <= set(names)
    baseline = {layer.name for layer in build_baseline(64).layers}
    assert {"conv2d", "conv2d_1", "flatten", "dense", "dropout", "logits"} <= baseline


def test_outputs_have_the_promised_shapes(ours: keras.Model) -> None:
    outputs = ours(np.zeros((3, 64, 64, 1), np.float32))
    assert outputs["logits"].shape == (3, len(LABELS))
    assert outputs["class_maps"].shape == (3, 8, 8, len(LABELS))
    assert outputs["features"].shape == (3, 128)


def test_class_maps_have_no_bias_and_logits_keep_their_sign(ours: keras.Model) -> None:
    assert not ours.get_layer("class_maps").use_bias
    kernel = ours.get_layer("logits").kernel
    assert np.all(keras.ops.convert_to_numpy(kernel) > 0)
    # Training cannot turn the sign either.
    constrained = ours.get_layer("logits").kernel.constraint(np.array([-1.0, 2.0]))
    assert np.all(keras.ops.convert_to_numpy(constrained) >= 0)


def test_raising_a_map_anywhere_raises_its_logit_and_no_other(ours: keras.Model) -> None:
    """The weights of the positions are positive and sum to the scale (1 at the start)."""
    maps_layer = ours.get_layer("class_maps")
    head = keras.Model(maps_layer.output, ours.output["logits"])
    maps = np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype(np.float32)
    base = np.asarray(head(maps))[0]
    for y, x in ((0, 0), (3, 5), (7, 7)):
        raised = maps.copy()
        raised[0, y, x, 1] += 0.5
        change = np.asarray(head(raised))[0] - base
        assert change[1] > 0
        assert np.abs(np.delete(change, 1)).max() < 1e-6
    everywhere = np.asarray(head(maps + np.float32(0.7)))[0] - base
    assert np.allclose(everywhere, 0.7, atol=1e-5)


def test_one_place_that_looks_ill_makes_a_tumour_of_a_healthy_head(ours: keras.Model) -> None:
    head = keras.Model(ours.get_layer("class_maps").output, ours.output["logits"])
    healthy = np.zeros((1, 8, 8, 4), np.float32)
    healthy[..., LABELS.index("notumor")] = 3.0
    ill = healthy.copy()
    ill[0, 2, 5] = (6.0, 0.0, -6.0, 0.0)
    change = np.asarray(head(ill) - head(healthy))[0]
    assert change[LABELS.index("glioma")] > 1.5
    assert change[LABELS.index("notumor")] < -1.5
    # And one place that looks very healthy does not outweigh the others.
    assured = healthy.copy()
    assured[0, 2, 5, LABELS.index("notumor")] = 30.0
    assert np.asarray(head(assured) - head(healthy))[0, LABELS.index("notumor")] < 0.05


def test_a_large_class_value_does_not_overflow(ours: keras.Model) -> None:
    head = keras.Model(ours.get_layer("class_maps").output, ours.output["logits"])
    for value in (500.0, -500.0):
        assert np.isfinite(np.asarray(head(np.full((1, 8, 8, 4), value, np.float32)))).all()


def test_a_stranger_opens_a_saved_model_without_this_package(
    ours: keras.Model, tmp_path: Path
) -> None:
    ours.save(tmp_path / "m.keras")
    tensor = np.random.default_rng(1).random((2, 64, 64, 1), dtype=np.float32)
    np.save(tmp_path / "x.npy", tensor)
    code = (
        "import sys, numpy as np, keras\n"
        "m = keras.models.load_model('m.keras')\n"
        "np.save('y.npy', np.asarray(m(np.load('x.npy'))['logits']))\n"
        "assert not [n for n in sys.modules if n.startswith('brain_cnn')]\n"
    )
    # -I: no path to this repository, no environment that names it.
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    assert np.allclose(np.load(tmp_path / "y.npy"), np.asarray(ours(tensor)["logits"]), atol=1e-5)
