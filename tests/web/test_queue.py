"""So many requests are judged at once, so many wait, and the rest is told so at once."""

import threading

import pytest
from conftest import client_of, encode, upload

from brain_cnn.cores import cores
from brain_cnn.inference.classifier import Classifier
from brain_cnn.web.runtime.queue import Busy, ByteBudget, EngineQueue
from brain_cnn.web.runtime.trace import Trace


class Gate:
    """An engine that works until it is let go, and counts how many it works for at once."""

    def __init__(self, monkeypatch):
        self.open = threading.Event()
        self.inside = threading.Semaphore(0)
        real = Classifier.classify_scan

        def waits(served, *arguments, **options):
            self.inside.release()
            assert self.open.wait(30)
            return real(served, *arguments, **options)

        monkeypatch.setattr(Classifier, "classify_scan", waits)


def start(work):
    """Run `work` in a thread; return the thread and the list that its result gets into."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    return thread, results


@pytest.fixture
def gate(monkeypatch):
    gate = Gate(monkeypatch)
    yield gate
    gate.open.set()


@pytest.fixture
def narrow(confident, gate):
    """An app that judges one request at once and lets none wait; its engine is held."""
    gate.open.set()  # for the self-test
    client = client_of(confident, engine_slots=1, queue_waiting=0)
    gate.open.clear()
    while gate.inside.acquire(blocking=False):
        pass
    return client


def held(client, gate, data, url="/api/v1/predict"):
    """Send a request that stays in the engine; return its thread and results."""
    running = start(lambda: upload(client.application.test_client(), data, url=url))
    assert gate.inside.acquire(timeout=30)
    return running


@pytest.mark.parametrize("url", ["/", "/view", "/api/v1/predict"])
def test_beyond_the_queue_is_503_at_once_and_says_when_to_come_back(narrow, gate, phantom_png, url):
    thread, results = held(narrow, gate, phantom_png)
    response = upload(narrow, phantom_png, url=url)
    assert response.status_code == 503
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    if url != "/":
        assert response.content_type == "application/problem+json"
        assert response.json["code"] == "queue-full"
    else:
        assert response.content_type.startswith("text/html") and "busy" in response.text
    gate.open.set()
    thread.join(30)
    assert results[0].status_code == 200, "who was accepted gets the answer"
    assert upload(narrow, phantom_png, url=url).status_code == 200, "there is room again"


def test_health_is_answered_while_the_engine_is_busy(narrow, gate, phantom_png):
    thread, _ = held(narrow, gate, phantom_png)
    assert narrow.get("/healthz").status_code == 200
    assert "brain_cnn_queue_running 1.0" in narrow.get("/metrics").text
    gate.open.set()
    thread.join(30)
    assert "brain_cnn_queue_running 0.0" in narrow.get("/metrics").text


def test_failure_gives_the_slot_back(narrow, gate, phantom_png, monkeypatch):
    gate.open.set()

    def broken(self, files, **options):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "classify_together", broken)
        for url in ("/", "/view", "/api/v1/predict"):
            upload(narrow, phantom_png, url=url).get_data()
    assert upload(narrow, phantom_png).status_code == 200


def test_first_come_first_served():
    queue = EngineQueue(slots=1, waiting=10, seconds=30)
    first = queue.enter()
    order, threads = [], []
    for number in range(5):
        threads.append(start(lambda n=number: (queue.enter(), order.append(n)))[0])
        while queue.lengths[1] < number + 1:
            pass
    slot = first
    for served in range(5):
        queue.release(0.0) if served else slot.leave()
        while len(order) < served + 1:
            pass
    assert order == list(range(5))


def test_waits_no_longer_than_told():
    queue = EngineQueue(slots=1, waiting=1, seconds=0.05)
    with pytest.raises(Busy) as error:
        queue.enter(), queue.enter()
    assert error.value.code_name == "queue-slow" and queue.lengths == (1, 0)


def test_slot_that_is_left_twice_counts_once():
    queue = EngineQueue(slots=2, waiting=0, seconds=1)
    slot, _ = queue.enter(), queue.enter()
    slot.leave(), slot.leave()
    assert queue.lengths == (1, 0)


class Clock:
    now = 1000.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("brain_cnn.web.runtime.queue.time", clock)
    return clock


def test_slot_that_is_held_too_long_goes_to_the_next_one(clock):
    queue = EngineQueue(slots=1, waiting=1, seconds=30, longest_s=60)
    stuck = queue.enter()
    thread, results = start(queue.enter)
    while queue.lengths[1] == 0:
        pass
    clock.now += 59
    queue.take_back()
    assert queue.lengths == (1, 1) and queue.oldest_s == 59 and queue.overdue == 0
    clock.now += 2
    queue.take_back()
    thread.join(30)
    assert queue.lengths == (1, 0) and queue.overdue == 1 and queue.oldest_s == 61
    results[0].leave()
    assert queue.lengths == (0, 0)
    stuck.leave(), stuck.leave()
    assert queue.lengths == (0, 0) and queue.overdue == 0 and queue.oldest_s == 0.0


def test_readiness_and_metrics_say_how_long_a_slot_is_held(confident, clock):
    client = client_of(confident, engine_slots=1, queue_waiting=0, slot_seconds=60)
    slot = client.application.extensions["brain_cnn.queue"].enter()
    clock.now += 50
    ready = client.get("/readyz")
    assert ready.status_code == 200 and ready.json["slot_age_s"] == 50
    assert "brain_cnn_slot_age_seconds 50.0" in client.get("/metrics").text
    clock.now += 20
    stuck = client.get("/readyz")
    assert stuck.status_code == 503 and stuck.json["code"] == "slot-overdue"
    assert "60 s" in stuck.json["detail"] and "BRAIN_CNN_SLOT_SECONDS" in stuck.json["detail"]
    numbers = client.get("/metrics").text
    assert "brain_cnn_slots_overdue 1.0" in numbers and "brain_cnn_queue_running 0.0" in numbers
    slot.leave()
    assert client.get("/readyz").status_code == 200, "the request has ended"


def test_uploads_that_do_not_fit_into_memory_together_are_refused(classifier):
    small = client_of(classifier, max_file_mib=1, max_request_mib=1, max_held_mib=1)
    budget = small.application.extensions["brain_cnn.budget"]
    assert budget.take(900_000), "what other requests hold"
    response = upload(small, encode_noise())
    assert response.status_code == 503 and response.json["code"] == "memory-full"
    assert response.headers["Retry-After"]
    budget.give_back(900_000)
    assert upload(small, encode_noise()).status_code == 200
    assert budget.held == 0


def encode_noise():
    import numpy as np

    return encode(np.random.default_rng(0).integers(0, 255, (400, 400), np.uint8))


def test_budget_holds_no_more_than_its_limit():
    budget = ByteBudget(10)
    assert budget.take(6) and not budget.take(5) and budget.take(4)
    budget.give_back(10)
    assert budget.held == 0


@pytest.mark.parametrize(
    "given", ["abc-1", "0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abcdef"]
)
def test_safe_request_id_is_kept(client, given):
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a b", "<script>", "é", "x" * 65, 'a"b'])
def test_unsafe_request_id_is_replaced(client, given):
    said = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert said != given and len(said) == 32
    assert Trace(given).id != given


def test_problem_and_error_page_carry_the_request_id(client):
    response = client.get("/api/v1/nothing", headers={"X-Request-ID": "abc-1"})
    assert response.json["request_id"] == "abc-1"
    assert "abc-1" in client.get("/nothing", headers={"X-Request-ID": "abc-1"}).text


def test_cores_are_those_of_the_container(tmp_path):
    everything = cores(tmp_path)  # no quota
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores(tmp_path) == everything >= 1
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert cores(tmp_path) == 1, "half a core is one process"
