"""Promises of the edited pictures: the tumour moves, everything else stays."""

import cv2
import numpy as np
import pytest

from brain_cnn.dataset import edits
from brain_cnn.dataset.augment import AugmentSettings, augment
from brain_cnn.dataset.batches import BatchPlan, PreparedData, prepare_all, training_batches
from brain_cnn.dataset.blending import find_head
from brain_cnn.errors import SettingsError
from brain_cnn.labels import LABELS, TUMOUR_LABELS
from brain_cnn.phantoms import draw_phantom_with_mask
from brain_cnn.training.settings import TrainSettings


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def data() -> PreparedData:
    """Return six drawn heads a class, the tumours with their masks."""
    pairs = [(label, draw_phantom_with_mask(label, seed)) for label in LABELS for seed in range(6)]
    return prepare_all(
        [image for _, (image, _) in pairs], [label for label, _ in pairs],
        [mask for _, (_, mask) in pairs], 160,
    )  # fmt: skip


def of(data: PreparedData, label: str, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    position = np.flatnonzero(data.labels == LABELS.index(label))[number]
    assert data.masks is not None
    return data.images[position], data.masks[position]


def outside(changed: np.ndarray, mask: np.ndarray, by: int) -> bool:
    """Whether anything changed farther than `by` pixels from the mask."""
    near = cv2.dilate(mask, np.ones((2 * by + 1, 2 * by + 1), np.uint8)) > 0
    return bool(changed[~near].any())


@pytest.mark.parametrize("label", TUMOUR_LABELS)
def test_a_transplanted_tumour_is_seen_where_its_mask_is_and_nothing_else_changes(
    data: PreparedData, label: str
) -> None:
    head, _ = of(data, "notumor")
    results = [edits.transplant(head, *of(data, label, i), label, rng(i)) for i in range(6)]
    done = [result for result in results if result is not None]
    assert len(done) >= 3
    for image, mask in done:
        changed = image != head
        assert changed[mask > 0].mean() > 0.8
        assert not outside(changed, mask, 8)
        found = find_head(head)
        assert found is not None and (found.depth[mask > 0] > 0).all()


def test_a_meningioma_at_the_rim_comes_to_lie_at_the_rim(data: PreparedData) -> None:
    head, _ = of(data, "notumor")
    found = find_head(head)
    assert found is not None
    for number in range(6):
        result = edits.transplant(head, *of(data, "meningioma", number), "meningioma", rng(number))
        if result is not None:
            assert found.depth[result[1] > 0].min() < 0.2 * found.size


def test_an_erased_tumour_is_gone(data: PreparedData) -> None:
    """The drawn tumours are brighter than any brain beside them."""
    done = 0
    for number in range(6):
        image, mask = of(data, "meningioma", number)
        erased = edits.erase(image, mask, rng(number))
        if erased is None:
            continue
        done += 1
        inside = cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0
        ring = (cv2.dilate(mask, np.ones((23, 23), np.uint8)) > 0) & (
            cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0
        )
        before = np.median(image[inside]) - np.median(image[ring])
        after = np.median(erased[inside]) - np.median(image[ring])
        assert before > 40 and abs(after) < 0.5 * before
        assert not outside(erased != image, mask, 14)
    assert done >= 3


def test_a_sham_works_beside_the_tumour_and_never_on_it(data: PreparedData) -> None:
    done = 0
    for number in range(6):
        image, mask = of(data, "glioma", number)
        result = edits.sham(image, mask, rng(number))
        if result is None:
            continue
        done += 1
        assert np.array_equal(result[mask > 0], image[mask > 0])
        assert (result != image).sum() > 30
    assert done >= 3


def test_a_sham_transplant_brings_no_tumour(data: PreparedData) -> None:
    """The drawn meningiomas are far brighter than brain: a true transplant shows it."""
    head, _ = of(data, "notumor")

    def brightening(result: np.ndarray | None) -> list[float]:
        if result is None:
            return []
        changed = np.abs(result.astype(int) - head) > 4
        return [float(np.median(result[changed])) - float(np.median(head[changed]))]

    sham, true = [], []
    for number in range(6):
        donor = of(data, "meningioma", number)
        sham += brightening(edits.sham_transplant(head, *donor, "meningioma", rng(number)))
        pasted = edits.transplant(head, *donor, "meningioma", rng(number))
        true += brightening(None if pasted is None else pasted[0])
    assert len(sham) >= 3 and len(true) >= 3
    assert np.median(np.abs(sham)) < 0.5 * np.median(np.abs(true))


def test_edits_repeat_with_their_seed(data: PreparedData) -> None:
    head, _ = of(data, "notumor")
    donor = of(data, "glioma")
    first, again = (edits.erase(*donor, rng(3)) for _ in range(2))
    assert first is not None and again is not None and np.array_equal(first, again)
    one, two = (edits.transplant(head, *donor, "glioma", rng(3)) for _ in range(2))
    assert one is not None and two is not None
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])


