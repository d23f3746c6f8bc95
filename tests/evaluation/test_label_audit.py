"""Suspects: what does not belong stands at the top of the list, and the list is repeatable."""

import numpy as np
import pytest

from brain_cnn.evaluation.label_audit import audit_labels, list_suspects, score_audit
from brain_cnn.labels import LABELS
from brain_cnn.ood import outliers
from brain_cnn.phantoms import draw_phantom

COUNT = 60


@pytest.fixture(scope="module")
def planted():
    """Return heads of two easily told kinds, one under the wrong label, and one CT-like."""
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % 2
    images = [draw_phantom(LABELS[0], i) for i in range(COUNT)]
    images = [255 - i if label else i for i, label in zip(images, labels, strict=True)]
    labels[10] = 1  # a bright head among the inverted ones
    images[20] = outliers._MAKERS["ct-like"][0]([draw_phantom(LABELS[0], 99)], rng)
    return images, labels


def test_what_does_not_belong_comes_first(planted):
    images, labels = planted
    scores = score_audit(images, labels, np.arange(COUNT), outliers=200)
    found = list_suspects(scores, labels, 3)
    wrong = [one for one in found if one.kind == "label"]
    assert wrong[0].position in (10, 20) and 10 in [one.position for one in wrong]
    assert next(o for o in wrong if o.position == 10).looks_like == LABELS[0]
    heads = np.flatnonzero(labels == 0)
    assert scores.outlier[20] == scores.outlier[np.append(heads, 20)].max()
    again = score_audit(images, labels, np.arange(COUNT), outliers=200)
    assert np.array_equal(again.own, scores.own)


def test_one_image_of_each_copy_group_is_listed_with_its_path(planted):
    images, labels = planted
    names = [f"{i}.png" for i in range(COUNT)]
    copies = np.arange(COUNT) // 2 * 2
    found = audit_labels(images, [LABELS[i] for i in labels], names, copies, 2)
    assert found and all(int(one["path"].removesuffix(".png")) % 2 == 0 for one in found)
    assert {one["kind"] for one in found} <= {"label", "outlier"}
