"""The shipped model is the one that its papers describe.

A missing bundle fails here: the product is nothing without its model.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from realdata import REAL_DATA, needs_real_data

from brain_cnn.evaluation.metrics import PUBLISHED_REFERENCE
from brain_cnn.evaluation.predictions import evaluate_file, read_predictions
from brain_cnn.inference.bundle import load_bundle
from brain_cnn.inference.engines import ENGINES, make_engine
from brain_cnn.inference.predictor import Predictor
from brain_cnn.labels import LABELS, NOTUMOR, label_index

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "brain_cnn"
SPLITS = ("protocol", "official")


@pytest.fixture(scope="module")
def metrics():
    return json.loads((SHIPPED / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(SHIPPED)


@pytest.fixture(scope="module")
def protocol(bundle):
    """Return part -> (records, slices, what the shipped bundle says) of the protocol split."""
    from brain_cnn.dataset.index import index_images, load_images
    from brain_cnn.dataset.locate import locate_data
    from brain_cnn.dataset.splits import protocol_split

    root = locate_data(str(REAL_DATA / "brain-tumor-mri.zip"))
    records = index_images(root)
    split = protocol_split(records, REAL_DATA / "provenance.csv")
    engine = make_engine(bundle, threads=2)
    parts = {}
    for name in ("val", "test"):
        chosen = [records[i] for i in getattr(split, name)]
        images, unreadable = load_images(root, chosen, 2)
        assert unreadable == []
        output = Predictor(engine.run, bundle.input_size).predict_slices(images)
        parts[name] = (chosen, images, output)
    return root, parts


def assert_same(found, expected, place=""):
    """Compare nested numbers; `found` may hold more than `expected`."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert_same(found[key], value, f"{place}/{key}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=2e-6), place
    else:
        assert found == expected, place


@pytest.mark.parametrize("split", SPLITS)
def test_every_table_follows_from_the_predictions(metrics, split):
    section = metrics[split]
    assert set(section["predictions"]) == {"ours", "baseline"}
    for model, file in section["predictions"].items():
        assert_same(section[model], evaluate_file(SHIPPED / file), f"{split}/{model}")


def test_no_predictions_lie_about_that_no_table_uses(metrics):
    named = {file for split in SPLITS for file in metrics[split]["predictions"].values()}
    assert {f"predictions/{p.name}" for p in (SHIPPED / "predictions").iterdir()} == named


def test_only_the_official_table_is_leaky_and_it_says_so(metrics):
    assert metrics["protocol"]["leaky"] is False
    assert metrics["official"]["leaky"] is True
    assert metrics["official"]["reference"] == PUBLISHED_REFERENCE
    assert metrics["official"]["sentence"]


def test_intervals_are_over_groups_and_no_patient_is_an_image(metrics):
    for split in SPLITS:
        for model in ("ours", "baseline"):
            result = metrics[split][model]
            assert 1 < result["groups"] < result["n"]


def test_official_model_beats_the_published_reference(metrics):
    ours = metrics["official"]["ours"]
    assert ours["n"] == 1311
    assert ours["accuracy"]["value"] >= 0.97
    for label, published in PUBLISHED_REFERENCE.items():
        assert ours["per_class"][label]["f1"]["value"] > published["f1"], label


def test_baseline_was_judged_on_the_same_images(metrics):
    for split in SPLITS:
        ours, baseline = (
            read_predictions(SHIPPED / metrics[split]["predictions"][model])
            for model in ("ours", "baseline")
        )
        assert ours.paths == baseline.paths
        assert ours.groups == baseline.groups
        assert ours.true.tolist() == baseline.true.tolist()


def test_model_folder_is_at_most_20_megabytes():
    assert sum(p.stat().st_size for p in SHIPPED.rglob("*") if p.is_file()) <= 20e6


def test_network_has_at_most_three_million_parameters(bundle):
    import keras

    assert keras.models.load_model(bundle.keras_path, compile=False).count_params() <= 3_000_000


