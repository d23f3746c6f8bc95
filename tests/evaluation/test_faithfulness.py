"""Promises of the tests of explanations: a true map passes them, a false one does not."""

import keras
import numpy as np
import pytest

from brain_cnn.dataset.batches import prepare_all
from brain_cnn.evaluation.faithfulness import (
    STEPS,
    area_under,
    deletion_insertion,
    map_similarity,
    randomise_weights,
    summarise_curves,
    summarise_sanity,
    tumour_removed,
)
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom_with_mask

GLIOMA, NOTUMOR = LABELS.index("glioma"), LABELS.index("notumor")


def spot(tensors: np.ndarray) -> np.ndarray:
    """Say glioma as far as there is contrast in one small square: the truth is known."""
    square = tensors[:, 40:56, 24:40, 0]
    share = np.clip(square.std(axis=(1, 2)) * 4, 0, 1)
    result = np.zeros((len(tensors), 4))
    result[:, GLIOMA], result[:, NOTUMOR] = share, 1 - share
    return result


@pytest.fixture
def tensor() -> np.ndarray:
    return np.random.default_rng(0).random((80, 80, 1), dtype=np.float32)


def heat_at(rows: slice, columns: slice) -> np.ndarray:
    heat = np.zeros((10, 10), np.float32)
    heat[rows, columns] = 1.0
    return heat


TRUE, FALSE = heat_at(slice(5, 7), slice(3, 5)), heat_at(slice(0, 2), slice(8, 10))


def test_a_true_map_deletes_sooner_and_inserts_sooner_than_random(tensor: np.ndarray) -> None:
    curves = [
        deletion_insertion(tensor, TRUE, GLIOMA, spot, np.random.default_rng(s)) for s in range(5)
    ]
    summary = summarise_curves(curves, [0, 0, 1, 2, 3])
    assert summary["n"] == 5 and summary["groups"] == 4
    assert summary["deletion_gain"]["low"] > 0.15
    assert summary["insertion_gain"]["low"] > 0.15
    assert len(summary["curves"]["deletion"]) == STEPS + 1


def test_a_false_map_gains_nothing(tensor: np.ndarray) -> None:
    curves = [
        deletion_insertion(tensor, FALSE, GLIOMA, spot, np.random.default_rng(s)) for s in range(8)
    ]
    summary = summarise_curves(curves, None)
    assert summary["deletion_gain"]["value"] < 0.1
    assert summary["insertion_gain"]["value"] < 0.1


def test_curves_start_and_end_at_the_whole_and_the_blurred_picture(tensor: np.ndarray) -> None:
    curves = deletion_insertion(tensor, TRUE, GLIOMA, spot, np.random.default_rng(0))
    whole = spot(tensor[None])[0, GLIOMA]
    for down, up in ((curves.deletion, curves.insertion), curves[2:]):
        assert down[0] == pytest.approx(whole) and up[-1] == pytest.approx(whole)
        assert down[-1] == pytest.approx(up[0])
    assert area_under(np.array([1.0, 0.0])) == 0.5


def test_similarity_is_of_ranks_and_of_a_flat_map_none() -> None:
    one = np.arange(12.0).reshape(3, 4)
    assert map_similarity(one, one**3) == pytest.approx(1.0)
    assert map_similarity(one, -one) == pytest.approx(-1.0)
    assert map_similarity(one, np.zeros((3, 4))) == 0.0


def test_random_weights_are_no_longer_those_that_were_learned() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, name="dense")])
    old = [np.array(v) for v in model.trainable_variables]
    randomise_weights(model, seed=1)
    kernel, bias = model.trainable_variables
    assert abs(np.corrcoef(np.asarray(kernel).ravel(), old[0].ravel())[0, 1]) < 0.7
    assert np.array_equal(np.asarray(bias), old[1])


def test_sanity_compares_with_what_noise_does() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.random((6, 6)) for _ in range(9)]
    noisy = [m + 0.01 * rng.random((6, 6)) for m in maps]
    summary = summarise_sanity(maps, noisy, [rng.random((6, 6)) for _ in range(9)], None)
    assert summary["similarity_noise"]["low"] > summary["similarity_randomised"]["high"]


def test_removing_the_tumour_does_what_a_sham_does_not() -> None:
    pairs = [draw_phantom_with_mask("meningioma", seed) for seed in range(8)]
    data = prepare_all([p for p, _ in pairs], ["meningioma"] * 8, [m for _, m in pairs], 160)
    assert data.masks is not None
    tensors = [image.astype(np.float32)[..., None] / 255 for image in data.images]

    def bright(batch: np.ndarray) -> np.ndarray:
        """Say meningioma as far as the place of the drawn tumour of this slice is bright."""
        first = batch[0]
        number = next(i for i, t in enumerate(tensors) if np.allclose(t, first, atol=1 / 255))
        mask = data.masks[number] > 0  # type: ignore[index]
        share = np.clip(batch[:, mask, 0].mean(axis=1), 0, 1)
        result = np.zeros((len(batch), 4))
        result[:, LABELS.index("meningioma")], result[:, NOTUMOR] = share, 1 - share
        return result

    label = LABELS.index("meningioma")
    summary = tumour_removed(tensors, list(data.masks), [label] * 8, bright, list(range(8)))
    assert summary["n"] >= 4 and summary["n"] + summary["not_editable"] == 8
    assert summary["fell"]["value"] == 1.0 and summary["more_than_sham"]["value"] == 1.0
    assert summary["drop"]["low"] > 0.1
    assert abs(summary["sham_drop"]["value"]) < 0.01
    assert summary["tumour_drop"]["value"] == pytest.approx(summary["drop"]["value"], abs=1e-6)
