"""An upload is judged and forgotten: not on disk, not in a log, not in a cache."""

import io
import os
import sys
import time
import urllib.error
import urllib.request
import zipfile

import numpy as np
import pytest
from conftest import client_of, encode, upload
from flask import Request
from scanfiles import SECRETS, dicom

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


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/view",
        "/report",
        "/api/v1/predict",
        "/api/v1/predict?heatmap=png",
        "/api/v1/predict?format=csv",
    ],
)
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
        for url in ("/", "/report", "/api/v1/predict?heatmap=png", "/api/v1/predict?format=csv"):
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
    # Not "1970" alone: a request id may hold these four digits.
    assert "Doe" not in log and "1970-01" not in log


def identified_files(phantom):
    """Return files whose headers are full of a person: read, refused, broken, and packed."""
    plain = dicom(phantom.astype(np.uint16))
    odd = dicom(phantom.astype(np.uint16), Modality="DOE^JANE")
    unknown = plain.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
    report = dicom(phantom.astype(np.uint16), PixelData=None)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(NAME, plain)
        archive.writestr(NAME + "2", dicom(phantom.astype(np.uint16), InstanceNumber=2))
    ct = dicom(phantom.astype(np.uint16), Modality="CT")
    return [plain, odd, unknown, report, plain[:900], packed.getvalue(), ct]


def test_nothing_of_a_patient_leaves_the_reader(confident, phantom, caplog, capfd, files_written):
    client = client_of(confident)
    files = identified_files(phantom)
    files_written.clear()
    with caplog.at_level("DEBUG"):
        for url in (
            "/",
            "/view",
            "/report",
            "/api/v1/predict?heatmap=png&force=1",
            "/api/v1/predict?format=csv",
            "/api/v1/predict",
        ):
            for data in files:
                body, content_type = form(data)
                response = client.post(url, data=body, content_type=content_type)
                assert response.status_code < 500
                said = response.data.decode("latin-1") + str(response.headers)
                assert not [secret for secret in SECRETS if secret.lower() in said.lower()]
    assert files_written == []
    printed = "".join(capfd.readouterr()) + caplog.text
    assert not [secret for secret in SECRETS if secret in printed]


def test_nothing_of_a_patient_gets_into_the_server_s_log(server, phantom):
    for data in identified_files(phantom):
        body, content_type = form(data)
        request = urllib.request.Request(
            server.url + "/api/v1/predict", body, {"Content-Type": content_type}
        )
        try:
            urllib.request.urlopen(request, timeout=30).read()
        except urllib.error.HTTPError as error:
            assert error.code < 500
    time.sleep(0.5)  # the last line is written just after the answer
    log = server.log.read_text()
    assert "POST /api/v1/predict" in log
    assert not [secret for secret in SECRETS if secret.lower() in log.lower()]


def test_the_search_for_secrets_can_find_them(phantom):
    data = identified_files(phantom)[0]
    assert all(secret.encode() in data for secret in SECRETS)


def test_answers_are_not_cached(client, phantom_png):
    for url in ("/", "/api/v1/predict"):
        assert upload(client, phantom_png, url=url).headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in upload(client, phantom_png, url=url).headers
