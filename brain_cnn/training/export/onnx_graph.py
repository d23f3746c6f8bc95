"""Tidy an exported graph: the same sums, without the shape arithmetic around them.

tf2onnx writes a linear map over the last axis, and one factor per class, as general tensor
products: reshape, multiply, reshape, with two dozen small nodes that compute the shapes (one of
them, an Unsqueeze of no axes, OpenVINO cannot read). ONNX's own MatMul and Mul take the
tensors as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def optimise_onnx(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return `proto` with plain products for `class_maps` and `logits`, unused nodes removed.

    A graph without the shapes looked for comes back as it was. The file is compared with the
    Keras model all the same (`brain_cnn.training.export.engine_files.verify_onnx`).
    """
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graph = _Graph(result.graph)
    graph.plain_class_maps()
    graph.plain_logits()
    graph.drop_unused()
    onnx.checker.check_model(result)
    return result


class _Graph:
    """A graph with its nodes by output and its constants by name."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        from onnx import numpy_helper

        self.graph = graph
        self.makers = {name: node for node in graph.node for name in node.output}
        self.constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}

    def plain_class_maps(self) -> None:
        """(N, h, w, C) -> reshape, x (C, 4), reshape: MatMul takes the four axes itself."""
        path = self._path("class_maps", "Reshape", "MatMul", "Reshape")
        if path is None:
            return
        last, product, first = path
        weights = self.constants.get(product.input[1])
        if weights is not None and weights.ndim == 2:
            _replace(last, "MatMul", [first.input[0], product.input[1]])

    def plain_logits(self) -> None:
        """(N, 4) -> one product for each class, + bias: Mul takes the row of factors."""
        chain = ("Add", "Transpose", "Reshape", "MatMul", "Reshape", "Transpose", "Unsqueeze")
        path = self._path("logits", *chain)
        if path is None:
            return
        from onnx import numpy_helper

        factors = self.constants.get(path[3].input[1])
        biases = self.constants.get(path[0].input[1])
        if factors is None or biases is None or factors.size != biases.size:
            return
        name = "logit_factors"
        row = np.ascontiguousarray(factors.reshape(1, -1))
        self.graph.initializer.append(numpy_helper.from_array(row, name))
        _replace(path[1], "Mul", [path[-1].input[0], name])

    def drop_unused(self) -> None:
        """Remove the nodes and constants that no output needs any more."""
        needed = {value.name for value in self.graph.output}
        nodes = []
        for node in reversed(self.graph.node):  # each comes after those that it needs
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(node.input)
        nodes.reverse()
        constants = [c for c in self.graph.initializer if c.name in needed]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(constants)

    def _path(self, name: str, *operators: str) -> list[onnx.NodeProto] | None:
        """Return the nodes that end in the tensor `name`, by first inputs; None if others."""
        nodes = []
        for operator in operators:
            node = self.makers.get(name)
            if node is None or node.op_type != operator:
                return None
            nodes.append(node)
            name = node.input[0]
        return nodes


def _replace(node: onnx.NodeProto, operator: str, inputs: list[str]) -> None:
    """Make `node` another operator with the same output."""
    node.op_type = operator
    del node.input[:], node.attribute[:]
    node.input.extend(inputs)
