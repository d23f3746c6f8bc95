"""scripts/evaluate.py on drawn heads: what it writes is what the served model says."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from brain_cnn.evaluation.predictions import evaluate_file, read_predictions
from brain_cnn.inference.calibration import Calibration
from brain_cnn.labels import LABELS, NOTUMOR
from brain_cnn.phantoms import draw_phantom_with_mask

ROOT = Path(__file__).resolve().parents[2]
SIZE = 64
COLUMNS = [
    *("path", "class", "copy_group", "representative", "patient_group", "similarity_group"),
    *("figshare_index", "mirrored", "label_conflict", "protocol_split"),
    *("official_copy_in_training", "suspect"),
]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with a small bundle, drawn data, their masks, and a protocol."""
    import keras

    from brain_cnn.inference.bundle import BundleOrigin, write_bundle_json
    from brain_cnn.training.export.engine_files import export_all
    from brain_cnn.training.network import build_cnn

    folder = tmp_path_factory.mktemp("workshop")
    keras.utils.set_random_seed(1)
    model = build_cnn(SIZE, widths=(4, 8, 8, 8))
    bundle = folder / "bundle"
    bundle.mkdir()
    noise = np.random.default_rng(0).random((64, SIZE, SIZE, 1), dtype=np.float32)
    files = [*export_all(model, bundle, noise), *Calibration.identity().save(bundle)]
    write_bundle_json(
        bundle,
        name="small",
        version="0",
        input_size=SIZE,
        files=files,
        origin=BundleOrigin(),
    )
    rows = []
    for part, count, purpose in (("Training", 6, ("train", "val")), ("Testing", 4, ("test",))):
        for label in LABELS:
            for number in range(count):
                seed = number + (100 if part == "Testing" else 0)
                pixels, mask = draw_phantom_with_mask(label, seed)
                path = f"{part}/{label}/{label}_{number}.png"
                for root, picture in (("data", pixels), ("masks", mask)):
                    if root == "data" or label != NOTUMOR:
                        (folder / root / path).parent.mkdir(parents=True, exist_ok=True)
                        cv2.imwrite(str(folder / root / path), picture)
                row = dict.fromkeys(COLUMNS, "")
                row |= {"path": path, "class": label, "representative": "1", "label_conflict": "0"}
                row |= {
                    "copy_group": str(len(rows)),
                    "similarity_group": f"{part} {label} {number % 2}",
                }
                row |= {"protocol_split": purpose[number % len(purpose)]}
                row |= {"mirrored": "0", "official_copy_in_training": "0"}
                rows.append(row)
    with (folder / "protocol.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def evaluate(workshop, out, *more):
    return subprocess.run(
        [
            *(sys.executable, str(ROOT / "scripts" / "evaluate.py")),
            *("--model", str(workshop / "bundle"), "--data", str(workshop / "data")),
            *("--out", str(out), "--threads", "1", *map(str, more)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def protocol_run(workshop):
    out = workshop / "out"
    result = evaluate(
        workshop,
        out,
        *("--split", "protocol", "--protocol", workshop / "protocol.csv"),
        *("--masks", workshop / "masks"),
    )
    assert result.returncode == 0, result.stderr
    return out, result.stdout


def test_table_is_printed_saved_and_follows_from_the_predictions(protocol_run):
    out, printed = protocol_run
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["results"] == evaluate_file(out / "predictions.csv")
    assert metrics["results"]["n"] == 16
    assert metrics["leaky"] is False
    assert "n = 16 images of 8 groups" in printed
    for label in LABELS:
        assert label in printed


def test_predictions_are_what_the_served_model_says(workshop, protocol_run):
    from brain_cnn.inference.classifier import load_classifier

    classifier = load_classifier(workshop / "bundle")
    saved = read_predictions(protocol_run[0] / "predictions.csv")
    assert all(path.startswith("Testing/") for path in saved.paths)
    for path, probabilities in zip(saved.paths, saved.probabilities, strict=True):
        served = classifier.classify((workshop / "data" / path).read_bytes()).probabilities
        assert np.abs(np.array(list(served.values())) - probabilities).max() < 1e-5


def test_keras_weights_that_are_not_shipped_are_judged_in_the_same_way(workshop, protocol_run):
    import keras

    from brain_cnn.dataset.index import read_pixels
    from brain_cnn.evaluation.models import KerasModel
    from brain_cnn.inference.predictor import prepare_slices

    saved = read_predictions(protocol_run[0] / "predictions.csv")
    pixels = [read_pixels(workshop / "data" / path) for path in saved.paths]
    model = keras.models.load_model(workshop / "bundle" / "brain_cnn.keras")
    tensors = prepare_slices(pixels, SIZE)
    found = KerasModel(model, Calibration.identity()).probabilities(tensors)
    assert np.abs(found - saved.probabilities).max() < 1e-4


def test_all_figures_are_written_into_the_out_folder_alone(workshop, protocol_run):
    out, _ = protocol_run
    for kind in ("confusion", "roc", "precision_recall", "predictions", "gradcam"):
        assert (out / f"protocol_{kind}.png").stat().st_size > 1000
        assert (out / f"protocol_{kind}.svg").stat().st_size > 1000
    names = {p.name for p in (workshop / "bundle").iterdir()}
    assert not [n for n in names if n.endswith((".png", ".svg", ".csv"))]


def test_localisation_is_measured_on_val_tumours(protocol_run):
    out, printed = protocol_run
    localisation = json.loads((out / "metrics.json").read_text())["localisation"]
    assert localisation["n"] == 9  # three val slices of each tumour class
    assert 0 <= localisation["pointing"]["value"] <= 1
    assert "9 val tumours" in printed


def test_official_split_prints_the_published_reference_and_is_called_leaky(workshop, tmp_path):
    result = evaluate(
        workshop, tmp_path, "--split", "official", "--protocol", workshop / "protocol.csv"
    )
    assert result.returncode == 0, result.stderr
    assert "published reference" in result.stdout
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["leaky"] is True
    assert metrics["results"]["n"] == 16


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--split", "protocol"), "--protocol"),
        (("--data", "/nowhere/at-all.zip"), "at-all.zip"),
        (("--model", "/nowhere/bundle"), "model folder"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(workshop, tmp_path, arguments, word):
    result = evaluate(workshop, tmp_path, *arguments)
    assert result.returncode == 2
    assert word in result.stderr
    assert "Traceback" not in result.stderr
