"""Ask back: what the model says without a region, and what is refused."""

import base64
import io
import json

import cv2
import numpy as np
import pytest
from conftest import client_of, encode
from PIL import Image
from scanfiles import SECRETS, dicom

from brain_cnn.errors import RegionError
from brain_cnn.explain.region_fill import (
    MAX_POINTS,
    MAX_SHARE,
    fill_region,
    head_share,
    polygon_points,
    region_mask,
)
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.phantoms import draw_phantom, draw_phantom_with_mask

URL = "/api/v1/counterfactual"
SQUARE = [[90, 90], [130, 90], [130, 130], [90, 130]]


def ask(client, data, region=SQUARE, **fields):
    files = data if isinstance(data, list) else [data]
    form = {"file": [(io.BytesIO(d), f"Doe{n}.png") for n, d in enumerate(files)]}
    form["region"] = region if isinstance(region, str) else json.dumps(region)
    return client.post(URL, data=form | fields, content_type="multipart/form-data")


def around(mask, grow=5):
    """Return a polygon that a person would draw around a mask, generously."""
    wide = cv2.dilate(mask, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
    outlines, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.convexHull(np.concatenate(outlines))[:, 0]
    return np.clip(hull + 0.5, 0, np.array(mask.shape[::-1])).tolist()


def problem(response, status):
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    body = json.loads(response.data)
    assert body["detail"].endswith(".") and body["code"]
    return body


@pytest.mark.parametrize(("label", "seed"), [("meningioma", 1), ("meningioma", 4), ("glioma", 3)])
def test_without_the_drawn_tumour_its_probability_falls(client, label, seed):
    pixels, mask = draw_phantom_with_mask(label, seed)
    body = ask(client, encode(pixels), around(mask)).json
    assert body["before"]["label"] == label
    assert body["change"][label] < -0.05
    # The same shape elsewhere in the head does less.
    moved = np.roll(mask, 112 - int(np.nonzero(mask)[1].mean()), axis=1)
    elsewhere = ask(client, encode(pixels), around(np.roll(moved, 30, axis=0))).json
    assert elsewhere["change"][label] > body["change"][label]


def test_answer_has_every_documented_field(client, phantom_png):
    body = ask(client, phantom_png).json
    assert set(body) == {
        "slice_index", "region_pixels", "region_share", "before", "after", "change",
        "filled_png", "model", "timing_ms", "disclaimer",
    }  # fmt: skip
    assert body["disclaimer"] == DISCLAIMER and body["slice_index"] == 0
    assert body["region_pixels"] == pytest.approx(1600, rel=0.06)
    assert 0 < body["region_share"] < MAX_SHARE
    for said in (body["before"], body["after"]):
        assert set(said) >= {"label", "probabilities", "verdict", "familiar", "confidence"}
        assert sum(said["probabilities"].values()) == pytest.approx(1)
    for label in LABELS:
        moved = body["after"]["probabilities"][label] - body["before"]["probabilities"][label]
        assert body["change"][label] == pytest.approx(moved)


def test_before_is_what_predict_says(client, phantom_png):
    said = ask(client, phantom_png).json["before"]
    part = {"file": (io.BytesIO(phantom_png), "a.png")}
    (expected,) = client.post("/api/v1/predict", data=part).json["results"]
    for name in ("label", "verdict", "familiar", "prediction_set", "coverage"):
        assert said[name] == expected[name]
    assert said["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


def test_after_is_what_predict_says_of_the_filled_picture(client, phantom_png):
    body = ask(client, phantom_png).json
    filled = base64.b64decode(body["filled_png"].partition(",")[2])
    assert Image.open(io.BytesIO(filled)).size == (224, 224)
    part = {"file": (io.BytesIO(filled), "a.png")}
    (expected,) = client.post("/api/v1/predict", data=part).json["results"]
    assert body["after"]["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


def test_same_question_gets_the_same_answer(client, phantom_png):
    first, second = (ask(client, phantom_png).json for _ in range(2))
    first.pop("timing_ms"), second.pop("timing_ms")
    assert first == second


def test_slice_of_a_series_is_the_one_that_predict_counts(client):
    drawn = [draw_phantom("meningioma", n) for n in range(4)]
    files = [
        dicom(pixels.astype(np.uint16), InstanceNumber=n + 1,
              ImagePositionPatient=[0, 0, 5.0 * n], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        for n, pixels in enumerate(drawn)
    ][::-1]  # fmt: skip
    form = {"file": [(io.BytesIO(d), "a.dcm") for d in files]}
    result = client.post("/api/v1/predict", data=form).json["results"][0]
    assert result["slice_count"] == 4
    wanted = result["slices"][0]
    body = ask(client, files, slice_index=str(wanted["slice_index"])).json
    assert body["slice_index"] == wanted["slice_index"]
    assert body["before"]["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
    others = ask(client, files, slice_index="1").json
    assert others["before"]["probabilities"] != pytest.approx(wanted["probabilities"], abs=1e-4)


def test_slice_that_is_not_there_is_422(client, phantom_png):
    body = problem(ask(client, phantom_png, slice_index="1"), 422)
    assert "1 slice," in body["detail"] and body["code"] == "no-such-slice"


@pytest.mark.parametrize("text", ["-1", "1.5", "one", "9" * 5000])
def test_slice_index_that_is_no_number_is_400(client, phantom_png, text):
    problem(ask(client, phantom_png, slice_index=text), 400)


@pytest.mark.parametrize(
    "region",
    [
        "", "  ", "no json", "[" * 5000, '{"x": 1}', "null", "3", '"abcd"', "[]",
        [[1, 1], [9, 9]], [[1, 1], [9, 9], [1]], [[1, 1], [9, 9], [1, "a"]],
        [[1, 1], [9, 9], [True, 2]], [[1, 1], [9, 9], "ab"], "[[1,1],[9,9],[NaN,2]]",
        "[[1,1],[9,9],[Infinity,2]]", "[[1,1],[9,9],[1e400,2]]",
        "[[1,1],[9,9],[1" + "0" * 400 + ",2]]",
        [[n % 200, n % 190] for n in range(MAX_POINTS + 1)], "[" + "[1,1]," * 50_000 + "[1,1]]",
    ],
    ids=lambda region: str(region)[:24],
)  # fmt: skip
def test_malformed_region_is_400_with_a_sentence(client, phantom_png, region):
    problem(ask(client, phantom_png, region), 400)


def test_missing_region_is_400(client, phantom_png):
    form = {"file": (io.BytesIO(phantom_png), "a.png")}
    assert "region" in problem(client.post(URL, data=form), 400)["detail"]


@pytest.mark.parametrize(
    ("region", "code"),
    [
        ([[-1, 5], [20, 5], [20, 20]], "region-outside"),
        ([[5, 5], [224.5, 5], [20, 20]], "region-outside"),
        ([[50, 50], [50, 50], [50, 50]], "empty-region"),
        ([[50, 50], [90, 90], [70, 70]], "empty-region"),
        ([[0, 0], [224, 0], [224, 224], [0, 224]], "region-too-large"),
    ],
)
def test_region_that_does_not_fit_is_422(client, phantom_png, region, code):
    assert problem(ask(client, phantom_png, region), 422)["code"] == code


def test_region_up_to_the_very_edge_is_allowed(client, phantom_png):
    assert ask(client, phantom_png, [[0, 0], [224, 0], [224, 20], [0, 20]]).status_code == 200


def test_bad_files_are_the_same_problems_as_for_predict(client, phantom):
    assert problem(ask(client, b"hello"), 415)["code"] == "not-an-image"
    problem(client.post(URL, data={"region": json.dumps(SQUARE)}), 400)
    ct = dicom(phantom.astype(np.uint16), Modality="CT")
    assert problem(ask(client, ct), 422)["code"] == "not-mri"
    assert ask(client, ct, force="1").status_code == 200


def test_file_name_and_patient_do_not_come_back(client, phantom):
    said = ask(client, dicom(phantom.astype(np.uint16))).text.lower()
    assert not [secret for secret in SECRETS if secret.lower() in said]
    assert "doe" not in said.replace(json.loads(said)["filled_png"], "")


def test_unfamiliar_slice_is_said_to_be_so(refusing, phantom_png):
    body = ask(client_of(refusing), phantom_png).json
    assert body["before"]["verdict"] == body["after"]["verdict"] == "unfamiliar"


def test_nothing_of_the_region_is_left(phantom):
    mask = region_mask(polygon_points(SQUARE), phantom)
    marked = phantom.copy()
    marked[mask] = 255
    black = phantom.copy()
    black[mask] = 0
    assert np.array_equal(fill_region(marked, mask)[mask], fill_region(black, mask)[mask])
    assert not np.array_equal(marked, black)


def test_slice_is_unchanged_away_from_the_region(phantom):
    mask = region_mask(polygon_points(SQUARE), phantom)
    filled = fill_region(phantom, mask)
    far = ~cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8)).astype(bool)
    assert np.array_equal(filled[far], phantom[far])
    assert not np.array_equal(filled, phantom)


def test_fill_stays_within_the_grey_of_its_rim():
    pixels = np.full((200, 200), 100, np.uint8)
    mask = np.zeros((200, 200), bool)
    mask[60:140, 60:140] = True
    pixels[mask] = 255
    filled = fill_region(pixels, mask)
    assert abs(filled.astype(int) - 100).max() <= 1


def test_fill_has_the_grain_of_its_surroundings():
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(120, 10, (256, 256)), 0, 255).astype(np.uint8)
    mask = np.zeros(pixels.shape, bool)
    mask[90:160, 90:160] = True
    inside = fill_region(pixels, mask)[100:150, 100:150].std()
    assert 5 < inside < 15


def test_scribble_counts_what_it_encloses(phantom):
    turn = np.linspace(0, 4 * np.pi, 120)  # twice around: even-odd would leave a hole
    loop = np.column_stack([112 + 30 * np.cos(turn), 112 + 30 * np.sin(turn)])
    assert region_mask(loop, phantom).sum() == pytest.approx(np.pi * 900, rel=0.08)


@pytest.mark.parametrize("side", [24, 61, 3000])
def test_slices_of_any_size_can_be_filled(side):
    pixels = draw_phantom("glioma", 1, side)
    square = (np.array([[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]) * side).tolist()
    mask = region_mask(polygon_points(square), pixels)
    filled = fill_region(pixels, mask)
    assert filled.shape == pixels.shape and filled.dtype == np.uint8
    assert np.array_equal(filled[:2], pixels[:2])


def test_black_slice_has_no_head_to_measure_by():
    pixels = np.zeros((100, 100), np.uint8)
    mask = np.zeros((100, 100), bool)
    mask[:50] = True
    assert head_share(mask, pixels) == pytest.approx(0.5, abs=0.02)
    with pytest.raises(RegionError):
        region_mask(polygon_points([[0, 0], [100, 0], [100, 100], [0, 100]]), pixels)
