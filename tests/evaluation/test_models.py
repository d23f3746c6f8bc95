"""Promises of the networks under evaluation: what is published is what an upload gets."""

import json
from dataclasses import fields

import numpy as np
import pytest

from brain_cnn.evaluation.models import EvaluatedModel, ServedModel
from brain_cnn.inference.diagnosis import Diagnosis, Prediction
from brain_cnn.inference.predictor import Predictor, prepare_slices
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.scan.types import Scan, Slice


@pytest.fixture(scope="module")
def slices():
    heads = [draw_phantom(LABELS[i % 4], i) for i in range(11)]
    return [Slice(pixels) for pixels in [*heads, np.zeros((64, 64), np.uint8)]]


def test_evaluation_predicts_what_an_upload_gets(classifier, slices):
    served = classifier.classify_scan(Scan(tuple(slices), "PNG"))
    predictions = ServedModel(classifier).predict(slices)
    assert len(predictions.items) == len(served) == 12
    for one, diagnosis in zip(predictions.items, served, strict=True):
        for field in fields(Prediction):
            assert getattr(one, field.name) == getattr(diagnosis, field.name), field.name
    assert predictions.called().tolist() == [LABELS.index(d.label) for d in served]
    assert predictions.confident().tolist() == [d.verdict == "confident" for d in served]
    assert predictions.sets(0.95) == [d.prediction_set for d in served]


def test_heat_is_the_served_heat(classifier, slices):
    served = classifier.classify_scan(Scan(tuple(slices[:4]), "PNG"))
    model = ServedModel(classifier)
    tensors = prepare_slices([one.pixels for one in slices[:4]], model.size)
    for label in range(4):
        for heat, diagnosis in zip(model.heat(tensors, [label] * 4), served, strict=True):
            np.testing.assert_array_equal(heat, diagnosis.heat[..., label])


def test_a_part_of_the_predictions_is_that_of_its_slices(classifier, slices):
    bundle = classifier.bundle
    model = EvaluatedModel(Predictor(classifier.engine.run, bundle.input_size), bundle.calibration)
    whole = model.predict(slices)
    for members in (np.array([3, 0]), np.arange(12) >= 10):
        part = whole.part(members)
        np.testing.assert_array_equal(part.probabilities, whole.probabilities[members])
        np.testing.assert_array_equal(part.familiar, whole.familiar[members])


def test_slice_study_and_evaluation_share_one_prediction(classifier, slices):
    study = classifier.judge_scan(Scan(tuple(slices), "PNG"))
    assert issubclass(Diagnosis, Prediction) and issubclass(StudyDiagnosis, Prediction)
    assert isinstance(study, Prediction) and isinstance(study.most_telling, Prediction)
    assert study.reasons == study.most_telling.reasons
    assert study.familiarity == study.most_telling.familiarity


def test_a_check_is_read_by_attribute_by_name_and_as_json(classifier, slices):
    empty = classifier.classify_scan(Scan((slices[-1],), "PNG"))[0]
    check = empty.reasons[-1]
    assert not empty.familiar and check.check == "contrast" and check.failed
    assert check["failed"] is True and check["sentence"] == check.sentence
    with pytest.raises(KeyError):
        check["nonsense"]
    assert json.loads(json.dumps(check.as_dict()))["limit"] == check.limit
