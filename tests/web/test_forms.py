"""Which bodies are read as a form, and what reading one costs."""

import tracemalloc

import pytest
from conftest import client_of, upload

from brain_cnn.web.runtime.queue import Busy
from brain_cnn.web.uploads import read_upload

MIB = 1 << 20


class Stream:
    """A body of one file of zeros, made as it is read."""

    def __init__(self, size):
        self.head = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n"
        )
        self.tail = b"\r\n--b--\r\n"
        self.left = size
        self.length = len(self.head) + size + len(self.tail)

    def read(self, count=-1):
        assert count > 0, "read in pieces"
        if self.head:
            piece, self.head = self.head[:count], self.head[count:]
        elif self.left:
            piece = bytes(min(count, self.left))
            self.left -= len(piece)
        else:
            piece, self.tail = self.tail[:count], self.tail[count:]
        return piece


class Untouched:
    """A body that nobody may read."""

    def read(self, *_):
        raise AssertionError("the form was read")

    readline = readinto = read


def request_of(app, stream, length, kind):
    return app.test_request_context(
        "/api/v1/predict",
        method="POST",
        environ_overrides={"wsgi.input": stream, "CONTENT_LENGTH": str(length)}
        | ({"CONTENT_TYPE": kind} if kind else {}),
    )


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "application/json", "text/plain", None]
)
def test_only_multipart_reaches_the_form_parser(client, kind):
    with request_of(client.application, Untouched(), 50 * MIB, kind):
        with pytest.raises(Exception, match="No file was sent") as error:
            read_upload()
        assert error.value.code == 400
        assert kind is None or kind in str(error.value)


def test_urlencoded_form_is_told_what_is_wanted(client):
    response = client.post("/api/v1/predict", data={"file": "x" * 1000, "force": "2"})
    assert response.status_code == 400 and "multipart/form-data" in response.json["detail"]


def test_upload_is_in_memory_once(client):
    size = 48 * MIB
    stream = Stream(size)
    with request_of(client.application, stream, stream.length, "multipart/form-data; boundary=b"):
        tracemalloc.start()
        try:
            sent = read_upload()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(sent.files[0]) == size and not any(sent.files[0][::4096])
    assert peak < 1.25 * size, "the bytes themselves, and room that was left to grow"


def test_form_is_read_in_the_queue(confident, phantom_png):
    app = client_of(confident, engine_slots=1, queue_waiting=0).application
    queue = app.extensions["brain_cnn.queue"]
    slot = queue.enter()
    kind = "multipart/form-data; boundary=b"
    with request_of(app, Untouched(), 1000, kind), pytest.raises(Busy):
        read_upload()
    slot.leave()
    assert upload(app.test_client(), phantom_png).status_code == 200
    assert queue.lengths == (0, 0)
