"""Prediction sets that say something: never empty, wide where the model cannot tell, on target."""

import json

import numpy as np
import pytest
from crepes import ConformalClassifier
from crepes.extras import hinge
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from brain_cnn.errors import BundleError
from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.conformal import (
    COVERAGES,
    count_groups,
    coverage_floor,
    fit_set_thresholds,
    group_quantile,
    labels_within,
    read_thresholds,
    same_for_all,
    softmax,
)
from brain_cnn.labels import LABELS

CHANCES = st.lists(st.floats(1e-6, 1.0), min_size=4, max_size=4).map(
    lambda row: np.array(row) / sum(row)
)


def drawn(count: int, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (N, 4), and labels drawn from just these: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.full(4, 0.4 / sharpness), count)
    labels = (chances.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return chances, labels


def indices(chosen: tuple[str, ...]) -> set[int]:
    return {LABELS.index(label) for label in chosen}


def test_a_slice_that_could_be_two_classes_gets_both() -> None:
    chances, labels = drawn(4000, 0, sharpness=4.0)
    assert 0.8 < (chances.argmax(axis=1) == labels).mean() < 0.9
    thresholds = fit_set_thresholds(chances, labels, np.arange(4000))
    for coverage in COVERAGES:
        assert len(labels_within(np.array([0.36, 0.34, 0.20, 0.10]), thresholds[coverage])) > 1
        assert labels_within(np.array([0.97, 0.01, 0.01, 0.01]), thresholds[coverage]) == (
            "glioma",
        )


def test_the_shipped_sets_tell_the_sure_from_the_doubtful(classifier) -> None:
    calibration = classifier.bundle.calibration
    for coverage in (0.90, 0.95):
        doubtful = calibration.prediction_set(np.array([0.36, 0.34, 0.20, 0.10]), coverage)
        assert len(doubtful) > 1
        assert calibration.prediction_set(np.array([0.9997, 1e-4, 1e-4, 1e-4]), coverage) == (
            "glioma",
        )


@given(CHANCES, st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4))
def test_no_set_is_empty_and_the_likeliest_comes_first(
    chances: np.ndarray, thresholds: list[float]
) -> None:
    chosen = labels_within(chances, thresholds)
    assert chosen and chosen[0] == LABELS[int(chances.argmax())]
    values = [chances[LABELS.index(label)] for label in chosen]
    assert values == sorted(values, reverse=True) and len(set(chosen)) == len(chosen)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 150), st.integers(1, 40), CHANCES)
def test_sets_grow_with_the_target_coverage(
    seed: int, count: int, patients: int, slice_chances: np.ndarray
) -> None:
    chances, labels = drawn(count, seed)
    groups = np.random.default_rng(seed).integers(0, patients, count)
    thresholds = fit_set_thresholds(chances, labels, groups)
    sets = [indices(labels_within(slice_chances, thresholds[c])) for c in COVERAGES]
    assert sets[0] <= sets[1] <= sets[2]
    for row in thresholds.values():
        assert all(0.0 <= value <= 1.0 for value in row)


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("seed", range(3))
def test_with_one_slice_a_group_sets_are_those_of_crepes(coverage: float, seed: int) -> None:
    """An independent implementation of label-conditional (Mondrian) sets with 1 - p."""
    chances, labels = drawn(1500, seed)
    thresholds = fit_set_thresholds(chances, labels, np.arange(1500))
    reference = ConformalClassifier()
    reference.fit(hinge(chances, np.arange(4), labels), bins=labels)
    fresh, _ = drawn(400, seed + 100)
    p_values = np.stack(
        [
            reference.predict_p(hinge(fresh), bins=np.full(400, label), smoothing=False)[:, label]
            for label in range(4)
        ],
        axis=1,
    )
    # A label is in the set where its p-value exceeds 1 - coverage (Vovk 2012). `predict_set`
    # of crepes also lets in those that are equal to it, as far as rounding lets them be.
    expected = p_values > 1 - coverage + 1e-9
    for chances_of_one, row in zip(fresh, expected, strict=True):
        # crepes may leave a set empty; ours holds the likeliest label whatever its score.
        wanted = set(np.flatnonzero(row).tolist()) | {int(chances_of_one.argmax())}
        assert indices(labels_within(chances_of_one, thresholds[coverage])) == wanted


