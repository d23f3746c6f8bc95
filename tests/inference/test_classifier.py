"""Bytes in, an honest statement out: the promises of the Python interface."""

import numpy as np
import pytest
from conftest import encode

import brain_cnn
from brain_cnn.errors import ScanError
from brain_cnn.inference.diagnosis import class_heat
from brain_cnn.inference.engines import ENGINES
from brain_cnn.labels import LABELS
from brain_cnn.render.overlay import blend, overlay


def test_diagnosis_keeps_its_promises(classifier, phantom, phantom_png):
    d = classifier.classify(phantom_png)
    assert d.label in LABELS and d.confidence == max(d.probabilities.values())
    assert tuple(d.probabilities) == LABELS and sum(d.probabilities.values()) == pytest.approx(1)
    assert d.label in d.prediction_set
    assert 0 <= d.familiarity <= 1 and d.familiar == (d.verdict != "unfamiliar")
    assert np.array_equal(d.pixels, phantom)
    assert (d.slice_index, d.slice_count) == (0, 1)


def test_heatmaps_lie_on_the_slice(classifier, phantom_png):
    d = classifier.classify(phantom_png)
    assert tuple(d.heatmaps) == LABELS
    for label, heatmap in d.heatmaps.items():
        assert heatmap.dtype == np.float32 and heatmap.shape == d.pixels.shape
        assert heatmap.min() >= 0 and heatmap.max() <= 1
        assert d.has_evidence(label) == bool(heatmap.any())
    assert np.array_equal(d.heatmap, d.heatmaps[d.label])


def test_each_heat_is_scaled_by_its_own_maximum():
    maps = np.array([[[2.0, -1.0, 0.0, 8.0], [1.0, -3.0, 0.0, -8.0]]], np.float32)
    heat = class_heat(maps)
    assert heat.tolist() == [[[1.0, 0.0, 0.0, 1.0], [0.5, 0.0, 0.0, 0.0]]]


def test_smaller_view_of_the_heat_lies_at_the_same_place(classifier, phantom):
    large = classifier.classify(encode(np.kron(phantom, np.ones((2, 2), np.uint8))))
    label = next(label for label in LABELS if large.has_evidence(label))
    half = large.heatmap_at(label, 224, 224)
    averaged = large.heatmaps[label].reshape(224, 2, 224, 2).mean(axis=(1, 3))
    assert np.abs(half - averaged)[8:-8, 8:-8].mean() < 0.01


def test_bad_file_among_many_keeps_its_place(classifier, phantom_png):
    first, second, third = classifier.classify_many([phantom_png, b"junk", phantom_png])
    assert isinstance(second, ScanError) and second.status == 415
    assert first.probabilities == third.probabilities


def test_verdict_follows_familiarity_and_set(confident, uncertain, refusing, phantom_png):
    assert confident.classify(phantom_png).verdict == "confident"
    assert uncertain.classify(phantom_png).verdict == "uncertain"
    refused = refusing.classify(phantom_png)
    assert refused.verdict == "unfamiliar"
    assert refused.label in LABELS, "label and probabilities are filled even when unfamiliar"
    assert [check["failed"] for check in refused.reasons].count(True) >= 1


def test_black_picture_is_unfamiliar(classifier):
    assert not classifier.classify(encode(np.zeros((64, 64), np.uint8))).familiar


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != ENGINES[0]])
def test_all_engines_say_the_same(classifier, phantom_png, engine):
    pytest.importorskip({"onnx": "onnxruntime"}.get(engine, engine))
    assert classifier.engine.name != engine
    other = brain_cnn.load_classifier(classifier.bundle.path, engine=engine, threads=1)
    ours, theirs = classifier.classify(phantom_png), other.classify(phantom_png)
    assert list(theirs.probabilities.values()) == pytest.approx(
        list(ours.probabilities.values()), abs=1e-3
    )
    assert np.abs(ours.heat - theirs.heat).max() < 1e-3


def test_no_mask_hides_heat_in_the_background():
    black = np.zeros((20, 20), np.uint8)
    heat = np.zeros((20, 20), np.float32)
    heat[:, 15:] = 0.8
    drawn = blend(black, heat)
    assert drawn[:, 15:].max() > 100
    assert not drawn[:, :15].any(), "without heat the slice is shown as it is"


def test_large_slice_is_shown_small(classifier, phantom):
    d = classifier.classify(encode(np.kron(phantom, np.ones((6, 6), np.uint8))))
    assert overlay(d).shape == (768, 768, 3) and d.pixels.shape == (1344, 1344)
