"""The metrics are those of scikit-learn, and their intervals respect the groups."""

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from brain_cnn.evaluation.bootstrap import bootstrap_mean
from brain_cnn.evaluation.metrics import (
    PUBLISHED_REFERENCE,
    evaluate_predictions,
    format_table,
)
from brain_cnn.labels import LABELS


def make_predictions(count=400, skill=1.5, seed=0, rounded=False):
    """Random labels, and probabilities (N, 4) that favour the right one."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, count)
    logits = rng.normal(size=(count, 4))
    logits[np.arange(count), true] += skill
    scores = np.exp(logits)
    scores /= scores.sum(axis=1, keepdims=True)
    if rounded:  # makes ties
        scores = np.round(scores, 1)
        scores[np.arange(count), scores.argmax(axis=1)] += 1 - scores.sum(axis=1)
    return true, scores


def make_clustered(groups=40, size=10, seed=0):
    """Groups whose members are all right or all wrong: 40 facts that look like 400."""
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(groups) % 4, size)
    right = np.repeat(rng.random(groups) < 0.8, size)
    scores = np.full((len(true), 4), 0.1)
    scores[np.arange(len(true)), np.where(right, true, (true + 1) % 4)] = 0.7
    return true, scores, np.repeat(np.arange(groups), size)


@pytest.mark.parametrize("rounded", [False, True])
def test_values_equal_scikit_learn(rounded):
    true, scores = make_predictions(rounded=rounded)
    called = scores.argmax(axis=1)
    result = evaluate_predictions(true, scores, None, resamples=10)
    precision, recall, f1, support = reference.precision_recall_fscore_support(true, called)
    for i, label in enumerate(LABELS):
        row = result["per_class"][label]
        assert row["precision"]["value"] == pytest.approx(precision[i], abs=1e-6)
        assert row["recall"]["value"] == pytest.approx(recall[i], abs=1e-6)
        assert row["f1"]["value"] == pytest.approx(f1[i], abs=1e-6)
        assert row["auc"]["value"] == pytest.approx(
            reference.roc_auc_score(true == i, scores[:, i]), abs=1e-6
        )
        assert row["support"] == support[i]
    assert result["accuracy"]["value"] == pytest.approx((called == true).mean(), abs=1e-6)
    assert result["macro_f1"]["value"] == pytest.approx(f1.mean(), abs=1e-6)
    assert result["macro_precision"]["value"] == pytest.approx(precision.mean(), abs=1e-6)
    assert result["macro_recall"]["value"] == pytest.approx(recall.mean(), abs=1e-6)
    assert result["confusion"] == reference.confusion_matrix(true, called).tolist()


def test_calibration_error_of_a_hand_made_case():
    # Two bins: four images at 0.90 of which 3 are right, two at 0.50 of which 2 are right.
    scores = np.array([[0.90, 0.10, 0, 0]] * 4 + [[0.50, 0.25, 0.25, 0]] * 2)
    true = np.array([0, 0, 0, 1, 0, 0])
    result = evaluate_predictions(true, scores, None, resamples=10)
    expected = 4 / 6 * abs(0.90 - 0.75) + 2 / 6 * abs(0.50 - 1.0)
    assert result["ece"]["value"] == pytest.approx(expected, abs=1e-6)


def test_a_perfectly_calibrated_coin_has_little_calibration_error():
    rng = np.random.default_rng(1)
    top = rng.uniform(0.4, 1.0, 20000)
    scores = np.stack([top, *[(1 - top) / 3] * 3], axis=1)
    true = np.where(rng.random(20000) < top, 0, 1 + rng.integers(0, 3, 20000))
    assert evaluate_predictions(true, scores, None, resamples=5)["ece"]["value"] < 0.02


def test_tumour_called_notumor_counts_tumours_alone():
    # Four tumours, one of them called notumor; two notumor, one called glioma.
    called = [0, 2, 1, 3, 2, 0]
    true = np.array([0, 0, 1, 3, 2, 2])
    scores = np.eye(4)[called]
    result = evaluate_predictions(true, scores, None, resamples=10)
    assert result["tumour_called_notumor"]["value"] == 0.25


def test_interval_over_groups_is_wider_than_over_images_for_clustered_data():
    true, scores, groups = make_clustered()
    over_images = evaluate_predictions(true, scores, None)
    over_groups = evaluate_predictions(true, scores, groups)

    def width(result, name):
        return result[name]["high"] - result[name]["low"]

    for name in ("accuracy", "macro_f1", "macro_recall"):
        # sqrt(10) times as wide in theory, for groups of 10 that stand and fall together.
        assert width(over_groups, name) > 2 * width(over_images, name)
        assert over_groups[name]["value"] == over_images[name]["value"]
    assert over_groups["groups"] == 40
    assert over_images["groups"] is None


def test_interval_covers_the_truth_about_as_often_as_promised():
    hits = 0
    for seed in range(60):
        right = np.random.default_rng(seed).random(150) < 0.8
        interval = bootstrap_mean(right, None, resamples=400, seed=seed)
        hits += interval["low"] <= 0.8 <= interval["high"]
    assert hits >= 51  # 57 expected of 60


def test_interval_equals_a_bootstrap_written_as_a_loop():
    true, scores, groups = make_clustered(groups=12, size=3)
    members = [np.flatnonzero(groups == g) for g in range(12)]
    rng = np.random.default_rng(5)
    loop = []
    for _ in range(3000):
        chosen = np.concatenate([members[g] for g in rng.integers(0, 12, 12)])
        loop.append((scores[chosen].argmax(axis=1) == true[chosen]).mean())
    result = evaluate_predictions(true, scores, groups, resamples=3000)["accuracy"]
    assert result["low"] == pytest.approx(np.percentile(loop, 2.5), abs=0.03)
    assert result["high"] == pytest.approx(np.percentile(loop, 97.5), abs=0.03)


def test_the_same_seed_gives_the_same_json_and_group_names_do_not_matter():
    true, scores, groups = make_clustered()
    first = evaluate_predictions(true, scores, groups, seed=3)
    again = evaluate_predictions(true, scores, groups, seed=3)
    # Names sort otherwise than numbers, so other groups are drawn: the values stay.
    named = evaluate_predictions(true, scores, [f"patient {g}" for g in groups], seed=3)
    assert json.loads(json.dumps(first)) == again
    assert named["accuracy"]["value"] == first["accuracy"]["value"]
    assert evaluate_predictions(true, scores, groups, seed=4) != first


def test_a_class_without_images_has_no_metrics_and_stays_out_of_the_average():
    true, scores = make_predictions()
    keep = true != 3
    result = evaluate_predictions(true[keep], scores[keep], None, resamples=20)
    assert result["per_class"]["pituitary"]["f1"] == {"value": None, "low": None, "high": None}
    known = [result["per_class"][label]["f1"]["value"] for label in LABELS[:3]]
    assert result["macro_f1"]["value"] == pytest.approx(np.mean(known), abs=1e-5)
    assert "-" in format_table({"ours": result})
    json.dumps(result, allow_nan=False)


def test_one_group_has_values_but_no_interval():
    true, scores = make_predictions(40)
    result = evaluate_predictions(true, scores, ["one"] * 40, resamples=20)
    assert result["accuracy"]["value"] is not None
    assert result["accuracy"]["low"] is None


@pytest.mark.parametrize(
    ("true", "scores", "groups"),
    [
        ([0, 1], [[1, 0, 0, 0]], None),
        ([0, 4], [[1, 0, 0, 0]] * 2, None),
        ([0.5, 1.0], [[1, 0, 0, 0]] * 2, None),
        ([0, 1], [[0.9, 0.9, 0, 0]] * 2, None),
        ([0, 1], [[float("nan"), 1, 0, 0]] * 2, None),
        ([0, 1], [[1, 0, 0, 0]] * 2, ["a"]),
        (np.zeros(0, int), np.zeros((0, 4)), None),
    ],
)
def test_what_does_not_fit_is_refused(true, scores, groups):
    with pytest.raises(ValueError):
        evaluate_predictions(true, scores, groups)


def test_table_shows_every_number_the_reader_needs():
    true, scores, groups = make_clustered()
    result = evaluate_predictions(true, scores, groups, resamples=50)
    text = format_table({"ours": result, "baseline": result}, PUBLISHED_REFERENCE)
    assert "n = 400 images of 40 groups" in text
    assert text.count("accuracy") == 2
    for label in LABELS:
        row = result["per_class"][label]["recall"]
        assert f"{row['value']:.4f} ({row['low']:.4f}-{row['high']:.4f})" in text
        assert f"{PUBLISHED_REFERENCE[label]['f1']:.4f}" in text
