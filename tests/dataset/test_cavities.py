"""Promises of the laid cavities: dark, smooth, beside the tumour, and no label changes."""

import cv2
import numpy as np
import pytest

from brain_cnn.dataset.augment import AugmentSettings, augment
from brain_cnn.dataset.batches import BatchPlan, prepare_all, training_batches
from brain_cnn.dataset.blending import find_head
from brain_cnn.dataset.cavities import lay_cavity
from brain_cnn.errors import SettingsError
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom_with_mask
from brain_cnn.training.settings import TrainSettings


@pytest.fixture(scope="module")
def data():
    """Return three drawn heads a class, the tumours with their masks."""
    pairs = [(label, draw_phantom_with_mask(label, seed)) for label in LABELS for seed in range(3)]
    return prepare_all(
        [image for _, (image, _) in pairs], [label for label, _ in pairs],
        [mask for _, (_, mask) in pairs], 160,
    )  # fmt: skip


def test_a_cavity_is_dark_lies_in_the_head_and_spares_the_tumour(data):
    laid = 0
    for place, label in enumerate(data.labels):
        image = data.images[place]
        mask = data.masks[place] if LABELS[label] != "notumor" else None
        head = find_head(image)
        assert head is not None
        for seed in range(6):
            result = lay_cavity(image, mask, np.random.default_rng(seed))
            changed = result != image
            if not changed.any():
                continue
            laid += 1
            assert not changed[head.depth == 0].any(), "air and skull stay"
            if mask is not None:
                assert not changed[mask > 127].any(), "the tumour stays"
            deep = cv2.erode(changed.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            difference = result.astype(int) - image
            assert difference[deep].mean() < 0, "darker than the brain that was there"
    assert laid > 40


def test_a_picture_without_a_head_comes_back_as_it_is():
    speck = np.zeros((160, 160), np.uint8)
    speck[70:80, 70:80] = 200
    for image in (np.zeros((160, 160), np.uint8), speck):
        assert np.array_equal(lay_cavity(image, None, np.random.default_rng(0)), image)


def _plan(count, share):
    still = AugmentSettings(**dict.fromkeys(AugmentSettings.__dataclass_fields__, 0.0))
    return BatchPlan(160, count, (0, 0), still, cavity_share=share)


def test_labels_and_targets_stay_where_cavities_are_laid(data):
    order = np.arange(len(data.labels))
    batches = {
        share: next(training_batches(data, order, _plan(len(order), share))) for share in (0.0, 1.0)
    }
    for place in (1, 2):  # labels, map targets
        assert np.array_equal(batches[0.0][place], batches[1.0][place])
    changed = (batches[0.0][0] != batches[1.0][0]).any(axis=(1, 2, 3))
    assert changed.sum() >= len(order) - 3


def test_a_tumour_whose_place_is_unknown_gets_no_cavity(data):
    from dataclasses import replace

    unknown = replace(data, has_mask=np.zeros_like(data.has_mask))
    order = np.flatnonzero(data.labels == LABELS.index("glioma"))
    pictures = [
        next(training_batches(unknown, order, _plan(len(order), share)))[0] for share in (0.0, 1.0)
    ]
    assert np.array_equal(*pictures)


def test_share_outside_its_range_is_refused():
    with pytest.raises(SettingsError, match=r"cavity_share is 1\.5"):
        TrainSettings(cavity_share=1.5)


def test_local_contrast_moves_tissues_apart_or_together_and_nothing_else(data):
    image = data.images[0]
    only = AugmentSettings(
        **(dict.fromkeys(AugmentSettings.__dataclass_fields__, 0.0) | {"local_contrast": 1.0})
    )
    plain = AugmentSettings(**dict.fromkeys(AugmentSettings.__dataclass_fields__, 0.0))
    head = find_head(image)
    assert head is not None
    spreads = []
    for seed in range(12):
        changed, _ = augment(image, None, 160, np.random.default_rng(seed), only)
        assert changed.dtype == np.float32 and changed.min() >= 0 and changed.max() <= 1
        # Relative: the picture is also made brighter or darker as a whole.
        spreads.append(changed[head.brain].std() / changed[head.brain].mean())
    still, _ = augment(image, None, 160, np.random.default_rng(0), plain)
    spread = still[head.brain].std() / still[head.brain].mean()
    assert min(spreads) < 0.8 * spread and max(spreads) > 1.2 * spread
