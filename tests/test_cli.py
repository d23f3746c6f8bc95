"""`scripts/predict.py`: a row per file, in three forms, with a documented exit status."""

import csv
import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encode
from PIL import Image
from scanfiles import dicom, nifti


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
    with Image.open(saved[0]) as picture:
        assert len(saved) == 2 and picture.size == (224, 224)


@pytest.fixture
def tree(tmp_path, phantom, phantom_png):
    """Return a folder with every family of formats and some junk in it."""
    root = tmp_path / "tree"
    (root / "series").mkdir(parents=True)
    deep = phantom.astype(np.uint16)
    for place in range(3):
        position = {
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [0, 0, -place],
        }
        (root / "series" / f"{place}").write_bytes(dicom(deep, **position))
    (root / "a.png").write_bytes(phantom_png)
    (root / "b.nii.gz").write_bytes(gzip.compress(nifti(np.stack([deep.astype(np.int16)] * 30, 2))))
    (root / "ct.dcm").write_bytes(dicom(deep, Modality="CT", SeriesInstanceUID="1.2"))
    (root / "junk.dcm").write_bytes(b"junk")
    (root / "empty").write_bytes(b"")
    (root / "cut.png").write_bytes(phantom_png[:100])
    (root / "notes.txt").write_text("words")
    with zipfile.ZipFile(root / "z.zip", "w") as archive:
        archive.writestr("1.png", phantom_png)
        archive.writestr("2.png", encode(phantom[:, ::-1]))
    return root


def test_tree_of_everything_finishes_with_each_failure_in_its_row(tree, confident_bundle):
    out = predict(tree, "--json", model=confident_bundle, status=1).stdout
    rows = {Path(row["file"]).name: row for row in json.loads(out)["results"]}
    codes = {name: row["code"] for name, row in rows.items() if "code" in row}
    assert codes == {
        "ct.dcm": "not-mri",
        "junk.dcm": "not-an-image",
        "notes.txt": "not-an-image",
        "empty": "empty-file",
        "cut.png": "damaged-image",
    }
    counts = {name: row["slice_count"] for name, row in rows.items() if "code" not in row}
    assert counts == {"a.png": 1, "b.nii.gz": 30, "0": 3, "z.zip": 2}
    assert [s["position_mm"] for s in rows["0"]["slices"]] == [-2, -1, 0]
    assert rows["0"]["files"] == 3 and rows["0"]["study"]["slice_count"] == 3
    assert rows["a.png"]["study"] is None


def test_table_and_csv_show_the_whole_tree(tree, confident_bundle):
    table = predict(tree, model=confident_bundle, status=1).stdout
    assert "3 slices" in table and "This is a CT" in table and "empty" in table
    out = predict(tree, "--csv", model=confident_bundle, status=1).stdout
    assert len(list(csv.DictReader(io.StringIO(out)))) == 9


def test_force_and_plane_are_options(tree, confident_bundle):
    predict(tree / "ct.dcm", "--force", model=confident_bundle)
    out = predict(tree / "b.nii.gz", "--json", "--plane", "sagittal", model=confident_bundle).stdout
    assert json.loads(out)["results"][0]["scan"]["plane"] == "sagittal"
    predict(tree / "b.nii.gz", "--plane", "diagonal", status=2)


def test_progress_goes_to_a_terminal(tree, confident_bundle):
    import os
    import pty

    terminal, other_end = pty.openpty()
    script = str(ROOT / "scripts" / "predict.py")
    command = [sys.executable, script, str(tree / "b.nii.gz"), "--model", str(confident_bundle)]
    running = subprocess.Popen(command, stderr=other_end, stdout=subprocess.DEVNULL, cwd="/")
    os.close(other_end)
    said = b""
    try:
        while piece := os.read(terminal, 4096):
            said += piece
    except OSError:  # the program has closed its end
        pass
    assert running.wait(120) == 0 and b"b.nii.gz: 30 of 30 slices" in said


def test_missing_file_is_reported_in_its_row(tmp_path):
    assert "cannot be opened" in predict(tmp_path / "nothing.png", status=1).stdout


def test_missing_model_and_wrong_use_have_their_own_status(folder, tmp_path):
    assert "no model folder" in predict(folder, model=tmp_path / "x", status=3).stderr
    predict(folder, "--jsno", status=2)
