"""Promises of augmentation, batches and the drawn heads."""

import cv2
import numpy as np
import pytest

from brain_cnn.dataset.augment import AugmentSettings, augment, plain
from brain_cnn.dataset.batches import BatchPlan, draw_epoch, prepare_all, training_batches
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom, draw_phantom_with_mask
from brain_cnn.preprocess import prepare


def _data(per_class: dict[str, int]) -> tuple:
    pairs = [
        (label, draw_phantom_with_mask(label, seed))
        for label, count in per_class.items()
        for seed in range(count)
    ]
    images = [image for _, (image, _) in pairs]
    masks = [mask for _, (_, mask) in pairs]
    return prepare_all(images, [label for label, _ in pairs], masks, 96), len(pairs)


def test_same_preprocess_in_train_and_serve() -> None:
    """What the network trains on is what `prepare` gives a served slice, to a grey level."""
    images = [draw_phantom(label) for label in LABELS]
    data = prepare_all(images, list(LABELS), None, 160)
    for position, pixels in enumerate(images):
        served = prepare(pixels, 160).tensor[..., 0]
        assert np.abs(plain(data.images[position], 160) - served).max() <= 0.5 / 255 + 1e-6


def test_masks_stay_on_the_tumour_through_crop_and_augmentation() -> None:
    """The drawn tumour is bright: the moved mask must cover bright pixels of the moved slice."""
    data, count = _data({"meningioma": 8, "pituitary": 8})
    settings = AugmentSettings(curve=0, invert=0, bias_field=0, noise=0, jpeg=0, resolution=0)
    for position in range(count):
        assert data.masks is not None
        image, mask = augment(
            data.images[position], data.masks[position], 96, np.random.default_rng(1), settings
        )
        assert mask is not None
        inside = cv2.erode(mask, np.ones((3, 3))) > 0.9
        near = (cv2.dilate(mask, np.ones((15, 15))) > 0) & (mask < 0.05)
        assert inside.any()
        assert np.median(image[inside]) > np.median(image[near]) + 0.15


def test_augmentation_repeats_with_its_seed_and_stays_in_range() -> None:
    data, _ = _data({"glioma": 1})
    for seed in range(60):
        first, _ = augment(data.images[0], None, 64, np.random.default_rng(seed), AugmentSettings())
        again, _ = augment(data.images[0], None, 64, np.random.default_rng(seed), AugmentSettings())
        assert np.array_equal(first, again)
        assert first.dtype == np.float32 and first.shape == (64, 64)
        assert first.min() >= 0.0 and first.max() <= 1.0


def test_an_epoch_uses_every_image_of_a_class_before_any_twice() -> None:
    data, count = _data({"glioma": 9, "meningioma": 6, "notumor": 3, "pituitary": 6})
    members = np.arange(count)
    order = draw_epoch(data, members, 40, 1.0, np.random.default_rng(0))
    assert len(order) == 40
    per_class = np.bincount(data.labels[order], minlength=4)
    assert per_class.max() - per_class.min() <= 1
    uses = np.bincount(order, minlength=count)
    for label in range(4):
        own = uses[data.labels == label]
        assert own.max() - own.min() <= 1


def test_a_class_without_images_is_not_drawn() -> None:
    data, count = _data({"glioma": 3, "pituitary": 3})
    order = draw_epoch(data, np.arange(count), 10, 0.5, np.random.default_rng(0))
    assert set(data.labels[order]) == {0, 3}


def test_batches_say_where_the_tumour_is_and_where_there_is_none() -> None:
    data, count = _data({"glioma": 4, "notumor": 4})
    (tensors, labels, targets), *rest = training_batches(
        data, np.arange(count), BatchPlan(96, 32, (0, 0), AugmentSettings())
    )
    assert not rest
    assert tensors.shape == (8, 96, 96, 1) and targets.shape == (8, 12, 12, 5)
    assert np.array_equal(labels.argmax(axis=1), data.labels)
    assert (targets[..., 4] == 1).all()  # known everywhere: a mask, or no tumour
    assert (targets[:4, ..., 0].max(axis=(1, 2)) > 0.25).all()
    assert not targets[4:, ..., :4].any()


def test_batches_do_not_claim_to_know_a_tumour_without_mask() -> None:
    data = prepare_all([draw_phantom("glioma")], ["glioma"], [None], 96)
    plan = BatchPlan(96, 1, (0, 0), AugmentSettings())
    (_, _, targets), *_ = training_batches(data, np.arange(1), plan)
    assert not targets.any()


@pytest.mark.parametrize("label", LABELS)
def test_a_drawn_head_is_the_same_for_the_same_seed_only(label: str) -> None:
    assert np.array_equal(draw_phantom(label, 3), draw_phantom(label, 3))
    assert not np.array_equal(draw_phantom(label, 3), draw_phantom(label, 4))
    mask = draw_phantom_with_mask(label, 3)[1]
    assert mask.any() == (label != "notumor")