@pytest.mark.parametrize("coverage", [0.90, 0.95])
def test_a_rare_class_reaches_the_target_although_the_model_is_mostly_right(
    coverage: float,
) -> None:
    """Over all classes the likeliest label would do; of the rare class it misses a sixth."""
    rng = np.random.default_rng(1)
    gap = np.array([5.0, 5.0, 2.0, 5.0])
    held, right = np.zeros((30, 4)), np.zeros((30, 4))
    for trial in range(30):
        labels = rng.choice(4, 2400, p=[0.4, 0.25, 0.08, 0.27])
        logits = rng.normal(0, 1, (2400, 4)) + np.eye(4)[labels] * gap[labels][:, None]
        chances = softmax(logits)
        thresholds = fit_set_thresholds(chances[:1200], labels[:1200], np.arange(1200))[coverage]
        fresh, truth = chances[1200:], labels[1200:]
        inside = np.array(
            [
                LABELS[k] in labels_within(row, thresholds)
                for row, k in zip(fresh, truth, strict=True)
            ]
        )
        held[trial] = [inside[truth == k].mean() for k in range(4)]
        right[trial] = [(fresh.argmax(axis=1) == truth)[truth == k].mean() for k in range(4)]
    assert right[:, 2].mean() < 0.85 and right.mean(axis=0)[[0, 1, 3]].min() > 0.97
    error = 4 * held.std(axis=0) / np.sqrt(30)
    assert (held.mean(axis=0) >= coverage - error).all(), held.mean(axis=0)
    assert held[:, 2].mean() <= coverage + 0.03  # 96 slices: a quantile is a little too high


def test_groups_reach_the_target_where_slices_that_count_alike_miss_it() -> None:
    """20 patients with 1 to 60 slices, three quarters of the variance between patients."""
    rng = np.random.default_rng(0)
    ours, alike = [], []
    for _ in range(600):
        sizes = rng.integers(1, 61, 20)
        groups = np.repeat(np.arange(20), sizes)
        noise = np.sqrt(0.25) * rng.normal(size=len(groups))
        # Uniform scores: a threshold is its own coverage of a slice of a new patient.
        scores = norm.cdf(np.sqrt(0.75) * rng.normal(size=20)[groups] + noise)
        ours.append(group_quantile(scores, groups, 0.90))
        alike.append(group_quantile(scores, np.arange(len(scores)), 0.90))
    error = 3 * np.std(ours) / np.sqrt(600)
    assert 0.90 - error <= np.mean(ours) <= 0.95
    assert np.mean(alike) < 0.90 - 3 * np.std(alike) / np.sqrt(600)
    assert np.mean(np.array(ours) < 0.80) < 0.03 < np.mean(np.array(alike) < 0.80)


@pytest.mark.parametrize(("patients", "coverage"), [(9, 0.95), (11, 0.95), (40, 0.99)])
def test_too_few_groups_reach_what_so_many_can(patients: int, coverage: float) -> None:
    rng = np.random.default_rng(2)
    scores = rng.random((4000, patients))
    groups = np.arange(patients)
    thresholds = np.array([group_quantile(row, groups, coverage) for row in scores])
    assert (thresholds == scores.max(axis=1)).all()
    floor = coverage_floor(coverage, patients)
    assert floor == patients / (patients + 1) < coverage
    assert abs(thresholds.mean() - floor) <= 4 * thresholds.std() / np.sqrt(4000)
    assert coverage_floor(0.90, 9) == 0.90 and coverage_floor(0.90, 0) == 1.0


def test_more_slices_of_one_patient_do_not_weigh_more() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    once = group_quantile(scores, np.arange(10), 0.80)
    copied = np.concatenate([scores, np.full(500, 0.1)])
    assert group_quantile(copied, [*range(10), *[0] * 500], 0.80) == once == 0.9


def test_a_label_without_val_slices_is_in_every_set() -> None:
    chances, labels = drawn(300, 3)
    known = labels != 2
    thresholds = fit_set_thresholds(chances[known], labels[known], np.arange(known.sum()))
    assert all(row[2] == 1.0 for row in thresholds.values())
    assert "notumor" in labels_within(np.array([1.0, 0.0, 0.0, 0.0]), thresholds[0.90])
    groups = count_groups(labels[known], np.zeros(known.sum()))
    assert groups == (1, 1, 0, 1)


def test_sets_of_an_older_program_are_refused_with_a_way_out(tmp_path) -> None:
    Calibration(1.0, same_for_all(0.5)).save(tmp_path)
    path = tmp_path / "calibration.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"set_thresholds": {"0.9": 0.4994, "0.95": 0.4998}}))
    with pytest.raises(BundleError, match="older program") as caught:
        Calibration.load(tmp_path)
    assert "calibrate.py --sets-only" in str(caught.value.hint)


@pytest.mark.parametrize("row", [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 1.5], [0.5, 0.5, 0.5, None]])
def test_broken_thresholds_are_named(tmp_path, row: list[float]) -> None:
    Calibration(1.0, same_for_all(0.5)).save(tmp_path)
    path = tmp_path / "calibration.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"set_thresholds": {"0.95": row}}))
    with pytest.raises(BundleError, match="calibration cannot be read"):
        Calibration.load(tmp_path)


def test_thresholds_are_read_as_they_were_written(tmp_path) -> None:
    chances, labels = drawn(500, 4)
    thresholds = fit_set_thresholds(chances, labels, np.arange(500) // 3)
    Calibration(1.0, thresholds, set_groups=(1, 2, 3, 4)).save(tmp_path)
    loaded = Calibration.load(tmp_path)
    assert loaded.set_thresholds == thresholds and loaded.set_groups == (1, 2, 3, 4)
    assert read_thresholds({"0.9": [0, 0, 0, 1]}) == {0.9: (0.0, 0.0, 0.0, 1.0)}
