"""`/metrics` counts what happened, over all processes, and names nobody."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import Server, client_of, upload
from prometheus_client.parser import text_string_to_metric_families
from test_privacy import NAME, form

from brain_cnn.web.runtime import shared_metrics
from brain_cnn.web.runtime.logs import without_messages


def samples(text):
    """Return {(name, labels as sorted pairs): value}."""
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def count(text, metric, /, **labels):
    """Return the sum of all samples called `metric` that have `labels`."""
    return sum(
        value
        for (found, pairs), value in samples(text).items()
        if found == metric and set(labels.items()) <= set(pairs)
    )


def test_requests_verdicts_refusals_and_stages_are_counted(confident, phantom_png):
    client = client_of(confident)
    (result,) = upload(client, phantom_png).json["results"]
    upload(client, b"junk")
    client.get("/nothing/at/all")
    text = client.get("/metrics").text
    requests = "brain_cnn_requests_total"
    assert count(text, requests, endpoint="api.predict", method="POST", status="200") == 1
    assert count(text, requests, endpoint="api.predict", method="POST", status="415") == 1
    assert count(text, requests, endpoint="none", status="404") == 1
    assert count(text, "brain_cnn_refusals_total", reason="not-an-image") == 1
    verdicts = "brain_cnn_verdicts_total"
    assert count(text, verdicts, verdict="confident", label=result["label"]) == 1
    assert count(text, "brain_cnn_slices_total") == 1
    for stage in ("upload", "queue", "read", "prepare", "network", "render", "total"):
        assert count(text, "brain_cnn_stage_seconds_count", stage=stage) == 1, stage
    total = count(text, "brain_cnn_stage_seconds_sum", stage="total")
    parts = count(text, "brain_cnn_stage_seconds_sum") - total
    assert parts == pytest.approx(total), "the stages add up"


def test_unfamiliar_picture_is_counted_without_a_class(refusing, phantom_png):
    client = client_of(refusing)
    upload(client, phantom_png)
    text = client.get("/metrics").text
    assert count(text, "brain_cnn_verdicts_total", verdict="unfamiliar", label="") == 1
    assert count(text, "brain_cnn_verdicts_total") == 1


def test_model_is_named(client, classifier):
    bundle = classifier.bundle
    text = client.get("/metrics").text
    assert (
        count(
            text,
            "brain_cnn_model_info",
            name=bundle.name,
            version=bundle.version,
            sha256=bundle.sha256,
            engine=classifier.engine.name,
        )
        == 1
    )


def test_health_checks_are_no_verdicts(client):
    client.get("/readyz")
    assert count(client.get("/metrics").text, "brain_cnn_verdicts_total") == 0


def test_address_that_a_caller_invents_makes_no_new_series(client):
    def length():
        return len(samples(client.get("/metrics").text))

    client.get("/a0")
    client.open("/", method="BREW")
    length()
    before = length()
    for number in range(20):
        client.get(f"/a{number}?b={number}")
        client.open("/", method=f"BREW{number}")
    assert length() == before


@pytest.fixture(scope="module")
def pair(confident_bundle, tmp_path_factory):
    """Return a server with two processes that logs JSON."""
    running = Server(
        tmp_path_factory.mktemp("pair") / "log.txt",
        BRAIN_CNN_MODEL=str(confident_bundle),
        BRAIN_CNN_WORKERS="2",
        BRAIN_CNN_LOG_FORMAT="json",
    )
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def fetch(url, *request):
    with urllib.request.urlopen(urllib.request.Request(url, *request), timeout=30) as response:
        return response.read().decode(), response.headers


def workers_of(server):
    return [int(p) for p in re.findall(r"Booting worker with pid: (\d+)", server.log.read_text())]


def test_counts_are_right_over_processes_and_outlive_them(pair, phantom_png):
    name, labels = "brain_cnn_requests_total", {"endpoint": "api.predict", "status": "200"}
    body, content_type = form(phantom_png)

    def judge(times):
        for _ in range(times):  # a new connection each: both processes get some
            fetch(pair.url + "/api/v1/predict", body, {"Content-Type": content_type})

    judge(12)
    for _ in range(6):
        text, _ = fetch(pair.url + "/metrics")
        assert count(text, name, **labels) == 12, "whichever process is asked"
    assert count(text, "brain_cnn_stage_seconds_count", stage="total") == 12
    assert count(text, "brain_cnn_model_info") == 1
    first = workers_of(pair)
    os.kill(first[0], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(workers_of(pair)) < 3:
        assert time.monotonic() < deadline, "a new worker is started"
        time.sleep(0.05)
    pair.wait_ready()
    judge(3)
    text, _ = fetch(pair.url + "/metrics")
    assert count(text, name, **labels) == 15
    assert count(text, "brain_cnn_stage_seconds_count", stage="total") == 15
    assert count(text, "brain_cnn_queue_running") == 0


def test_log_is_json_with_id_and_stages_and_without_a_name(pair, phantom_png):
    body, content_type = form(phantom_png)
    headers = {"Content-Type": content_type, "X-Request-ID": "log-test-1"}
    _, answered = fetch(pair.url + "/api/v1/predict?patient=Doe", body, headers)
    assert answered["X-Request-ID"] == "log-test-1"
    with pytest.raises(urllib.error.HTTPError):
        fetch(pair.url + "/Doe/1970-01-01?name=Doe")
    deadline = time.monotonic() + 10
    while "(no such address)" not in pair.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    log = pair.log.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "log-test-1"]
    assert line["route"] == "/api/v1/predict" and line["status"] == 200
    assert {"read", "prepare", "network", "render", "total"} <= set(line["ms"])
    assert NAME not in log and "Doe" not in log and "1970" not in log


def test_numbers_are_removed_when_the_server_stops(confident_bundle, tmp_path):
    running = Server(tmp_path / "log.txt", BRAIN_CNN_MODEL=str(confident_bundle))
    try:
        running.wait_ready()
        mine = f"brain-cnn-metrics-{running.process.pid}-*"
        folders = [f for place in ("/dev/shm", "/tmp") for f in Path(place).glob(mine)]
        assert folders and list(folders[0].glob("*.db"))
    finally:
        running.stop()
    assert not folders[0].exists()


def test_folder_of_a_server_that_was_killed_is_removed_by_the_next(monkeypatch, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    monkeypatch.setattr(shared_metrics.os, "access", lambda *_: False)
    monkeypatch.setattr(shared_metrics.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv(shared_metrics.VARIABLE, raising=False)
    stale = tmp_path / f"brain-cnn-metrics-{dead.pid}-abc"
    stale.mkdir()
    try:
        shared_metrics.set_up()
        assert not stale.exists()
        assert len(list(tmp_path.iterdir())) == 1
        shared_metrics.tear_down()
        assert not list(tmp_path.iterdir())
    finally:
        shared_metrics.os.environ.pop(shared_metrics.VARIABLE, None)


def test_error_is_logged_by_type_and_place_without_its_message():
    try:
        try:
            raise ValueError("Doe^Jane")
        except ValueError as error:
            raise RuntimeError("born 1970") from error
    except RuntimeError as error:
        said = without_messages((type(error), error, error.__traceback__))
    assert "RuntimeError" in said and "ValueError" in said and "test_metrics.py" in said
    assert "Doe" not in said and "1970" not in said
