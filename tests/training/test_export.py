"""A bundle is not written when an engine gives something else than the model."""

import numpy as np
import pytest

from brain_cnn.errors import BundleError

pytest.importorskip("tensorflow")

from brain_cnn.training.export import engine_files as export

TENSORS = np.random.default_rng(0).random((export.MIN_IMAGES, 8, 8, 1), np.float32)
WIDTHS = {"logits": (4,), "class_maps": (3, 3, 4), "features": (16,)}


def network(batch, training=False):
    middle = batch.mean(axis=(1, 2, 3))
    return {
        name: np.multiply.outer(middle, np.arange(1, 1 + np.prod(shape)).reshape(shape))
        for name, shape in WIDTHS.items()
    }


def engine(batch, **wrong):
    return [out * wrong.get(name, 1.0) for name, out in network(batch).items()]


def test_same_answers_pass_and_how_near_they_are_is_returned():
    assert export.verify("X", network, engine, TENSORS) == 0.0
    apart = export.verify("X", network, lambda b: engine(b, features=1.0005), TENSORS)
    assert 4e-4 < apart < 6e-4


@pytest.mark.parametrize("output", export.OUTPUTS)
@pytest.mark.parametrize("factor", [1.01, np.nan])
def test_each_output_is_compared(output, factor):
    with pytest.raises(BundleError, match=f"X and Keras differ .* in {output}"):
        export.verify("X", network, lambda batch: engine(batch, **{output: factor}), TENSORS)


def test_too_few_slices_prove_nothing():
    with pytest.raises(BundleError, match="too few"):
        export.verify("X", network, engine, TENSORS[:10])
