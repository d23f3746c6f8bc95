"""Grad-CAM of any Keras CNN: from the logit, on the named layer, leaving the model alone."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from brain_cnn.errors import BrainCnnError, LayerNotFoundError
from brain_cnn.explain.gradcam import make_gradcam_heatmap
from brain_cnn.training.network import build_baseline, build_cnn

SIZE = 32
ROOT = Path(__file__).resolve().parents[2]


def picture(seed=0, size=SIZE):
    return np.random.default_rng(seed).random((1, size, size, 1)).astype("float32")


def two_convolutions(end, *, sequential=False):
    """conv2d -> pool -> conv2d_1 -> pool -> dense, with the end `linear`, `softmax`, ..."""
    ends = {
        "linear": lambda: [layers.Dense(4, name="scores")],
        "softmax": lambda: [layers.Dense(4, activation="softmax", name="scores")],
        "sigmoid": lambda: [layers.Dense(4, activation="sigmoid", name="scores")],
        "softmax layer": lambda: [layers.Dense(4, name="scores"), layers.Softmax()],
        "activation layer": lambda: [layers.Dense(4, name="scores"), layers.Activation("softmax")],
        "operation": lambda: [layers.Dense(4, name="scores"), keras.ops.softmax],
    }
    stack = [
        layers.Conv2D(6, 3, activation="relu", name="conv2d"),
        layers.MaxPooling2D(name="max_pooling2d"),
        layers.Conv2D(8, 3, activation="relu", name="conv2d_1"),
        layers.MaxPooling2D(name="max_pooling2d_1"),
        layers.Flatten(name="flatten"),
        layers.Dense(16, activation="relu", name="dense"),
        layers.Dropout(0.5, name="dropout"),
        *ends[end](),
    ]
    if sequential:
        return keras.Sequential(stack)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    tensor = image
    for layer in stack:
        tensor = layer(tensor)
    return keras.Model(image, tensor)


@pytest.fixture(scope="module")
def linear():
    keras.utils.set_random_seed(7)
    return two_convolutions("linear")


def by_hand(model, image, layer_name, pred_index):
    """Grad-CAM written as in the Keras guide, on a rebuilt graph."""
    import tensorflow as tf

    target = model.get_layer(layer_name).output
    both = keras.Model(model.input, [target, model.output])
    with tf.GradientTape() as tape:
        features, logits = both(image)
        score = logits[:, pred_index]
    weights = tf.reduce_mean(tape.gradient(score, features), axis=(0, 1, 2))
    heat = np.maximum(tf.reduce_sum(features[0] * weights, axis=-1).numpy(), 0)
    return heat / heat.max() if heat.max() > 0 else heat


@pytest.mark.parametrize("name", ["conv2d", "conv2d_1", "max_pooling2d"])
@pytest.mark.parametrize("pred_index", range(4))
def test_equals_gradcam_written_by_hand(linear, name, pred_index):
    heat = make_gradcam_heatmap(picture(), linear, name, pred_index)
    assert np.abs(heat - by_hand(linear, picture(), name, pred_index)).max() < 1e-5


def test_the_usual_call_on_conv2d_1_gives_a_grid_between_0_and_1(linear):
    heat = make_gradcam_heatmap(picture(), linear, last_conv_layer_name="conv2d_1")
    assert heat.shape == (13, 13)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert heat.max() == 1


@pytest.mark.parametrize(
    ("end", "sequential"),
    [
        ("softmax", False),
        ("softmax", True),
        ("sigmoid", False),
        ("softmax layer", False),
        ("softmax layer", True),
        ("activation layer", False),
        ("activation layer", True),
        ("operation", False),
    ],
)
def test_heatmap_uses_logits(linear, end, sequential):
    model = two_convolutions(end, sequential=sequential)
    model(picture())
    model.set_weights(linear.get_weights())
    for pred_index in range(4):
        expected = make_gradcam_heatmap(picture(), linear, "conv2d_1", pred_index)
        found = make_gradcam_heatmap(picture(), model, "conv2d_1", pred_index)
        assert np.abs(found - expected).max() < 1e-6


def test_a_saturated_softmax_still_has_a_heatmap(linear):
    model = two_convolutions("softmax")
    weights = linear.get_weights()
    weights[-1] = np.array([80.0, 0, 0, 0], "float32")  # the softmax is exactly 1.0
    model.set_weights(weights)
    assert model(picture()).numpy()[0, 0] == 1.0
    heat = make_gradcam_heatmap(picture(), model, "conv2d_1")
    assert np.abs(heat - make_gradcam_heatmap(picture(), linear, "conv2d_1", 0)).max() < 1e-5


def test_no_class_given_means_the_top_one(linear):
    top = int(linear(picture()).numpy().argmax())
    expected = make_gradcam_heatmap(picture(), linear, pred_index=top)
    assert np.array_equal(make_gradcam_heatmap(picture(), linear), expected)
    others = [make_gradcam_heatmap(picture(), linear, pred_index=c) for c in range(4)]
    assert any(not np.allclose(other, expected) for other in others)


def test_default_layer_is_the_last_convolution(linear):
    named = make_gradcam_heatmap(picture(), linear, "conv2d_1", 1)
    assert np.array_equal(make_gradcam_heatmap(picture(), linear, pred_index=1), named)


def test_the_model_is_left_as_it_was(linear):
    model = two_convolutions("softmax")
    before = [w.copy() for w in model.get_weights()]
    answer, config = model(picture()).numpy(), json.dumps(model.get_config(), default=str)
    make_gradcam_heatmap(picture(), model, "conv2d_1")
    assert json.dumps(model.get_config(), default=str) == config
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert np.array_equal(model(picture()).numpy(), answer)
    assert not any("call" in vars(layer) for layer in model.layers)


def test_the_model_is_left_as_it_was_after_an_error(linear):
    with pytest.raises(ValueError):
        make_gradcam_heatmap(picture(), linear, "conv2d_1", pred_index=4)
    assert not any("call" in vars(layer) for layer in linear.layers)


def test_a_wrong_layer_name_lists_the_right_ones(linear):
    with pytest.raises(LayerNotFoundError) as caught:
        make_gradcam_heatmap(picture(), linear, last_conv_layer_name="conv2d_2")
    text = str(caught.value)
    assert "'conv2d_2'" in text
    assert "conv2d, max_pooling2d, conv2d_1, max_pooling2d_1" in text
    assert "flatten" not in text
    assert isinstance(caught.value, BrainCnnError)


def test_a_layer_without_a_grid_is_refused_with_those_that_have_one(linear):
    with pytest.raises(LayerNotFoundError, match=r"'flatten' .* conv2d, .*conv2d_1"):
        make_gradcam_heatmap(picture(), linear, "flatten")


def test_a_model_without_a_convolution_says_so():
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(4, name="scores")]
    )
    with pytest.raises(LayerNotFoundError):
        make_gradcam_heatmap(np.zeros((1, 4, 4, 1)), model)


@pytest.mark.parametrize("shape", [(SIZE, SIZE, 1), (2, SIZE, SIZE, 1), (SIZE, SIZE)])
def test_one_image_is_asked_for(linear, shape):
    with pytest.raises(ValueError, match="one image"):
        make_gradcam_heatmap(np.zeros(shape), linear)


def test_no_positive_evidence_gives_an_empty_map_and_no_nan():
    image = keras.Input((8, 8, 1))
    features = layers.Conv2D(2, 1, use_bias=False, kernel_initializer="ones", name="c")(image)
    pooled = layers.GlobalAveragePooling2D()(features)
    scores = layers.Dense(4, kernel_initializer=keras.initializers.Constant(-1.0))(pooled)
    heat = make_gradcam_heatmap(np.ones((1, 8, 8, 1)), keras.Model(image, scores), "c", 0)
    assert heat.shape == (8, 8)
    assert not heat.any()


def model_with_class_maps(pooling):
    """F -> class_maps -> pooling -> logits, as in our network; F may be negative."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = layers.Conv2D(8, 3, activation="relu")(image)
    features = layers.Conv2D(8, 3, strides=2, name="last")(x)
    maps = layers.Dense(4, use_bias=False, name="class_maps")(features)
    if pooling == "log-sum-exp":
        pooled = keras.ops.logsumexp(maps * 2.0, axis=(1, 2))
    else:
        pooled = layers.GlobalAveragePooling2D()(maps)
    return keras.Model(image, {"class_maps": maps, "logits": pooled * 3.0 - 1.0})


