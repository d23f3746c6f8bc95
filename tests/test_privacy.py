"""An upload is judged and forgotten: not on disk, not in a log, not in a cache."""

import io
import os
import sys
import time
import urllib.request

import numpy as np
import pytest
from conftest import client_of, encode, upload
from flask import Request

# Characters that base64 does not have, so that no picture can hold them by chance.
NAME = "Doe^Jane 1970-01-01.png"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | getattr(os, "O_TMPFILE", 0)
_opened: list[str] = []
_listening = False


def _audit(event, arguments):
    # Audit hooks stay for the life of the process: this one sleeps unless a test wakes it.
    if _listening and event == "open" and isinstance(arguments[2], int):
        if arguments[2] & _WRITES:
            _opened.append(str(arguments[0]))
    elif _listening and event in ("tempfile.mkstemp", "tempfile.mkdtemp"):
        _opened.append(event)


sys.addaudithook(_audit)


@pytest.fixture
def files_written():
    """Return the list of files that this process opens for writing from now on."""
    global _listening
    _opened.clear()
    _listening = True
    yield _opened
    _listening = False


def form(*files):
    """Return (body, content type) of an upload; the test client would spool to disk itself."""
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
        % (NAME.encode(), data)
        for data in files
    ]
    return b"".join(parts) + b"--b--\r\n", "multipart/form-data; boundary=b"


@pytest.fixture(scope="module")
def large_png():
    """A picture well over the 500 kB at which form parsers start to use the disk."""
    data = encode(np.random.default_rng(0).integers(0, 255, (1200, 1200), np.uint8))
    assert len(data) > 1_000_000
    return data


@pytest.mark.parametrize("url", ["/", "/api/v1/predict", "/api/v1/predict?heatmap=png"])
def test_upload_never_touches_disk(classifier, large_png, files_written, url):
    client = client_of(classifier)
    body, content_type = form(large_png, large_png)
    files_written.clear()
    assert client.post(url, data=body, content_type=content_type).status_code == 200
    assert files_written == []


def test_the_watch_on_the_disk_sees_what_flask_does_by_default(
    classifier, large_png, files_written
):
    client = client_of(classifier)
    client.application.request_class = Request
    body, content_type = form(large_png)
    files_written.clear()
    client.post("/api/v1/predict", data=body, content_type=content_type)
    assert files_written, "Flask's own request spools to disk: the test above can fail"


def test_no_file_name_in_answers_or_logs(classifier, phantom_png, caplog):
    client = client_of(classifier)
    with caplog.at_level("DEBUG"):
        for url in ("/", "/api/v1/predict?heatmap=png"):
            for data in (phantom_png, b"junk", phantom_png[:200], b""):
                part = (io.BytesIO(data), NAME)
                response = client.post(url, data={"file": part})
                assert b"Doe^" not in response.data and b"1970-01" not in response.data
                assert "Doe" not in str(response.headers)
    assert "Doe" not in caplog.text


def test_no_file_name_in_the_server_s_log(server, phantom_png):
    body, content_type = form(phantom_png)
    request = urllib.request.Request(
        server.url + "/api/v1/predict?patient=Doe", body, {"Content-Type": content_type}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200
    deadline = time.monotonic() + 10  # the line is written just after the answer
    while "POST /api/v1/predict 200" not in server.log.read_text():
        assert time.monotonic() < deadline, "the request is logged"
        time.sleep(0.05)
    log = server.log.read_text()
    assert "Doe" not in log and "1970" not in log


def test_answers_are_not_cached(client, phantom_png):
    for url in ("/", "/api/v1/predict"):
        assert upload(client, phantom_png, url=url).headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in upload(client, phantom_png, url=url).headers
