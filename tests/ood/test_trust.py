"""Promises of the verdict: confident only where the label would hold elsewhere too."""

import dataclasses

import numpy as np
import pytest

from brain_cnn.dataset.batches import PreparedData, crop_mask
from brain_cnn.inference.calibration import Calibration
from brain_cnn.labels import LABELS, NOTUMOR, label_index
from brain_cnn.ood.mahalanobis import FeatureGate
from brain_cnn.ood.trust import Trust, trust_inputs
from brain_cnn.phantoms import draw_phantom_with_mask
from brain_cnn.preprocess import prepare
from brain_cnn.training.fit_trust import fit_odds, limit_for, shift_sources

LEVELS = np.linspace(0, 1, 201)
# One input whose odds are themselves.
TRUST = Trust(np.zeros(1), np.ones(1), np.array([1.0, 0.0]), 0.7)
CAREFUL = dataclasses.replace(Calibration.identity(), trust=TRUST)


@pytest.mark.parametrize(
    ("familiar", "labels", "trust", "verdict"),
    [
        (True, ("glioma",), 0.7, "confident"),
        (True, ("glioma",), 0.69, "uncertain"),
        (True, ("glioma",), float("nan"), "uncertain"),
        (True, ("glioma", "notumor"), 0.9, "uncertain"),
        (False, ("glioma",), 0.9, "unfamiliar"),
    ],
)
def test_confident_needs_a_familiar_slice_one_label_and_trust(
    familiar, labels, trust, verdict
) -> None:
    assert CAREFUL.verdict(familiar, labels, trust) == verdict


def test_without_a_fitted_trust_the_set_decides_as_before() -> None:
    assert Calibration.identity().verdict(True, ("glioma",), 0.0) == "confident"


def test_trust_is_a_probability_and_nothing_broken_is_trusted() -> None:
    trust = TRUST.of(np.array([[0.0], [100.0], [-100.0], [np.nan]]))
    assert trust[0] == pytest.approx(0.5) and trust[1] > 0.99
    assert trust[2] < 0.01 and trust[3] == 0.0


def test_from_the_limit_on_the_target_share_is_right() -> None:
    rng = np.random.default_rng(0)
    trust = rng.random(4000)
    right = rng.random(4000) < trust
    weights = np.where(np.arange(4000) % 2, 3.0, 1.0)
    limit = limit_for(trust, right, weights, 0.9)
    chosen = trust >= limit
    assert np.average(right[chosen], weights=weights[chosen]) == pytest.approx(0.9, abs=0.005)
    assert limit_for(trust, np.zeros(4000, bool), weights, 0.9) > 1.0, "nobody may be confident"
    assert limit_for(trust[:0], right[:0], weights[:0], 0.9) > 1.0, "nobody is familiar"
    assert limit_for(trust, np.ones(4000, bool), weights, 0.9) == trust.min()


def test_a_label_that_fails_elsewhere_is_not_trusted() -> None:
    """Calls of the second kind are wrong as soon as the source changes."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 400)
    inputs = np.column_stack([kind, rng.normal(size=400)]).astype(float)
    right = np.where(kind == 1, rng.random(400) < 0.1, rng.random(400) < 0.98)
    mean, scale, weights = fit_odds(inputs, right, np.ones(400))
    odds = dataclasses.replace(TRUST, mean=mean, scale=scale, weights=weights).odds(inputs)
    assert odds[kind == 0].min() > odds[kind == 1].max()


def test_a_network_that_is_always_right_can_be_fitted() -> None:
    assert not fit_odds(np.ones((5, 2)), np.ones(5, bool), np.ones(5))[2].any()


def test_a_saved_trust_is_the_one_that_is_loaded(tmp_path) -> None:
    gate = FeatureGate(np.zeros((4, 2)), np.eye(2), LEVELS, 1.0)
    dataclasses.replace(CAREFUL, gate=gate).save(tmp_path)
    loaded = Calibration.load(tmp_path).trust
    assert loaded is not None and loaded.limit == 0.7
    assert np.array_equal(loaded.weights, TRUST.weights)


def test_inputs_are_finite_for_the_surest_answer() -> None:
    logits = np.array([[900.0, -900, -900, -900], [0, 0, 0, 0]])
    inputs = trust_inputs(
        logits, np.zeros((2, 5, 5, 4)), np.zeros((2, 8)), np.ones((2, 4)), np.zeros((2, 3))
    )
    assert np.isfinite(inputs).all()


@pytest.fixture(scope="module")
def prepared() -> PreparedData:
    drawn = [draw_phantom_with_mask(LABELS[i % 4], i) for i in range(24)]
    ready = [prepare(image, 96) for image, _ in drawn]
    masks = np.stack([crop_mask(m, p.box, 96) for (_, m), p in zip(drawn, ready, strict=True)])
    images = np.stack([np.rint(p.tensor[..., 0] * 255).astype(np.uint8) for p in ready])
    return PreparedData(images, np.arange(24) % 4, masks, masks.any(axis=(1, 2)))


def test_other_sources_hold_tumours_in_heads_of_the_normals(prepared) -> None:
    shifted = shift_sources(prepared, np.arange(24))
    assert shifted.tensors.dtype == np.float32 and shifted.tensors.shape[1:] == (96, 96, 1)
    assert shifted.tensors.min() >= 0 and shifted.tensors.max() <= 1
    grafted = shifted.weights > 1
    assert grafted.sum() >= 20
    assert label_index(NOTUMOR) not in shifted.truth[grafted]
    again = shift_sources(prepared, np.arange(24))
    assert np.array_equal(again.tensors, shifted.tensors)


def test_pictures_of_other_sources_count_as_much_as_the_changed_ones(prepared) -> None:
    alone = shift_sources(prepared, np.arange(24))
    shifted = shift_sources(prepared, np.arange(24), others=[prepared])
    assert len(shifted.truth) == len(alone.truth) + 24
    assert shifted.weights[-24:].sum() == pytest.approx(alone.weights.sum())
    assert np.array_equal(shifted.truth[-24:], prepared.labels)


def test_without_masks_there_are_other_contrasts_only(prepared) -> None:
    bare = dataclasses.replace(prepared, masks=None, has_mask=np.zeros(24, bool))
    assert (shift_sources(bare, np.arange(24)).weights == 1).all()