@pytest.mark.parametrize("pooling", ["log-sum-exp", "average"])
@pytest.mark.parametrize("pred_index", range(4))
def test_gradient_free_map_equals_gradcam(pooling, pred_index):
    keras.utils.set_random_seed(3)
    model = model_with_class_maps(pooling)
    expected = np.maximum(model(picture())["class_maps"].numpy()[0, ..., pred_index], 0)
    assert expected.max() > 0
    heat = make_gradcam_heatmap(picture(), model, pred_index=pred_index)
    assert np.abs(heat - expected / expected.max()).max() < 1e-4


def test_our_network_needs_no_gradient():
    keras.utils.set_random_seed(5)
    model = build_cnn(64)
    image = picture(size=64)
    maps = model(image, training=False)["class_maps"].numpy()[0]
    for pred_index in range(4):
        expected = np.maximum(maps[..., pred_index], 0)
        expected = expected / expected.max() if expected.max() > 0 else expected
        heat = make_gradcam_heatmap(image, model, pred_index=pred_index)
        assert heat.shape == (8, 8)
        assert np.abs(heat - expected).max() < 1e-4


def test_a_convolution_inside_a_nested_model_is_found(linear):
    backbone = keras.Model(linear.input, linear.get_layer("conv2d_1").output, name="backbone")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax")]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), backbone, *head])
    assert make_gradcam_heatmap(picture(), model).shape == (13, 13)
    assert make_gradcam_heatmap(picture(), model, "conv2d").shape == (30, 30)


