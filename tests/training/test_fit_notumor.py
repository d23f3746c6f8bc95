"""The bias of `notumor`: fitted on other sources, and part of the weights."""

import numpy as np
import pytest

from brain_cnn.labels import LABELS, NOTUMOR, label_index
from brain_cnn.training.fit_notumor import choose_shift, shift_notumor
from brain_cnn.training.network import build_cnn

NONE = label_index(NOTUMOR)


def judged(shift, count=400):
    """Return logits that are right once the logit of `notumor` is raised by `shift`."""
    rng = np.random.default_rng(1)
    labels = np.arange(count) % 4
    logits = 2.0 * np.eye(4)[labels] + rng.normal(0, 0.4, (count, 4))
    logits[:, NONE] -= shift
    return logits, labels


@pytest.mark.parametrize("shift", [-1.5, 0.5])
def test_a_bias_is_found(shift):
    assert choose_shift([judged(shift)]) == pytest.approx(shift, abs=0.6)


def test_every_source_counts_the_same():
    many, few = judged(-1.0, 4000), judged(0.0, 40)
    both = choose_shift([many, few])
    assert choose_shift([many]) <= both <= choose_shift([few])


def test_nothing_is_shifted_without_need():
    labels = np.arange(40) % 4
    assert choose_shift([(9.0 * np.eye(4)[labels], labels)]) == 0.0


def test_shift_moves_the_logit_of_notumor_alone():
    model = build_cnn(32)
    image = np.random.default_rng(0).random((2, 32, 32, 1)).astype(np.float32)
    before = np.asarray(model.predict_on_batch(image)["logits"])
    shift_notumor(model, -1.5)
    after = np.asarray(model.predict_on_batch(image)["logits"])
    moved = np.zeros(len(LABELS))
    moved[NONE] = -1.5
    assert np.allclose(after - before, moved, atol=1e-5)
