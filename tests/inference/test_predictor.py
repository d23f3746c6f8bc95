"""Promises of the predictor: every slice once, in order, whatever the size of a batch."""

import numpy as np
import pytest

from brain_cnn.inference.output import EngineOutput
from brain_cnn.inference.predictor import Predictor, keras_network, prepare_slices
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom

SIZE = 32


class Counting:
    """A network that says how bright a slice is, and remembers the batches."""

    def __init__(self):
        self.batches = []

    def __call__(self, tensors):
        assert tensors.dtype == np.float32 and tensors.shape[1:] == (SIZE, SIZE, 1)
        self.batches.append(len(tensors))
        bright = tensors.mean(axis=(1, 2, 3))
        return EngineOutput(
            np.repeat(bright[:, None], 4, axis=1),
            np.ones((len(tensors), 4, 4, 4), np.float32) * bright[:, None, None, None],
            bright[:, None],
        )


@pytest.fixture(scope="module")
def slices():
    return [draw_phantom(LABELS[i % 4], i)[: 120 + i] for i in range(11)]


@pytest.mark.parametrize("batch", [1, 4, 11, 64])
def test_every_slice_is_asked_once_and_answered_in_its_place(slices, batch):
    network = Counting()
    tensors = prepare_slices(slices, SIZE)
    output = Predictor(network, SIZE, batch).predict(tensors)
    assert sum(network.batches) == 11 and max(network.batches) <= batch
    np.testing.assert_allclose(output.features[:, 0], tensors.mean(axis=(1, 2, 3)), rtol=1e-6)
    assert output.logits.shape == (11, 4) and output.class_maps.shape == (11, 4, 4, 4)


def test_slices_are_prepared_as_served_ones(slices):
    whole = Predictor(Counting(), SIZE, 4).predict(prepare_slices(slices, SIZE))
    one_by_one = Predictor(Counting(), SIZE, 4).predict_slices(iter(slices))
    batches = list(Predictor(Counting(), SIZE, 4).batches(slices))
    served = np.concatenate([batch.output.logits for batch in batches])
    np.testing.assert_array_equal(whole.logits, one_by_one.logits)
    np.testing.assert_array_equal(whole.logits, served)
    prepared = [one for batch in batches for one in batch.prepared]
    assert [one.pixels_shape for one in prepared] == [pixels.shape for pixels in slices]


class OnlyLogits:
    """A Keras model as far as a predictor sees it: the baseline has no class maps."""

    def __init__(self):
        self.shapes = []

    def predict_on_batch(self, tensors):
        self.shapes.append(tensors.shape)
        return {"logits": tensors.sum(axis=(1, 2, 3))[:, None] * np.ones((1, 4), np.float32)}


def test_several_devices_get_equal_shares_and_no_answer_is_made_up(slices):
    model, alone = OnlyLogits(), OnlyLogits()
    tensors = prepare_slices(slices, SIZE)
    shared = Predictor(keras_network(model, devices=4), SIZE, 8).predict(tensors)
    assert all(shape[0] % 4 == 0 for shape in model.shapes)
    plain = Predictor(keras_network(alone), SIZE, 8).predict(tensors)
    np.testing.assert_array_equal(shared.logits, plain.logits)
    assert shared.class_maps.shape == (11, 0, 0, 4) and shared.features.shape == (11, 0)
