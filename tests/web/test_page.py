"""The page without JavaScript: the right words with the right status."""

import re

import numpy as np
import pytest
from conftest import client_of, encode, upload

from brain_cnn.labels import DISCLAIMER, DISPLAY_NAMES, LABELS


def post(classifier, data, **options):
    response = upload(client_of(classifier), data, url="/", **options)
    return response, response.get_data(as_text=True)


def test_start_page_asks_for_a_slice(client):
    page = client.get("/").get_data(as_text=True)
    assert '<form id="upload"' in page and 'enctype="multipart/form-data"' in page
    assert DISCLAIMER in page


def test_confident_answer_shows_class_confidence_bars_and_pictures(confident, phantom_png):
    diagnosis = confident.classify(phantom_png)
    response, page = post(confident, phantom_png)
    assert response.status_code == 200
    assert DISPLAY_NAMES[diagnosis.label] in page
    assert f"{diagnosis.confidence * 100:.1f} %" in page
    assert len(re.findall(r'<rect class="fill"', page)) == len(LABELS)
    assert page.count('src="data:image/png;base64,') == 2
    assert 'class="scale"' in page and DISCLAIMER in page


def test_bars_have_the_width_of_the_probability(confident, phantom_png):
    shares = sorted(confident.classify(phantom_png).probabilities.values(), reverse=True)
    _, page = post(confident, phantom_png)
    widths = [float(w) for w in re.findall(r'class="fill" width="([\d.]+)%"', page)]
    assert widths == pytest.approx([share * 100 for share in shares], abs=0.01)


def test_uncertain_answer_says_so(uncertain, phantom_png):
    _, page = post(uncertain, phantom_png)
    assert "Uncertain: it could be any of the four classes" in page


def test_unfamiliar_picture_gets_a_sentence_and_no_class(refusing, phantom_png):
    response, page = post(refusing, phantom_png)
    assert response.status_code == 200
    assert "Not like the brain MRI that this model knows" in page
    assert "feature-distance" in page and "<td>-1.0</td>" in page, "check and limit are shown"
    for word in ("glioma", "meningioma", "pituitary", "calibrated probability"):
        assert word not in page.lower()
    assert page.count("data:image/png") == 1, "no heatmap for a class that is not named"


def test_notumor_never_reads_healthy():
    assert "healthy" not in DISPLAY_NAMES["notumor"].lower()


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 422, "The file is empty."),
        (b"hello", 415, "This is not an image file."),
        (b"\x89PNG\r\n\x1a\n123", 422, "truncated or damaged"),
        (bytes(128) + b"DICM", 422, "DICOM"),
        (b"%PDF-1.7", 415, "PDF"),
    ],
)
def test_bad_file_gets_a_sentence_on_the_page(classifier, data, status, words):
    response, page = post(classifier, data)
    assert response.status_code == status
    assert words in page and '<form id="upload"' in page, "and the form to try again"


def test_no_file_gets_a_sentence_on_the_page(client):
    response = client.post("/", data={})
    assert response.status_code == 400 and "No file was sent" in response.get_data(as_text=True)


def test_too_large_gets_a_sentence_on_the_page(classifier):
    small = client_of(classifier, max_file_mib=1, max_request_mib=2)
    over_file = upload(small, b"\x89PNG\r\n\x1a\n" + bytes(1_200_000), url="/")
    over_request = upload(small, bytes(3_000_000), url="/")
    assert over_file.status_code == over_request.status_code == 413
    assert "the limit is" in over_file.get_data(as_text=True)
    assert "2 MiB" in over_request.get_data(as_text=True)


def test_unknown_page_is_404_in_words(client):
    response = client.get("/nowhere")
    assert response.status_code == 404 and "nothing at this address" in response.text


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://x.y"}],
)
def test_form_of_another_site_is_refused(client, phantom_png, headers):
    response = upload(client, phantom_png, url="/", headers=headers)
    assert response.status_code == 403 and "another site" in response.text


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}]
)
def test_own_form_is_let_through(client, phantom_png, headers):
    assert upload(client, phantom_png, url="/", headers=headers).status_code == 200


def test_every_answer_has_the_security_headers(client, phantom_png):
    answers = [
        client.get("/"),
        upload(client, phantom_png, url="/"),
        upload(client, phantom_png),
        client.get("/nowhere"),
        client.get("/static/css/base.css?v=1"),
        client.get("/static/js/heat.js"),
    ]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert [a.headers["Cache-Control"] for a in answers[:4]] == ["no-store"] * 4
    assert "immutable" in answers[4].headers["Cache-Control"]
    # A module is asked for by another one, without its hash: a new version must be seen.
    assert "no-cache" in answers[5].headers["Cache-Control"]


def test_page_has_nothing_inline_and_nothing_foreign(confident, phantom_png):
    client = client_of(confident)
    answers = [upload(client, phantom_png, url=url) for url in ("/", "/view")]
    pages = [answer.data.decode("latin-1") for answer in answers]
    for page in (*pages, client.get("/").text, client.get("/model").text):
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", page)
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"(https?:)?//", page)


def test_colourful_words_of_a_file_do_not_reach_the_page(client):
    response = client.post("/?x=<script>alert(1)</script>", data={})
    assert "<script>alert" not in response.text


def test_empty_heat_is_said(confident, phantom_png, monkeypatch):
    engine = confident.engine
    real = engine.run

    def without_evidence(batch):
        output = real(batch)
        return output._replace(class_maps=-np.abs(output.class_maps) - 1)

    monkeypatch.setattr(engine, "run", without_evidence)
    _, page = post(confident, phantom_png)
    assert "no positive evidence for" in page and 'class="scale"' not in page


def test_sixteen_bit_slice_is_answered(confident, phantom):
    response, _ = post(confident, encode(phantom.astype(np.uint16) * 37))
    assert response.status_code == 200
