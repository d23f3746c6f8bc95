"""An answer with progress is the plain answer behind honest counts, and fails as honestly."""

import io
import json
import re

import pytest
from browsing import volume_of
from conftest import client_of, encode, upload
from test_viewer import parts_of

from brain_cnn.inference.classifier import Classifier
from brain_cnn.web.runtime.queued_classifier import QueuedClassifier

ACCEPT = {"Accept": "application/x-ndjson, multipart/form-data"}


def streamed(client, data, **fields):
    """Return the response, the lines before the answer, and its parts (None without one)."""
    form = fields | {"file": (io.BytesIO(data), "slice.png")}
    response = client.post("/view", data=form, headers=ACCEPT)
    lines, found, rest = response.data.partition(b"\n\n")
    lines = [json.loads(line) for line in lines.splitlines()]
    boundary = response.headers["Content-Type"].partition("boundary=")[2]
    kind = f"multipart/form-data; boundary={boundary}"
    return response, lines, parts_of(kind, rest) if found else None


def timeless(answer):
    """Return the JSON of an answer without how long it took."""
    said = json.loads(answer)
    said["html"] = re.sub(r"in \d+ ms", "", said["html"])
    for part in (said["result"], *said["result"]["slices"]):
        part.pop("timing_ms", None)
    return said


def test_counts_rise_and_the_rest_is_the_plain_answer(confident, phantom):
    client, volume = client_of(confident), volume_of(phantom[::2, ::2], 100)
    response, lines, parts = streamed(client, volume)
    assert response.content_type.startswith("application/x-ndjson")
    counts = [line["done"] for line in lines]
    assert len(counts) > 5 and counts == sorted(set(counts)) and counts[-1] == 100
    assert {line["total"] for line in lines} == {100}
    plain = upload(client, volume, url="/view")
    wanted = parts_of(plain.headers["Content-Type"], plain.data)
    assert timeless(parts.pop("answer")) == timeless(wanted.pop("answer"))
    assert parts == wanted and len(parts) == 101


@pytest.mark.parametrize(("data", "status"), [(b"", 422), (b"hello", 415)])
def test_error_before_the_first_count_keeps_its_status(client, data, status):
    response = upload(client, data, url="/view", headers=ACCEPT)
    assert response.status_code == status == response.json["status"] and response.json["detail"]


def test_error_after_a_count_is_the_last_line(confident, phantom_png):
    response, lines, parts = streamed(client_of(confident), phantom_png, series="7")
    assert response.status_code == 200 and parts is None
    assert lines[0] == {"done": 1, "total": 1}
    assert lines[-1]["code"] == "no-such-series" and lines[-1]["status"] == 422
    assert "the upload has 1 series" in lines[-1]["detail"]


def test_fault_after_a_count_is_told_in_words_and_logged_without_them(
    confident, phantom_png, monkeypatch, caplog
):
    client = client_of(confident)

    def broken(self, *args, **options):
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(Classifier, "study_of", broken)
    response, lines, parts = streamed(client, phantom_png)
    assert response.status_code == 200 and parts is None
    assert lines[-1]["status"] == 500 and "on the server" in lines[-1]["detail"]
    assert "RuntimeError" in caplog.text and "Doe^Jane" not in caplog.text + response.text


def test_slot_is_held_while_slices_are_judged_and_free_when_the_answer_is_made(
    confident, phantom, monkeypatch
):
    client = client_of(confident)
    queue = client.application.extensions["brain_cnn.queue"]
    held = []
    real = QueuedClassifier.classify_scan

    def watched(self, *args, **options):
        try:
            return real(self, *args, **options)
        finally:
            held.append(queue.lengths[0])

    monkeypatch.setattr(QueuedClassifier, "classify_scan", watched)
    _, lines, _ = streamed(client, volume_of(phantom, 20))
    assert lines[-1]["done"] == 20 and held == [1] and queue.lengths == (0, 0)


def test_who_leaves_stops_the_work_and_frees_the_slot(confident, phantom, monkeypatch):
    client = client_of(confident)
    batches = []
    real = Classifier._predict
    monkeypatch.setattr(
        Classifier, "_predict", lambda self, *args: batches.append(1) or real(self, *args)
    )
    response = upload(
        client, volume_of(phantom[::2, ::2], 400), url="/view", headers=ACCEPT, buffered=False
    )
    next(response.iter_encoded())
    response.close()
    assert 0 < len(batches) < 50, "not all of them"
    assert client.application.extensions["brain_cnn.queue"].lengths == (0, 0)
    assert upload(client, encode(phantom), url="/view").status_code == 200
