"""The tidied graph gives exactly what the exported one gives, with fewer nodes."""

import numpy as np
import onnx
import onnxruntime

from brain_cnn.inference.bundle import SHIPPED_BUNDLE
from brain_cnn.training.export.onnx_graph import optimise_onnx


def test_the_tidied_graph_gives_the_same_bits_and_holds_no_shape_arithmetic():
    exported = onnx.load(SHIPPED_BUNDLE / "brain_cnn.onnx")
    tidied = optimise_onnx(exported)
    assert not {"Shape", "Gather", "Cast", "Unsqueeze"} & {n.op_type for n in tidied.graph.node}
    images = np.random.default_rng(0).random((5, 160, 160, 1), np.float32)
    outputs = [
        onnxruntime.InferenceSession(model.SerializeToString()).run(
            ["logits", "class_maps", "features"], {"image": images}
        )
        for model in (exported, tidied)
    ]
    for before, after in zip(*outputs, strict=True):
        assert before.shape == after.shape and np.abs(before - after).max() < 1e-6


def test_a_graph_of_another_kind_comes_back_as_it_was():
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Relu", ["image"], ["logits"])
    graph = onnx.helper.make_graph(
        [node], "other", [value("image", 1, [1, 4])], [value("logits", 1, [1, 4])]
    )
    model = onnx.helper.make_model(graph)
    assert optimise_onnx(model) == model
