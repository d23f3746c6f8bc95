"""Keras model -> ncnn's two files, for the engine that serves.

ncnn (Tencent, BSD-3-Clause) multiplies less than others for a 3 x 3 convolution (Winograd,
in float32). Its graph is a list of layers in a text file, its weights follow each other in a
binary one (github.com/Tencent/ncnn/wiki/param-and-model-file-structure). Batch normalisation
is folded into the convolution before it; the pooling of class maps to logits is part of the
graph, so an engine needs nothing but the two files.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from brain_cnn.training.network import POOLING_DIRECTION, POOLING_SHARPNESS

_MAGIC = 7767517
_FLOAT32 = np.zeros(1, "<i4").tobytes()  # tag before the weights of a convolution


def export_ncnn(model: keras.Model, param: Path, weights: Path) -> None:
    """Write a network of `brain_cnn.training.network.build_cnn` for ncnn.

    The graph goes from `image` (1, S, S) to `logits` (4,), `class_maps` (4, S/8, S/8) and
    `features` (D,), for one slice: ncnn knows no batches.

    Args:
        model: float32 model of `build_cnn` with a fixed input size.
        param, weights: the `.param` and `.bin` file to write.
    """
    graph = _Graph(model)
    graph.backbone()
    graph.pool_to_logits()
    param.write_text(graph.text(), encoding="ascii")
    weights.write_bytes(b"".join(graph.weights))


class _Graph:
    """Layers and weights, in the order in which ncnn reads them.

    The numbers before `=` are ncnn's names of a layer's parameters (its wiki, "operators").
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.size = int(model.input_shape[1])
        self.lines: list[str] = []
        self.weights: list[bytes] = []
        self.values: list[str] = []

    def text(self) -> str:
        return "\n".join([str(_MAGIC), f"{len(self.lines)} {len(self.values)}", *self.lines, ""])

    def layer(self, kind: str, inputs: list[str], outputs: list[str], numbers: str = "") -> str:
        """Add a layer, named like its first output; return that."""
        head = [kind, outputs[0], str(len(inputs)), str(len(outputs)), *inputs, *outputs, numbers]
        self.lines.append(" ".join(head).rstrip())
        self.values += outputs
        return outputs[0]

    def backbone(self) -> None:
        """Add everything from the image to features and class maps."""
        x = self.layer("Input", [], ["image"], f"0={self.size} 1={self.size} 2=1")
        x = self.halved(self.convolved(1, x))
        x = self.halved(self.residual(3, self.convolved(2, x)))
        fine, below = self.twice(self.residual(5, self.convolved(4, x)))
        x = self.residual(7, self.convolved(6, self.halved(below)))
        x = self.layer("Interp", [self.convolved(8, x)], ["coarse"], "0=2 1=2.0 2=2.0")
        x = self.layer("BinaryOp", [fine, x], ["fine_and_coarse"], "0=0")
        cells, mean = self.twice(self.convolved(9, x))
        self.layer("Pooling", [mean], ["features"], "0=1 4=1")
        kernel = self.model.get_layer("class_maps").get_weights()[0].T  # (4, D)
        maps = self.mapped(cells, kernel, "maps")
        self.layer("Split", [maps], ["class_maps", "maps_to_pool"])

    def pool_to_logits(self) -> None:
        """Add log-mean-exp of the class maps along their direction, then scale and bias."""
        direction = np.array(POOLING_DIRECTION, np.float32)
        sharp = np.float32(POOLING_SHARPNESS)
        x, again = self.twice(self.mapped("maps_to_pool", np.diag(direction * sharp), "directed"))
        peak, peak_again = self.twice(self.over_places(x, 4, "peak"))
        x = self.layer("BinaryOp", [again, peak], ["below_peak"], "0=1")
        x = self.layer("UnaryOp", [x], ["exp"], "0=7")
        x = self.layer("UnaryOp", [self.over_places(x, 3, "mean_exp")], ["log"], "0=8")
        x = self.layer("BinaryOp", [x, peak_again], ["pooled"], "0=0")
        self.layer("Scale", [self.layer("Flatten", [x], ["pooled_row"])], ["logits"], "0=4 1=1")
        scale, bias = self.model.get_layer("logits").get_weights()
        self.store(scale * direction / sharp, bias)

    def convolved(self, number: int, x: str, relu: bool = True) -> str:
        """Add a convolution with what follows it: batch normalisation, and ReLU where wanted."""
        layer = self.model.get_layer(f"conv2d_{number}")
        norm = self.model.get_layer(f"batch_normalization_{number}")
        gamma, beta, mean, variance = norm.get_weights()
        factor = gamma / np.sqrt(variance + norm.epsilon)
        kernel = (layer.get_weights()[0] * factor).transpose(3, 2, 0, 1)  # out, in, row, column
        side, step = kernel.shape[-1], layer.strides[0]
        # Keras' "same": what does not divide evenly goes to the right and below.
        padding = side - step if step > 1 else side - 1
        near, far = padding // 2, padding - padding // 2
        self.weights.append(_FLOAT32)
        self.store(kernel, beta - mean * factor)
        return self.layer(
            "Convolution", [x], [f"conv2d_{number}"],
            f"0={len(kernel)} 1={side} 3={step} 4={near} 14={near} 15={far} 16={far} 5=1 "
            f"6={kernel.size} 9={int(relu)}",
        )  # fmt: skip

    def residual(self, number: int, x: str) -> str:
        x, kept = self.twice(x)
        y = self.convolved(number, x, relu=False)
        y = self.layer("BinaryOp", [y, kept], [f"residual_{number}"], "0=0")
        return self.layer("ReLU", [y], [f"relu_{number}"])

    def halved(self, x: str) -> str:
        return self.layer("Pooling", [x], [f"{x}_halved"], "0=0 1=2 2=2 5=1")

    def twice(self, x: str) -> tuple[str, str]:
        """A value is used once in ncnn: give it two names."""
        self.layer("Split", [x], [f"{x}_a", f"{x}_b"])
        return f"{x}_a", f"{x}_b"

    def mapped(self, x: str, kernel: NDArray[np.float32], name: str) -> str:
        """Add a linear map of each place, (out, in) without bias."""
        self.weights.append(_FLOAT32)
        self.store(kernel)
        return self.layer(
            "Convolution", [x], [name], f"0={len(kernel)} 1=1 5=0 6={kernel.size}"
        )  # fmt: skip

    def over_places(self, x: str, operation: int, name: str) -> str:
        """Add the mean (3) or the maximum (4) over rows and columns, (4, 1, 1)."""
        return self.layer("Reduction", [x], [name], f"0={operation} 1=0 -23303=2,1,2 4=1 5=1")

    def store(self, *arrays: NDArray[np.floating]) -> None:
        self.weights += [np.ascontiguousarray(array, "<f4").tobytes() for array in arrays]
