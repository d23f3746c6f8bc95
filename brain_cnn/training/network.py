"""The two networks, built from scratch: ours, and the plain baseline of such projects.

Both are flat functional Keras 3 models of built-in layers and `keras.ops`, so that
`keras.models.load_model` opens a saved one without this package, on any backend.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from brain_cnn.labels import LABELS, NOTUMOR

# Sharpness of the log-sum-exp pooling before its logits are scaled: 1 lies between the
# plain average (0) and the maximum (infinity). A tumour may fill one cell in a hundred, and
# an average would drown it.
POOLING_SHARPNESS = 1.0
# A head has a tumour where one place looks like it, and has none where every place looks
# healthy: the map of `notumor` is pooled towards its lowest place. Pooled towards its highest,
# it separated scanners, not heads (see docs/experiments.md, row 6).
POOLING_DIRECTION = [-1.0 if label == NOTUMOR else 1.0 for label in LABELS]
# Logit of `notumor` before its map shows anything: the best on val with the tumours' of row 1.
_NOTUMOR_BIAS = -1.5


def build_cnn(
    size: int | None = 160,
    *,
    widths: tuple[int, int, int, int] = (32, 64, 128, 224),
    dropout: float = 0.3,
) -> keras.Model:
    """Build our network: local evidence first, then one number a class.

    Convolutions bring the slice to a grid of size/8 cells; a coarser branch (size/16) sees
    the whole head and is added back, so that a cell knows both its detail and its place.
    One bias-free linear map turns each cell's features into four class values (the class
    maps); log-sum-exp pools them, so that the weights of the cells sum to 1 and the
    Grad-CAM of a class is its map itself (see DESIGN of the explanations in
    `brain_cnn.explain.gradcam`). `brain_cnn.training.export.ncnn_graph` repeats the layers
    one by one for ncnn: a change here needs the same there.

    Args:
        size: side of the input in pixels, a multiple of 16; None leaves it open.
        widths: channels at 1/2, 1/4, 1/8 and 1/16 of the input's side.
        dropout: share of the feature map's channels dropped while training.

    Returns:
        A model from `image` float32 (N, S, S, 1) in 0..1 to a dict: `logits` (N, 4),
        `class_maps` (N, S/8, S/8, 4), `features` (N, widths[2]).
    """
    image = keras.Input((size, size, 1), name="image")
    stem, quarter, eighth, sixteenth = widths
    block = _Blocks()
    x = block.convolve(image, stem, kernel=5, strides=2)  # (S/2, S/2, stem)
    x = layers.MaxPooling2D(name="max_pooling2d_1")(x)  # (S/4, S/4, stem)
    x = block.convolve(x, quarter)
    x = block.residual(x, quarter)
    x = layers.MaxPooling2D(name="max_pooling2d_2")(x)  # (S/8, S/8, quarter)
    x = block.convolve(x, eighth)
    fine = block.residual(x, eighth)
    x = layers.MaxPooling2D(name="max_pooling2d_3")(fine)  # (S/16, S/16, eighth)
    x = block.convolve(x, sixteenth)
    x = block.residual(x, sixteenth)
    x = block.convolve(x, eighth, kernel=1)
    x = layers.UpSampling2D(interpolation="bilinear", name="up_sampling2d")(x)
    x = layers.Add(name="fine_and_coarse")([fine, x])
    x = block.convolve(x, eighth)  # (S/8, S/8, eighth): the feature map F
    features = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.SpatialDropout2D(dropout, name="dropout")(x)
    maps = layers.Dense(len(LABELS), use_bias=False, name="class_maps", dtype="float32")(x)
    logits = _pool_to_logits(maps)
    return keras.Model(
        image, {"logits": logits, "class_maps": maps, "features": features}, name="brain_cnn"
    )


def _pool_to_logits(maps: keras.KerasTensor) -> keras.KerasTensor:
    """Pool float32 (N, h, w, 4) to logits (N, 4): log-mean-exp, then scale and bias.

    `notumor` is pooled the other way round, as -log-mean-exp of -map: a soft minimum. The
    scale is kept positive, so that it cannot turn a map's sign: the derivative of a logit by
    its map stays positive everywhere and sums to the scale.
    """
    # As an array: a tensor would be an input of the graph that is exported.
    direction = np.array(POOLING_DIRECTION, np.float32)
    maps = maps * direction
    peak = ops.max(maps, axis=(1, 2), keepdims=True)  # subtracted first: exp cannot overflow
    mean = ops.mean(ops.exp((maps - peak) * POOLING_SHARPNESS), axis=(1, 2), keepdims=True)
    pooled = (peak + ops.log(mean) / POOLING_SHARPNESS) * direction
    pooled = layers.Reshape((len(LABELS),), name="pooled")(pooled)
    return layers.EinsumDense(
        "bc,c->bc",
        output_shape=(len(LABELS),),
        bias_axes="c",
        kernel_initializer="ones",
        kernel_constraint="non_neg",
        name="logits",
        dtype="float32",
    )(pooled)


class _Blocks:
    """Numbers the layers as it adds them: conv2d_1, batch_normalization_1, ..."""

    def __init__(self) -> None:
        self.count = 0

    def convolve(
        self, x: keras.KerasTensor, width: int, *, kernel: int = 3, strides: int = 1
    ) -> keras.KerasTensor:
        """Convolution, batch normalisation, ReLU."""
        return layers.ReLU(name=f"relu_{self.count + 1}")(self._convolve(x, width, kernel, strides))

    def residual(self, x: keras.KerasTensor, width: int) -> keras.KerasTensor:
        """A convolution whose result is added to its input (same width), then ReLU."""
        y = self._convolve(x, width, 3, 1)
        y = layers.Add(name=f"residual_{self.count}")([x, y])
        return layers.ReLU(name=f"relu_{self.count}")(y)

    def _convolve(
        self, x: keras.KerasTensor, width: int, kernel: int, strides: int
    ) -> keras.KerasTensor:
        self.count += 1
        x = layers.Conv2D(
            width,
            kernel,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv2d_{self.count}",
        )(x)
        # 0.9: the statistics follow within a few dozen steps, as short trainings need.
        return layers.BatchNormalization(momentum=0.9, name=f"batch_normalization_{self.count}")(x)


def forget_notumor(model: keras.Model) -> None:
    """Set the map of `notumor` to 0 and its logit to what a head without evidence should have.

    For networks that were trained when that map was pooled towards its highest place: it tells
    their scanners apart, and would be learned from.
    """
    none = LABELS.index(NOTUMOR)
    maps, logits = model.get_layer("class_maps"), model.get_layer("logits")
    (kernel,) = maps.get_weights()
    scale, bias = logits.get_weights()
    kernel[:, none], scale[none], bias[none] = 0.0, 1.0, _NOTUMOR_BIAS
    maps.set_weights([kernel])
    logits.set_weights([scale, bias])


def build_baseline(size: int = 160) -> keras.Model:
    """Build the plain two-convolution network that such projects usually start from.

    Args:
        size: side of the input in pixels.

    Returns:
        A model from `image` float32 (N, S, S, 1) in 0..1 to a dict with `logits` (N, 4).
    """
    image = keras.Input((size, size, 1), name="image")
    x = layers.Conv2D(32, 3, activation="relu", name="conv2d")(image)
    x = layers.MaxPooling2D(name="max_pooling2d")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2d_1")(x)
    x = layers.MaxPooling2D(name="max_pooling2d_1")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="dense")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    logits = layers.Dense(len(LABELS), name="logits")(x)
    return keras.Model(image, {"logits": logits}, name="baseline_cnn")
