"""Promises of a new calibration: the weights stay, the sums fit, and the test part is unseen."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from brain_cnn.dataset.batches import prepare_all
from brain_cnn.dataset.index import ImageRecord
from brain_cnn.dataset.labelled import LabelledData
from brain_cnn.dataset.splits import Split
from brain_cnn.errors import BundleError
from brain_cnn.inference.bundle import load_bundle, update_bundle_files
from brain_cnn.inference.engines import make_engine
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom_with_mask
from brain_cnn.training.fit_calibration import OtherSources, refit_calibration, refit_sets


@pytest.fixture(scope="module")
def drawn():
    """Return 60 heads with masks: 36 to train, 12 to choose, 12 to test."""
    heads = [draw_phantom_with_mask(LABELS[i % 4], i) for i in range(60)]
    records = [ImageRecord(f"{LABELS[i % 4]}/{i}.png", LABELS[i % 4], "") for i in range(60)]
    places = np.arange(60)
    split = Split("grouped", places[:36], places[36:48], places[48:], places, False, "drawn")
    data = LabelledData(records, [head for head, _ in heads], split)
    return data, [mask for _, mask in heads]


def train_and_val_only(data):
    return data.subset(np.concatenate([data.split.train, data.split.val]))


@pytest.fixture(scope="module")
def refitted(drawn, classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "bundle"
    shutil.copytree(
        classifier.bundle.path, folder,
        ignore=shutil.ignore_patterns("figures", "predictions", "*.md", "metrics.json"),
    )  # fmt: skip
    data = train_and_val_only(drawn[0])
    labels = [record.label for record in data.records]
    prepared = prepare_all(data.images, labels, drawn[1][:48], classifier.bundle.input_size)
    return folder, refit_calibration(folder, data, prepared)


def test_only_train_and_val_are_looked_at(drawn):
    data = train_and_val_only(drawn[0])
    with pytest.raises(IndexError):
        data.images[48]
    assert len(data.records) == len(data.images) == len(data.split.groups) == 48
    assert len(data.split.test) == 0
    assert data.records[data.split.val[0]].path == drawn[0].records[36].path


def test_bundle_is_whole_and_its_weights_are_the_same(refitted, classifier):
    folder, fitted = refitted
    loaded = load_bundle(folder)
    assert loaded.sha256 == classifier.bundle.sha256
    assert loaded.calibration.temperature == fitted.temperature
    assert loaded.calibration.appearance is not None and loaded.calibration.trust is not None
    old = json.loads((classifier.bundle.path / "bundle.json").read_text())
    assert loaded.info["training"] == old["training"]


def test_sets_alone_are_fitted_again_and_nothing_else_changes(drawn, classifier, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(
        classifier.bundle.path, folder,
        ignore=shutil.ignore_patterns("figures", "predictions", "*.md", "metrics.json"),
    )  # fmt: skip

    def outdate(staging):
        record = json.loads((folder / "calibration.json").read_text())
        record["set_thresholds"] = {"0.9": 0.4994, "0.95": 0.4998, "0.99": 0.9883}
        (staging / "calibration.json").write_text(json.dumps(record))
        return ["calibration.json"]

    update_bundle_files(folder, outdate)
    with pytest.raises(BundleError, match="older program"):
        load_bundle(folder)
    untouched = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".json"}
    fitted = refit_sets(folder, train_and_val_only(drawn[0]))
    loaded = load_bundle(folder).calibration
    assert loaded.set_thresholds == fitted.set_thresholds
    assert loaded.set_groups == fitted.set_groups == (3, 3, 3, 3)
    assert all((folder / name).read_bytes() == data for name, data in untouched.items())
    assert loaded.temperature == classifier.bundle.calibration.temperature
    assert loaded.trust_limit == classifier.bundle.calibration.trust_limit


def test_refitted_bundle_knows_its_own_heads(refitted, drawn):
    from brain_cnn.evaluation.models import ServedModel
    from brain_cnn.inference.classifier import Classifier
    from brain_cnn.scan.types import Slice

    bundle = load_bundle(refitted[0])
    model = ServedModel(Classifier(bundle, make_engine(bundle, threads=1)))
    said = model.predict([Slice(drawn[0].images[i]) for i in drawn[0].split.val])
    assert said.familiar.mean() >= 0.9
    assert ((said.trust >= 0) & (said.trust <= 1)).all()


def test_other_sources_enter_gate_and_trust(refitted, drawn, classifier, tmp_path):
    """The same heads in other greys: known to the gate once they are among the trained ones."""
    shutil.copytree(refitted[0], tmp_path / "bundle")
    data = train_and_val_only(drawn[0])
    labels = [record.label for record in data.records]
    prepared = prepare_all(data.images, labels, drawn[1][:48], classifier.bundle.input_size)
    turned = replace(prepared, images=255 - prepared.images)
    others = OtherSources(turned, turned, turned)
    fitted = refit_calibration(tmp_path / "bundle", data, prepared, others=others)
    tensors = turned.images.astype(np.float32)[..., None] / np.float32(255)
    model = make_engine(load_bundle(tmp_path / "bundle")).run(tensors)
    assert (fitted.excesses(model.features, tensors) <= 1).all(axis=1).mean() >= 0.9
    assert refitted[1].trust.weights.tolist() != fitted.trust.weights.tolist()