def test_edits_leave_their_inputs_alone_and_refuse_what_is_no_head(data: PreparedData) -> None:
    image, mask = of(data, "glioma")
    kept = image.copy(), mask.copy()
    black = np.zeros_like(image)
    assert edits.transplant(black, image, mask, "glioma", rng()) is None
    assert edits.erase(black, mask, rng()) is None
    assert edits.erase(image, np.zeros_like(mask), rng()) is None
    edits.erase(image, mask, rng())
    edits.transplant(of(data, "notumor")[0], image, mask, "glioma", rng())
    assert np.array_equal(image, kept[0]) and np.array_equal(mask, kept[1])


def batch(data: PreparedData, members: np.ndarray, **more: float) -> tuple[np.ndarray, ...]:
    plan = BatchPlan(96, len(members), (0, 1), AugmentSettings(), **more)
    return next(iter(training_batches(data, members, plan)))


def test_without_edits_the_batches_are_what_they_were(data: PreparedData) -> None:
    members = np.arange(len(data.labels))
    for plain, off in zip(batch(data, members), batch(data, members, edit_share=0.0), strict=True):
        assert np.array_equal(plain, off)


def test_edited_batches_say_the_new_class_and_the_new_place(data: PreparedData) -> None:
    members = np.arange(len(data.labels))
    _, labels, targets = batch(data, members, edit_share=1.0)
    new = labels.argmax(axis=1)
    was_normal = data.labels == LABELS.index("notumor")
    is_normal = new == LABELS.index("notumor")
    assert (was_normal & ~is_normal).any() and (~was_normal & is_normal).any()
    assert (new == data.labels)[~was_normal & ~is_normal].all()  # a sham keeps the class
    for row, label in enumerate(new):
        assert (targets[row, ..., 4] == 1).all()
        tumour = targets[row, ..., :4].max(axis=(0, 1)) > 0
        assert tumour.tolist() == [i == label and not is_normal[row] for i in range(4)]


def test_a_tumour_without_mask_is_never_edited(data: PreparedData) -> None:
    blind = PreparedData(data.images, data.labels, None, np.zeros(len(data.labels), bool))
    members = np.arange(len(data.labels))
    for plain, edited in zip(
        batch(blind, members), batch(blind, members, edit_share=1.0), strict=True
    ):
        assert np.array_equal(plain, edited)


def test_the_share_of_edits_rises_from_nothing() -> None:
    settings = TrainSettings(epochs=10, edit_share=0.2, edit_ramp=0.5)
    shares = [settings.edit_share_of_epoch(epoch) for epoch in range(10)]
    assert shares[0] == 0.0 and shares == sorted(shares)
    assert shares[5:] == [0.2] * 5
    assert TrainSettings().edit_share_of_epoch(80) == 0.0
    with pytest.raises(SettingsError, match=r"1\.5"):
        TrainSettings(edit_share=1.5)


def test_new_augmentations_at_share_0_change_no_picture(data: PreparedData) -> None:
    """The random choices of a run without them must stay those of earlier runs."""
    image, mask = of(data, "glioma")
    source = rng(5)
    augment(image, mask, 96, source, AugmentSettings())
    # Number of draws before these augmentations existed, pinned by the state left behind.
    assert source.random() == pytest.approx(0.8062153310270436, abs=1e-12)


@pytest.mark.parametrize("name", ["elastic", "convolution"])
def test_bending_and_filtering_keep_range_and_mask_on_the_tumour(
    data: PreparedData, name: str
) -> None:
    quiet = dict.fromkeys(vars(AugmentSettings()), 0.0) | {name: 1.0}
    image, mask = of(data, "meningioma")
    for seed in range(8):
        changed, moved = augment(image, mask, 160, rng(seed), AugmentSettings(**quiet))
        assert changed.dtype == np.float32 and changed.min() >= 0.0 and changed.max() <= 1.0
        assert moved is not None and (moved > 0.5).any()
        assert np.abs(changed - image / np.float32(255)).max() > 0.02
        if name == "elastic":
            inside = cv2.erode(moved, np.ones((3, 3))) > 0.9
            near = (cv2.dilate(moved, np.ones((15, 15))) > 0) & (moved < 0.05)
            assert np.median(changed[inside]) > np.median(changed[near]) + 0.15
        else:
            assert changed[:4].mean() < 0.03  # air stays black