def test_figures_of_numbers_are_shipped_and_none_that_shows_an_image():
    names = {p.name for p in (SHIPPED / "figures").iterdir()}
    for kind in ("confusion", "roc", "precision_recall"):
        for suffix in ("png", "svg"):
            assert f"protocol_ours_{kind}.{suffix}" in names
    for figure in (SHIPPED / "figures").glob("*.svg"):
        # matplotlib embeds a shown picture as data; a colour scale is the one exception.
        shown = figure.read_text(encoding="utf-8").count("data:image/png")
        assert shown <= (2 if "confusion" in figure.name else 0), figure.name
    assert not [n for n in names if "gradcam" in n or "predictions" in n]


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_gradcam_example_in_the_docs_runs(tmp_path, monkeypatch):
    import cv2

    from brain_cnn.phantoms import draw_phantom

    root = SHIPPED.parent.parent
    text = (root / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    example = "\n".join(block for block in blocks if "make_gradcam_heatmap" in block)
    assert 'make_gradcam_heatmap(img_array, model, last_conv_layer_name="conv2d_1")' in example
    assert "plt.matshow(heatmap)" in example
    cv2.imwrite(str(tmp_path / "slice.png"), draw_phantom("glioma"))
    (tmp_path / "models").symlink_to(root / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    space = {}
    exec(example, space)
    assert space["heatmap"].ndim == 2
    assert 0 <= space["heatmap"].min() <= space["heatmap"].max() == 1


@needs_real_data
def test_shipped_bundle_gives_the_published_protocol_numbers(bundle, metrics, protocol):
    records, _, output = protocol[1]["test"]
    probabilities = bundle.calibration.probabilities(output.logits)
    published = read_predictions(SHIPPED / metrics["protocol"]["predictions"]["ours"])
    row = {path: i for i, path in enumerate(published.paths)}
    assert set(row) == {r.path for r in records}
    order = [row[r.path] for r in records]
    difference = np.abs(probabilities - published.probabilities[order])
    assert difference.max() < 1e-3
    truth = np.array([label_index(r.label) for r in records])
    accuracy = (probabilities.argmax(axis=1) == truth).mean()
    assert accuracy == pytest.approx(metrics["protocol"]["ours"]["accuracy"]["value"], abs=1e-6)


@needs_real_data
def test_served_heatmap_equals_gradcam_on_the_shipped_model(bundle, protocol):
    import keras

    from brain_cnn.explain.gradcam import make_gradcam_heatmap
    from brain_cnn.inference.classifier import load_classifier

    root, parts = protocol
    records = parts["val"][0]
    classifier = load_classifier(SHIPPED)
    model = keras.models.load_model(bundle.keras_path, compile=False)
    seen = dict.fromkeys(LABELS, 0)
    for record in records[:: len(records) // 40]:
        diagnosis = classifier.classify((root / record.path).read_bytes())
        image = diagnosis.prepared.tensor[None]
        maps = keras.ops.convert_to_numpy(model(image, training=False)["class_maps"])[0]
        for i, label in enumerate(LABELS):
            peak = maps[..., i].max()
            # A map that barely reaches above 0 is scaled up with its rounding errors.
            if 0 < peak < 0.02 * np.abs(maps[..., i]).max():
                continue
            heat = make_gradcam_heatmap(image, model, pred_index=i)
            assert np.abs(heat - diagnosis.heat[..., i]).max() < 1e-4, (record.path, label)
            seen[label] += 1
            assert np.allclose(
                diagnosis.heatmaps[label], diagnosis.prepared.to_slice(heat), atol=2e-4
            )
    assert min(seen.values()) >= 5  # every class was compared, not skipped


@needs_real_data
def test_correctly_classified_tumours_hardly_ever_have_an_empty_map(protocol):
    records, _, output = protocol[1]["val"]
    called = output.logits.argmax(axis=1)
    empty = [
        output.class_maps[i, ..., called[i]].max() <= 0
        for i, record in enumerate(records)
        if record.label != NOTUMOR and LABELS[called[i]] == record.label
    ]
    assert len(empty) > 100
    assert np.mean(empty) <= 0.01


@needs_real_data
@pytest.mark.parametrize("name", ENGINES[1:])
def test_every_engine_says_the_same(bundle, protocol, name):
    _, images, output = protocol[1]["val"]
    few = slice(None, None, max(1, len(images) // 32))
    engine = make_engine(bundle, name)
    other = Predictor(engine.run, bundle.input_size).predict_slices(images[few])
    probabilities, others = (
        bundle.calibration.probabilities(logits) for logits in (output.logits[few], other.logits)
    )
    assert np.abs(others - probabilities).max() < 1e-3
