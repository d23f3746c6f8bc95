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
from brain_cnn.training.fit_trust import (
    fit_odds,
    fit_source,
    limit_for,
    quantiles_by_label,
    shift_sources,
)

LEVELS = np.linspace(0, 1, 201)
# One input whose odds are themselves, and a look that says nothing.
TRUST = Trust(
    np.zeros(1), np.ones(1), np.array([1.0, 0.0]), np.linspace(-5, 5, 201),
    np.zeros(3), np.linspace(-1, 1, 804).reshape(4, 201), np.linspace(-1, 1, 201), 0.7,
)  # fmt: skip
COMMON = np.full((4, 3), -1.0)
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


def by_look(source: list[float]) -> Trust:
    """Return one that trusts all by their inputs; `source` weighs two numbers of a look."""
    quantiles = np.tile(np.linspace(-1, 1, 201), (4, 1))
    return dataclasses.replace(TRUST, source=np.array([*source, 0.0]), source_quantiles=quantiles)


def test_trust_is_a_share_and_nothing_broken_is_trusted() -> None:
    trust = by_look([0.0, 0.0]).of(
        np.array([[0.0], [100.0], [-100.0], [np.nan]]),
        np.zeros((4, 2)),
        COMMON[:4],
        np.zeros(4, int),
    )
    assert trust[0] == pytest.approx(0.5) and trust[1] == 1.0
    assert trust[2] == 0.0 and trust[3] == 0.0
    broken = np.array([[np.nan, 0.0]])
    assert by_look([1.0, 0.0]).of(np.ones((1, 1)), broken, COMMON[:1], np.zeros(1, int))[0] == 0.0


def test_a_label_is_trusted_less_where_the_look_is_of_the_other_source() -> None:
    """The look speaks for the tumours' source: good for a tumour, bad for none."""
    look, sure = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.full((2, 1), 9.0)
    trust = by_look([1.0, 0.0])
    assert trust.of(sure, look, COMMON[:2], np.array([0, 0])).tolist() == [1.0, 0.0]
    none = label_index(NOTUMOR)
    assert trust.of(sure, look, COMMON[:2], np.array([none, none])).tolist() == [0.0, 1.0]


def test_the_oddest_slices_are_not_trusted() -> None:
    odd = np.array([[-1.0, -1, 0], [3.0, -1, -1], [-1, -1, 5.0], [np.nan, 0, 0]])
    trust = by_look([0.0, 0.0]).of(np.full((4, 1), 9.0), np.zeros((4, 2)), odd, np.zeros(4, int))
    assert trust.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_the_limit_lets_the_chosen_share_of_all_slices_be_confident() -> None:
    trust = np.linspace(0, 1, 100)
    everyone = np.ones(100, bool)
    for share in (0.7, 0.5):
        assert (trust >= limit_for(trust, everyone, share)).sum() == 100 * share
    few = trust > 0.6  # fewer candidates than the share asks for: all of them
    assert ((trust >= limit_for(trust, few, 0.7)) & few).sum() == few.sum()
    assert limit_for(trust, ~everyone, 0.7) > 1.0, "nobody may be confident"


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
    assert not fit_source(np.ones((5, 3)), np.zeros(5, int)).any(), "one source alone"


def test_the_source_is_learned_from_the_looks() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    none = labels == label_index(NOTUMOR)
    looks = rng.normal(size=(200, 5)) + 3 * none[:, None]
    speaks = dataclasses.replace(TRUST, source=fit_source(looks, labels)).speaks(looks, labels)
    assert (speaks > 0).mean() > 0.95
    assert quantiles_by_label(speaks, np.zeros(200, int)).shape == (4, 201)


def test_a_saved_trust_is_the_one_that_is_loaded(tmp_path) -> None:
    gate = FeatureGate(np.zeros((4, 2)), np.eye(2), LEVELS, 1.0)
    dataclasses.replace(CAREFUL, gate=gate).save(tmp_path)
    loaded = Calibration.load(tmp_path).trust
    assert loaded is not None and loaded.limit == 0.7
    assert np.array_equal(loaded.source_quantiles, TRUST.source_quantiles)


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


def test_without_masks_there_are_other_contrasts_only(prepared) -> None:
    bare = dataclasses.replace(prepared, masks=None, has_mask=np.zeros(24, bool))
    assert (shift_sources(bare, np.arange(24)).weights == 1).all()
