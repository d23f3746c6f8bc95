"""`POST /api/v1/predict` answers as documented, errors included."""

import base64
import io
import json

import numpy as np
import pytest
from conftest import client_of, encode, upload
from PIL import Image

from brain_cnn.inference.classifier import Classifier
from brain_cnn.labels import DISCLAIMER, LABELS


def check_problem(response, status):
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    body = json.loads(response.data)
    assert body["status"] == status and body["title"] and body["type"] == "about:blank"
    assert body["detail"].endswith(".") and body["code"]
    assert response.headers["Cache-Control"] == "no-store"
    return body


def test_result_has_every_documented_field(client, phantom_png):
    response = upload(client, phantom_png)
    assert response.status_code == 200 and response.content_type == "application/json"
    (result,) = response.json["results"]
    assert set(result) >= {
        "label", "confidence", "probabilities", "prediction_set", "coverage", "familiar",
        "familiarity", "reasons", "verdict", "slice_index", "slice_count", "model",
        "timing_ms", "disclaimer",
    }  # fmt: skip
    assert tuple(result["probabilities"]) == LABELS
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    assert set(result["model"]) == {"name", "version", "sha256"}
    assert result["disclaimer"] == DISCLAIMER
    assert "heatmap" not in result


def test_answer_is_that_of_the_classifier(client, classifier, phantom_png):
    expected = classifier.classify(phantom_png)
    (result,) = upload(client, phantom_png).json["results"]
    assert result["probabilities"] == pytest.approx(expected.probabilities)
    assert result["label"] == expected.label and result["verdict"] == expected.verdict


def test_many_files_keep_their_order_and_a_bad_one_its_place(client, phantom_png):
    response = upload(client, phantom_png, b"junk", phantom_png)
    assert response.status_code == 200
    first, second, third = response.json["results"]
    assert first["probabilities"] == third["probabilities"]
    assert second["status"] == 415 and second["code"] == "not-an-image"


def test_png_heatmap_has_the_slice_s_size(client, phantom_png):
    response = upload(client, phantom_png, url="/api/v1/predict?heatmap=png")
    heatmap = response.json["results"][0]["heatmap"]
    head, _, body = heatmap["png"].partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (224, 224)


def test_raw_heatmap_is_the_classifier_s_grid(client, classifier, phantom_png):
    response = upload(client, phantom_png, url="/api/v1/predict?heatmap=raw")
    heatmap = response.json["results"][0]["heatmap"]
    expected = classifier.classify(phantom_png).heat
    grids = np.stack([heatmap["grids"][label] for label in LABELS], axis=2)
    assert np.abs(grids - expected).max() < 1e-4
    assert heatmap["shape"] == [224, 224] and set(heatmap["box"]) == {"top", "left", "side"}


def test_unknown_heatmap_is_400(client, phantom_png):
    check_problem(upload(client, phantom_png, url="/api/v1/predict?heatmap=gif"), 400)


def test_no_file_is_400(client):
    check_problem(client.post("/api/v1/predict"), 400)
    check_problem(client.post("/api/v1/predict", data={"other": "x"}), 400)
    check_problem(client.post("/api/v1/predict", json={"file": "x"}), 400)


@pytest.mark.parametrize(
    ("data", "status"), [(b"", 422), (b"hello", 415), (b"\x89PNG\r\n\x1a\n", 422)]
)
def test_bad_file_is_a_problem(client, data, status):
    check_problem(upload(client, data), status)


def test_truncated_jpeg_is_422(client, phantom):
    data = encode(phantom, "JPEG")
    check_problem(upload(client, data[: len(data) // 2]), 422)


def test_file_over_the_limit_is_413(classifier):
    small = client_of(classifier, max_file_mib=1, max_request_mib=1)
    body = check_problem(upload(small, b"x" * 1_200_000), 413)
    assert "1 MiB" in body["detail"]


def test_too_many_files_is_413(classifier, phantom_png):
    body = check_problem(upload(client_of(classifier, max_files=2), *[phantom_png] * 3), 413)
    assert "limit is 2" in body["detail"]


def test_thousand_parts_are_a_setting(classifier, phantom_png):
    data = {f"x{number}": "1" for number in range(1200)}
    data["file"] = (io.BytesIO(phantom_png), "a.png")
    for limit, status in ((1000, 413), (2000, 200)):
        data["file"] = (io.BytesIO(phantom_png), "a.png")
        client = client_of(classifier, max_form_parts=limit)
        assert client.post("/api/v1/predict", data=data).status_code == status


def test_unknown_address_and_method_are_problems(client):
    check_problem(client.get("/api/v1/nothing"), 404)
    response = client.get("/api/v1/predict")
    check_problem(response, 405)
    assert "POST" in response.headers["Allow"]


def test_failure_of_ours_is_a_problem_without_details(confident, phantom_png, monkeypatch):
    def broken(self, files, **options):
        raise RuntimeError("secret detail")

    client = client_of(confident)
    monkeypatch.setattr(Classifier, "classify_together", broken)
    response = upload(client, phantom_png)
    check_problem(response, 500)
    assert b"secret" not in response.data


def test_health_and_readiness(client, classifier):
    assert client.get("/healthz").json == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json["model"]["sha256"] == classifier.bundle.sha256