def test_a_whole_model_inside_another_is_looked_behind(linear):
    inner = two_convolutions("softmax")
    inner.set_weights(linear.get_weights())
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), inner])
    found = make_gradcam_heatmap(picture(), model, "conv2d_1", 2)
    assert np.abs(found - make_gradcam_heatmap(picture(), linear, "conv2d_1", 2)).max() < 1e-6


class Opaque(keras.Model):
    """A model whose graph cannot be read."""

    def __init__(self, activation):
        super().__init__()
        self.convolution = layers.Conv2D(4, 3, name="c")
        self.pool = layers.GlobalAveragePooling2D()
        self.scores = layers.Dense(4, activation=activation)

    def call(self, inputs):
        return self.scores(self.pool(self.convolution(inputs)))


def test_a_subclassed_model_works_from_logits_and_is_refused_from_probabilities():
    assert make_gradcam_heatmap(picture(), Opaque(None), "c").shape == (30, 30)
    with pytest.raises(ValueError, match="logits"):
        make_gradcam_heatmap(picture(), Opaque("softmax"), "c")


IN_A_FRESH_PROCESS = """
import sys, json
import keras, numpy as np
from brain_cnn.explain.gradcam import make_gradcam_heatmap
model = keras.models.load_model(sys.argv[1])
image = np.load(sys.argv[2])
heat = make_gradcam_heatmap(image, model, last_conv_layer_name=sys.argv[3] or None, pred_index=1)
print("HEAT", json.dumps(heat.tolist()))
"""


@pytest.mark.parametrize(("build", "layer"), [(build_baseline, "conv2d_1"), (build_cnn, "")])
def test_a_saved_model_works_in_a_fresh_process(tmp_path, build, layer):
    keras.utils.set_random_seed(11)
    model, image = build(64), picture(size=64)
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "image.npy", image)
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            IN_A_FRESH_PROCESS,
            tmp_path / "m.keras",
            tmp_path / "image.npy",
            layer,
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    line = next(x for x in result.stdout.splitlines() if x.startswith("HEAT "))
    expected = make_gradcam_heatmap(image, model, layer or None, 1)
    assert np.abs(np.array(json.loads(line[5:])) - expected).max() < 1e-5
