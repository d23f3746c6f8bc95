"""`scripts/predict.py`: a row per file, in three forms, with a documented exit status."""

import csv
import io
import json
import subprocess
import sys

import pytest
from conftest import ROOT
from PIL import Image


@pytest.fixture
def folder(tmp_path, phantom_png):
    tree = tmp_path / "slices"
    (tree / "deep").mkdir(parents=True)
    (tree / ".hidden").mkdir()
    (tree / "a.png").write_bytes(phantom_png)
    (tree / "deep" / "b.dat").write_bytes(phantom_png)
    (tree / ".hidden" / "c.png").write_bytes(phantom_png)
    return tree


def predict(*arguments, model=None, status=0):
    command = [sys.executable, str(ROOT / "scripts" / "predict.py"), *map(str, arguments)]
    if model is not None:
        command += ["--model", str(model)]
    # From another folder: the shipped model is found from the package's own place.
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)
    assert result.returncode == status, result.stderr
    return result


def test_folder_gives_a_row_per_file_and_hides_the_hidden(folder, confident_bundle):
    out = predict(folder, model=confident_bundle).stdout
    assert "a.png" in out and "b.dat" in out and "c.png" not in out
    assert out.count("confident") == 2 and "not for diagnosis" in out


def test_json_holds_what_the_classifier_says(folder, confident_bundle, confident, phantom_png):
    results = json.loads(predict(folder, "--json", model=confident_bundle).stdout)["results"]
    expected = confident.classify(phantom_png).probabilities
    assert [r["probabilities"] for r in results] == [pytest.approx(expected)] * 2


def test_csv_can_be_read_back_with_junk_in_its_row(folder, confident_bundle):
    (folder / "junk.png").write_bytes(b"junk")
    out = predict(folder, "--csv", model=confident_bundle, status=1).stdout
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [bool(row["error"]) for row in rows] == [False, False, True]
    good = rows[0]
    shares = [float(good[name]) for name in ("glioma", "meningioma", "notumor", "pituitary")]
    assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_overlays_are_saved(folder, confident_bundle, tmp_path):
    predict(folder, "--overlays", tmp_path / "out", model=confident_bundle)
    saved = sorted((tmp_path / "out").iterdir())
    assert len(saved) == 2 and Image.open(saved[0]).size == (224, 224)


def test_missing_file_is_reported_in_its_row(tmp_path):
    assert "cannot be opened" in predict(tmp_path / "nothing.png", status=1).stdout


def test_missing_model_and_wrong_use_have_their_own_status(folder, tmp_path):
    assert "no model folder" in predict(folder, model=tmp_path / "x", status=3).stderr
    predict(folder, "--jsno", status=2)
