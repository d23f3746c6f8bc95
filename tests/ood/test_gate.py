"""Promises of the gate: what is no head in an MRI is refused, and no broken value passes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from brain_cnn.errors import BundleError
from brain_cnn.inference.calibration import Calibration, fit_calibration
from brain_cnn.inference.output import EngineOutput
from brain_cnn.labels import LABELS
from brain_cnn.ood import outlier_drawings as drawings
from brain_cnn.ood import outliers
from brain_cnn.ood.appearance import Appearance
from brain_cnn.ood.descriptors import NUMBERS, describe
from brain_cnn.ood.fit_gate import ValSlices, describe_pictures, fit_appearance, set_limits
from brain_cnn.ood.gate import CHECKS, SENTENCES, Check
from brain_cnn.phantoms import draw_phantom
from brain_cnn.preprocess import prepare

SIZE = 96


def heads(count: int, first: int = 0) -> list[np.ndarray]:
    return [draw_phantom(LABELS[i % 4], first + i) for i in range(count)]


def tensors_of(pictures: list[np.ndarray]) -> np.ndarray:
    return np.stack([prepare(one, SIZE).tensor for one in pictures])


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(80, 16))


@pytest.fixture(scope="module")
def calibration(features: np.ndarray) -> Calibration:
    """Return one that was fitted to drawn heads; its features say nothing."""
    train = np.random.default_rng(0).normal(size=(160, 16))
    labels = np.arange(80) % 4
    fitted = fit_calibration(
        np.eye(4)[labels] * 5, labels, np.arange(80), train, np.arange(160) % 4, features
    )
    assert fitted.gate is not None
    distances = fitted.gate.distance(features)
    own, val = heads(160), heads(80, 1000)
    looks = fit_appearance(
        own,
        describe(tensors_of(own)),
        ValSlices(describe(tensors_of(val)), distances),
        SIZE,
        outliers=500,
    )
    return dataclasses.replace(fitted, appearance=looks)


def ask_gate(
    calibration: Calibration, features: np.ndarray, tensors: np.ndarray
) -> tuple[np.ndarray, list[tuple[Check, ...]]]:
    """Return familiarity (N,) and the checks of N slices."""
    result = calibration.check(features, tensors)
    return result.familiarity, result.checks


def failed(reasons: list[tuple[Check, ...]]) -> np.ndarray:
    return np.array([any(check["failed"] for check in checks) for checks in reasons])


def test_98_of_100_heads_it_was_set_on_pass_and_most_it_never_saw(calibration, features) -> None:
    score, reasons = ask_gate(calibration, features, tensors_of(heads(80, 1000)))
    assert failed(reasons).mean() <= 0.02 + 1e-9
    assert [check["check"] for check in reasons[0]] == list(CHECKS)
    assert ((score >= 0) & (score <= 1)).all()
    _, fresh = ask_gate(calibration, features[:40], tensors_of(heads(40, 5000)))
    assert failed(fresh).mean() <= 0.2


@pytest.mark.parametrize(
    "kind", ["limb", "ct-like", "part", "stretched", "shuffled", "sheet", "scene", "paper"]
)
def test_what_is_no_head_is_refused_and_a_reason_says_so(calibration, features, kind) -> None:
    rng = np.random.default_rng(77)  # others than those that it learned from
    make = outliers._MAKERS[kind][0]
    pictures = [make(heads(20, 9000), rng) for _ in range(20)]
    common = np.repeat(features[:1] * 0, 20, axis=0)  # the network sees nothing odd in them
    score, reasons = ask_gate(calibration, common, tensors_of(pictures))
    refused = failed(reasons)
    assert refused.mean() >= 0.9
    assert score[refused].max() <= 0.025
    for checks in (row for row, bad in zip(reasons, refused, strict=True) if bad):
        for check in (one for one in checks if one["failed"]):
            assert check["value"] > check["limit"]
            assert check["sentence"] == SENTENCES[check["check"]][1]


def test_a_limb_is_refused_for_its_look_where_the_network_alone_would_pass_it(
    calibration, features
) -> None:
    limbs = tensors_of([drawings.draw_limb(np.random.default_rng(i)) for i in range(20)])
    blind = dataclasses.replace(calibration, appearance=None)
    assert not failed(ask_gate(blind, features[:1].repeat(20, 0) * 0, limbs)[1]).any()
    assert failed(ask_gate(calibration, features[:1].repeat(20, 0) * 0, limbs)[1]).mean() >= 0.9


@pytest.mark.parametrize("broken", ["features", "tensor"])
def test_what_is_no_number_never_passes(calibration, features, broken) -> None:
    tensors, own = tensors_of(heads(3)), features[:3].copy()
    (own if broken == "features" else tensors)[1] = np.nan
    score, reasons = ask_gate(calibration, own, tensors)
    assert score[1] == 0.0 and failed(reasons)[1]
    assert np.isfinite(score).all()
    assert any(check["failed"] and check["value"] is None for check in reasons[1])


def test_what_is_saved_is_what_is_loaded(calibration, features, tmp_path: Path) -> None:
    calibration.save(tmp_path)
    loaded = Calibration.load(tmp_path)
    tensors = tensors_of([*heads(20), drawings.draw_limb(np.random.default_rng(0))])
    before, after = (ask_gate(c, features[:21], tensors) for c in (calibration, loaded))
    assert np.allclose(before[0], after[0], atol=1e-3)
    assert failed(before[1]).tolist() == failed(after[1]).tolist()


def test_a_model_from_before_the_looks_still_loads_and_judges(
    calibration, features, tmp_path: Path
) -> None:
    dataclasses.replace(calibration, appearance=None).save(tmp_path)
    loaded = Calibration.load(tmp_path)
    assert loaded.appearance is None and loaded.trust is None
    _, reasons = ask_gate(loaded, features[:2], tensors_of(heads(2)))
    assert [check["check"] for check in reasons[0]] == ["feature-distance"]


def test_half_a_gate_is_named_and_not_used(calibration, tmp_path: Path) -> None:
    calibration.save(tmp_path)
    with np.load(tmp_path / "familiarity.npz") as archive:
        arrays = dict(archive)
    del arrays["looks_hidden"]
    np.savez(tmp_path / "familiarity.npz", **arrays)
    with pytest.raises(BundleError, match="calibration cannot be read"):
        Calibration.load(tmp_path)
    np.savez(tmp_path / "familiarity.npz", **arrays, looks_hidden=np.zeros((3, 2)))
    with pytest.raises(BundleError, match="calibration cannot be read"):
        Calibration.load(tmp_path)


def test_the_same_seed_fits_the_same_gate() -> None:
    own = heads(30)
    looks = [describe(tensors_of(part)) for part in (own, heads(20, 500))]
    val_slices = ValSlices(looks[1], np.arange(20.0))
    one, two = (
        fit_appearance(own, looks[0], val_slices, SIZE, own[:2], seed=3, outliers=60)
        for _ in range(2)
    )
    for name in ("mean", "axes", "hidden", "output", "limits"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_outliers_are_pictures_of_every_kind_and_the_seed_decides_which() -> None:
    own = heads(4)
    made, kinds = outliers.make_outliers(own, 200, np.random.default_rng(0))
    again, _ = outliers.make_outliers(own, 200, np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    assert all(p.dtype == np.uint8 and p.ndim == 2 for p in made)
    assert set(kinds) == set(outliers._MAKERS)


def test_a_slice_is_described_by_numbers_whatever_its_side() -> None:
    large = np.stack([prepare(one, 160).tensor for one in heads(3)])
    small = tensors_of(heads(3))
    assert describe(large).shape == (3, NUMBERS) == describe(small).shape
    assert np.abs(describe(large) - describe(small)).mean() < 0.02
    assert describe(large[:0]).shape == (0, NUMBERS)
    assert np.isfinite(describe(np.zeros((1, 160, 160, 1), np.float32))).all()
    assert np.allclose(describe_pictures(heads(1), 160), describe(large[:1]))


def test_one_pass_gives_familiarity_and_trust(calibration, features) -> None:
    output = EngineOutput(
        np.zeros((2, 4), np.float32), np.zeros((2, 5, 5, 4), np.float32),
        features[:2].astype(np.float32),
    )  # fmt: skip
    tensors = tensors_of(heads(2))
    predictions = calibration.predict(output, tensors)
    gate = calibration.check(output.features, tensors)
    assert [one.familiarity for one in predictions] == gate.familiarity.tolist()
    assert [one.reasons for one in predictions] == gate.checks
    assert all(one.trust == 1 for one in predictions), "without a trust every label is trusted"


def test_limits_let_the_chosen_share_of_every_source_pass() -> None:
    """A source that lies farther out is not drowned by one that has more slices."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, (900, 3)), rng.normal(4, 1, (100, 3))])
    empty = np.zeros(3)
    draft = Appearance(
        np.zeros(2), np.ones(2), np.zeros((2, 1)), np.zeros((3, 1)), np.zeros(2), empty, empty + 1,
        np.zeros(201),
    )  # fmt: skip
    sources = np.repeat([0, 1], [900, 100])
    for own, least in ((sources, 0.98), (None, 0.5)):
        limits = set_limits(draft, values, own).limits
        passed = (values <= limits).all(axis=1)
        assert min(passed[:900].mean(), passed[900:].mean()) >= least
    assert (values[900:] <= limits).all(axis=1).mean() < 0.95
