"""`POST /view`: what the page's viewer gets, and the words beside an answer."""

import io
import json
from email import message_from_bytes

import numpy as np
import pytest
from browsing import volume_of
from conftest import client_of, encode, upload
from PIL import Image

from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.location import evidence_place
from brain_cnn.render.words import percent


def view(client, *files, **options):
    """Return the status and the parts of the answer: name -> bytes."""
    response = upload(client, *files, url="/view", **options)
    if response.status_code != 200:
        return response.status_code, response.get_json()
    return 200, parts_of(response.headers["Content-Type"], response.data)


def parts_of(kind, body):
    """Return the parts of a multipart body: name -> bytes."""
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return {
        part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True)
        for part in message.get_payload()
    }


def test_viewer_gets_the_slice_the_heat_of_all_classes_and_the_panel(confident, phantom_png):
    diagnosis = confident.classify(phantom_png)
    status, parts = view(client_of(confident), phantom_png)
    said = json.loads(parts["answer"])
    assert status == 200 and set(parts) == {"answer", "slice-0", "heat"}
    assert np.array_equal(Image.open(io.BytesIO(parts["slice-0"])), diagnosis.pixels)
    rows, columns = said["viewer"]["grid"]
    heat = np.frombuffer(parts["heat"], np.uint8).reshape(1, rows, columns, len(LABELS))
    assert np.abs(heat[0] / 255 - diagnosis.heat).max() < 0.003
    assert said["viewer"]["slices"][0]["box"] == pytest.approx(diagnosis.prepared.box, abs=0.01)
    assert said["result"]["label"] == diagnosis.label
    assert "data:image" not in said["html"] and 'id="viewer"' in said["html"]


def test_study_has_a_picture_a_box_and_shares_for_each_slice(confident, phantom):
    _, parts = view(client_of(confident), volume_of(phantom, 5))
    said = json.loads(parts["answer"])
    assert [f"slice-{i}" in parts for i in range(6)] == [True] * 5 + [False]
    assert len(said["viewer"]["slices"]) == len(said["result"]["slices"]) == 5
    assert sum(said["viewer"]["slices"][2]["shares"]) == pytest.approx(1)
    assert said["viewer"]["start"] == said["result"]["study"]["strongest_slice"]


def test_large_slice_is_scaled_down_with_its_box(confident):
    big = draw_phantom("glioma", 3, 1536)
    _, parts = view(client_of(confident), encode(big))
    one = json.loads(parts["answer"])["viewer"]["slices"][0]
    assert one["shape"] == [1536, 1536] and one["view"] == [768, 768]
    assert one["box"][2] == pytest.approx(confident.classify(encode(big)).prepared.box[2] / 2, 0.01)


def test_refused_slice_gets_no_heat_and_no_class(refusing, phantom_png):
    _, parts = view(client_of(refusing), phantom_png)
    said = json.loads(parts["answer"])
    assert "heat" not in parts and said["viewer"]["slices"][0]["shares"] is None
    assert not any(word in said["html"].lower() for word in ("glioma", "grad-cam"))


@pytest.mark.parametrize(("data", "status"), [(b"", 422), (b"hello", 415), (b"%PDF-1.7", 415)])
def test_bad_file_gets_a_problem_with_a_way_out(client, data, status):
    answered, problem = view(client, data)
    assert answered == problem["status"] == status and problem["detail"] and problem["hint"]


def test_view_of_another_site_is_refused(client, phantom_png):
    status, _ = view(client, phantom_png, headers={"Sec-Fetch-Site": "cross-site"})
    assert status == 403


def test_place_of_the_evidence_is_told_in_words(confident):
    pixels = draw_phantom("glioma", 3)
    words = {
        turn: evidence_place(confident.classify(encode(np.rot90(pixels, turn).copy())), "glioma")
        for turn in (0, 2)
    }
    opposite = {"upper": "lower", "left": "right", "middle": "middle", "centre": "centre"}
    opposite |= {value: key for key, value in opposite.items()}
    row, column, *rest = words[0].split()
    assert rest == ["of", "the", "picture"]
    assert words[2].split()[:2] == [opposite[row], opposite[column]], "turned by half a circle"


def test_measured_errors_of_the_class_stand_beside_the_answer(classifier, client):
    from brain_cnn.web.samples import sample_png

    for name in ("drawn-glioma", "drawn-meningioma", "mni152"):
        diagnosis = classifier.classify(sample_png(name))
        page = client.post("/", data={"sample": name}, content_type="multipart/form-data").text
        ours = json.loads((classifier.bundle.path / "metrics.json").read_text())["protocol"]["ours"]
        recall = ours["per_class"][diagnosis.label]["recall"]["value"]
        assert ("When it is" in page) == diagnosis.familiar
        if diagnosis.familiar:
            assert f"{recall * 100:.1f} %" in page
            assert f"of {ours['per_class'][diagnosis.label]['support']} test slices" in page


def test_no_share_is_called_certain():
    assert [percent(p) for p in (1.0, 0.9994, 0.5, 0.0)] == [
        "> 99.9 %", "> 99.9 %", "50.0 %", "< 0.1 %",
    ]  # fmt: skip
