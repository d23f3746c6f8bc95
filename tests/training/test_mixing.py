"""What an epoch is drawn from: the shares that the settings name, and the real slices first."""

from pathlib import Path

import numpy as np
import pytest

from brain_cnn.dataset.batches import PreparedData, draw_epoch
from brain_cnn.errors import SettingsError
from brain_cnn.training.mixing import Mixture, Part, build_mixture, pick
from brain_cnn.training.settings import TrainSettings


@pytest.fixture
def data():
    labels = np.arange(40) % 4
    images = np.zeros((40, 32, 32), np.uint8)
    return PreparedData(images, labels, None, np.zeros(40, bool))


def test_shares_of_an_epoch(data):
    parts = [Part(np.arange(20), 0.5, 0.6), Part(np.arange(20, 40), 0.3, 0.0)]
    parts.append(Part(np.arange(30, 40), 0.2, 0.0))
    order = Mixture(data, parts).draw(200, np.random.default_rng(0))
    assert len(order) == 200
    assert (order < 20).sum() == 100
    assert (order >= 30).sum() >= 40


def test_no_shares_need_no_files(data, tmp_path):
    mixture = build_mixture(data, np.arange(24), TrainSettings(), None, None, tmp_path)
    assert mixture.data is data
    drawn = mixture.draw(50, np.random.default_rng(3))
    same = draw_epoch(data, np.arange(24), 50, 0.6, np.random.default_rng(3))
    assert np.array_equal(drawn, same)


@pytest.mark.parametrize(
    ("name", "option"), [("synthetic_share", "labels"), ("normal_share", "normals")]
)
def test_share_of_what_is_not_given_is_refused(data, name, option):
    settings = TrainSettings(**{name: 0.3})
    with pytest.raises(SettingsError, match=option):
        build_mixture(data, np.arange(24), settings, None, None, Path("unused"))


def test_shares_leave_something_for_the_real_slices():
    with pytest.raises(SettingsError, match="synthetic_share"):
        TrainSettings(synthetic_share=0.7, normal_share=0.3)


def test_tumours_without_masks_are_not_laid_in(data):
    with pytest.raises(SettingsError, match="masks"):
        pick(data, np.arange(4))
