"""Calibrated probabilities, prediction sets, the gate."""

from pathlib import Path

import numpy as np
import pytest

from brain_cnn.errors import BundleError, SettingsError
from brain_cnn.inference.calibration import (
    COVERAGES,
    Calibration,
    fit_calibration,
    fit_temperature,
    softmax,
)
from brain_cnn.labels import LABELS
from brain_cnn.ood.gate import Check


def ask_gate(
    calibration: Calibration, features: np.ndarray, tensors: np.ndarray
) -> tuple[np.ndarray, list[tuple[Check, ...]]]:
    """Return familiarity (N,) and the checks of N slices."""
    result = calibration.check(features, tensors)
    return result.familiarity, result.checks


def _overconfident(count: int, seed: int, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits that are `factor` times too large, and labels drawn from the true odds."""
    rng = np.random.default_rng(seed)
    true_logits = rng.normal(0, 1.5, (count, 4))
    odds = softmax(true_logits)
    labels = (odds.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return true_logits * factor, labels


def test_probabilities_are_float64_whatever_the_network_computes_in() -> None:
    single = np.array([[0.1, 12.5, -3.0, 4.0], [7.0, 7.0, 7.0, 6.9]], np.float32)
    probabilities = softmax(single)
    assert probabilities.dtype == np.float64
    assert np.array_equal(probabilities, softmax(single.astype(np.float64)))
    assert np.abs(probabilities.sum(axis=1) - 1.0).max() < 1e-15


def test_temperature_undoes_overconfidence() -> None:
    logits, labels = _overconfident(4000, 0)
    assert fit_temperature(logits, labels) == pytest.approx(3.0, rel=0.12)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_sets_hold_the_truth_as_often_as_they_aim_at(coverage: float) -> None:
    calibration = fit_calibration(*_overconfident(3000, 1), np.arange(3000))
    logits, labels = _overconfident(3000, 2)
    probabilities = calibration.probabilities(logits)
    sets = [calibration.prediction_set(p, coverage) for p in probabilities]
    held = np.mean([LABELS[label] in chosen for label, chosen in zip(labels, sets, strict=True)])
    # 3000 draws on both sides: three standard deviations of their difference.
    assert held >= coverage - 3 * np.sqrt(2 * coverage * (1 - coverage) / 3000)
    assert min(len(chosen) for chosen in sets) >= 1
    assert np.mean([len(chosen) for chosen in sets]) < 4


def test_sets_begin_with_the_top_label_and_grow_with_coverage() -> None:
    calibration = fit_calibration(*_overconfident(2000, 3), np.arange(2000))
    for probabilities in calibration.probabilities(_overconfident(50, 4)[0]):
        sets = [calibration.prediction_set(probabilities, c) for c in COVERAGES]
        assert all(chosen[0] == LABELS[int(probabilities.argmax())] for chosen in sets)
        assert set(sets[0]) <= set(sets[1]) <= set(sets[2])


def test_a_label_without_val_slices_is_never_ruled_out() -> None:
    logits, labels = _overconfident(200, 5)
    known = labels < 3
    calibration = fit_calibration(logits[known], labels[known], np.arange(known.sum()))
    for coverage in COVERAGES:
        assert LABELS[3] in calibration.prediction_set(np.array([1.0, 0.0, 0.0, 0.0]), coverage)


def test_an_unfitted_coverage_is_named() -> None:
    with pytest.raises(SettingsError, match=r"0\.5"):
        Calibration.identity().prediction_set(np.array([1.0, 0, 0, 0]), 0.5)


def _with_gate() -> tuple[Calibration, np.ndarray]:
    rng = np.random.default_rng(6)
    labels = np.arange(400) % 4
    features = rng.normal(size=(400, 16)) + 4 * np.eye(16)[labels]
    val_labels = np.arange(200) % 4
    val = rng.normal(size=(200, 16)) + 4 * np.eye(16)[val_labels]
    calibration = fit_calibration(
        np.eye(4)[val_labels] * 5, val_labels, np.arange(200), features, labels, val
    )
    return calibration, val


def _busy(count: int) -> np.ndarray:
    return np.random.default_rng(7).random((count, 8, 8, 1)).astype(np.float32)


def test_the_gate_passes_its_own_kind_and_refuses_outliers() -> None:
    calibration, val = _with_gate()
    score, reasons = ask_gate(calibration, val, _busy(len(val)))
    failed = np.array([any(check["failed"] for check in checks) for checks in reasons])
    assert failed.mean() <= 0.02 + 1e-9
    strange_score, strange = ask_gate(calibration, val + 30.0, _busy(len(val)))
    assert all(any(check["failed"] for check in checks) for checks in strange)
    assert strange_score.max() < score[~failed].min()
    assert (score >= 0).all() and (score <= 1).all()


def test_the_gate_fails_closed() -> None:
    calibration, val = _with_gate()
    broken = np.full((1, val.shape[1]), np.nan)
    score, reasons = ask_gate(calibration, broken, _busy(1))
    assert score[0] == 0.0
    assert reasons[0][0]["failed"]


def test_an_empty_picture_is_refused_and_says_so() -> None:
    calibration, val = _with_gate()
    score, reasons = ask_gate(calibration, val[:1], np.zeros((1, 8, 8, 1), np.float32))
    assert score[0] == 0.0
    assert any(check["check"] == "contrast" and check["failed"] for check in reasons[0])


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    calibration, val = _with_gate()
    calibration.save(tmp_path)
    loaded = Calibration.load(tmp_path)
    assert loaded.temperature == calibration.temperature
    assert loaded.set_thresholds == calibration.set_thresholds
    before, _ = ask_gate(calibration, val, _busy(len(val)))
    after, _ = ask_gate(loaded, val, _busy(len(val)))
    assert np.allclose(before, after, atol=1e-4)


def test_a_damaged_calibration_is_named(tmp_path: Path) -> None:
    calibration, _ = _with_gate()
    calibration.save(tmp_path)
    (tmp_path / "familiarity.npz").write_bytes(b"not an archive")
    with pytest.raises(BundleError, match="calibration cannot be read"):
        Calibration.load(tmp_path)
