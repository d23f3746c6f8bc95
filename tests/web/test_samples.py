"""Slices to try: what they are is said, and the model's answer is its real one."""

import gzip
import io
import zipfile

import nibabel
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from brain_cnn.scan import read_scan
from brain_cnn.web.samples import SAMPLES, sample_png
from scripts import make_samples

NAMES = [sample.name for sample in SAMPLES]


def test_there_are_three_drawings_and_a_real_head():
    assert len(SAMPLES) == 4 and len(set(NAMES)) == 4
    drawn = [sample for sample in SAMPLES if "drawing, not a patient" in sample.caption]
    assert len(drawn) == 3 and NAMES[-1] == "mni152"
    assert all(title and caption.endswith(".") for _, title, caption in SAMPLES)


@pytest.mark.parametrize("name", NAMES)
def test_sample_is_a_picture_that_we_read(client, name):
    response = client.get(f"/samples/{name}.png")
    assert response.status_code == 200 and response.content_type == "image/png"
    assert len(response.data) < 60_000
    assert min(read_scan(response.data).slices[0].pixels.shape) >= 150


def test_unknown_sample_is_404_and_400(client):
    assert client.get("/samples/passwd.png").status_code == 404
    assert client.get("/samples/..%2f..%2fapp.png").status_code == 404
    response = client.post(
        "/api/v1/predict", data={"sample": "nobody"}, content_type="multipart/form-data"
    )
    assert response.status_code == 400 and "mni152" in response.json["detail"]


@pytest.mark.parametrize("name", NAMES)
def test_form_without_javascript_judges_a_sample(client, name):
    response = client.post("/", data={"sample": name}, content_type="multipart/form-data")
    assert response.status_code == 200 and "data:image/png;base64" in response.text


@pytest.mark.parametrize("name", NAMES)
def test_answer_for_a_sample_is_that_for_its_file(client, name):
    (by_name,) = client.post(
        "/api/v1/predict", data={"sample": name}, content_type="multipart/form-data"
    ).json["results"]
    part = {"file": (io.BytesIO(sample_png(name)), "a.png")}
    (by_file,) = client.post("/api/v1/predict", data=part).json["results"]
    by_name.pop("timing_ms"), by_file.pop("timing_ms")
    assert by_name == by_file


def test_chosen_file_goes_before_a_sample(client, phantom_png):
    part = {"file": (io.BytesIO(phantom_png), "a.png"), "sample": "mni152"}
    (result,) = client.post("/api/v1/predict", data=part).json["results"]
    part = {"file": (io.BytesIO(phantom_png), "a.png")}
    (expected,) = client.post("/api/v1/predict", data=part).json["results"]
    assert result["probabilities"] == expected["probabilities"]


def test_real_head_is_symmetric_and_carries_its_notice():
    pixels = np.asarray(Image.open(io.BytesIO(sample_png("mni152"))), np.float64)
    assert np.corrcoef(pixels.ravel(), pixels[:, ::-1].ravel())[0, 1] > 0.95
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert "mni152.png" in notice and "McConnell Brain Imaging Centre" in notice


def test_drawings_are_drawn_once():
    assert sample_png("drawn-glioma") is sample_png("drawn-glioma")


def volume(shape=(32, 40, 100)):
    """Return a NIfTI file at 1 mm, whose slices are told apart by their grey."""
    values = np.zeros(shape, np.uint8)
    values[5:15, 4:20] = np.arange(100, 100 + shape[2], dtype=np.uint8)
    image = nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 1.0, 1.0]))
    return gzip.compress(image.to_bytes())


def test_script_takes_the_slice_out_of_a_wheel(tmp_path, capsys):
    wheel, out = tmp_path / "nilearn-0-py3-none-any.whl", tmp_path / "out" / "head.png"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            f"nilearn/datasets/data/{make_samples.TEMPLATE}_converted.nii.gz", volume()
        )
    assert make_samples.main([str(wheel), "--out", str(out)]) == 0
    made = np.asarray(Image.open(out))
    place = make_samples.SLICE_MM - make_samples.LOWEST_MM
    expected = read_scan(volume()).slices[place].pixels
    assert np.array_equal(made, expected) and made.max() > 0
    assert not np.array_equal(made, read_scan(volume()).slices[place - 1].pixels)


def test_script_says_what_is_wrong_with_a_source(tmp_path, capsys):
    empty = tmp_path / "other.whl"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("x", b"")
    (tmp_path / "no.whl").write_bytes(b"no")
    for source in (empty, tmp_path / "no.whl", tmp_path / "missing.nii.gz"):
        assert make_samples.main([str(source), "--out", str(tmp_path / "x.png")]) == 2
        assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
