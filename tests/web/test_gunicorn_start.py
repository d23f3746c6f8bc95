"""The server starts with a whole model, or says in one sentence why not."""

import contextlib
import shutil

import pytest
from conftest import Server, rebuild

from brain_cnn.inference.bundle import NCNN_NAMES
from brain_cnn.inference.calibration import Calibration


def failed_start(tmp_path, **environ):
    """Start a server that must not start; return its exit status and what it said."""
    server = Server(tmp_path / "log.txt", **environ)
    try:
        status = server.process.wait(60)
    finally:
        server.stop()
    return status, server.log.read_text()


def check_one_sentence(status, log, *words):
    assert status not in (0, None)
    lines = [line for line in log.splitlines() if "Brain CNN cannot start" in line]
    assert len(lines) == 1 and "Traceback" not in log, log
    for word in words:
        assert word in lines[0]


def test_missing_bundle_stops_the_start(tmp_path):
    status, log = failed_start(tmp_path, BRAIN_CNN_MODEL=str(tmp_path / "nowhere"))
    check_one_sentence(status, log, "no model folder", "nowhere")


def test_damaged_bundle_stops_the_start(tmp_path, confident_bundle):
    folder = shutil.copytree(confident_bundle, tmp_path / "model")
    with (folder / "brain_cnn.onnx").open("ab") as file:
        file.write(b"x")
    status, log = failed_start(tmp_path, BRAIN_CNN_MODEL=str(folder))
    check_one_sentence(status, log, "brain_cnn.onnx is damaged")


def test_bundle_that_the_engine_cannot_run_stops_the_start(tmp_path, confident_bundle):
    folder = shutil.copytree(confident_bundle, tmp_path / "model")
    for name in NCNN_NAMES:
        (folder / name).unlink()
    rebuild(folder, Calibration.identity())
    status, log = failed_start(tmp_path, BRAIN_CNN_MODEL=str(folder))
    check_one_sentence(status, log, "no network for ncnn", "'onnx'")


@pytest.mark.parametrize(
    ("name", "value"), [("BRAIN_CNN_THREDS", "4"), ("BRAIN_CNN_ENGINE", "abacus")]
)
def test_wrong_setting_stops_the_start(tmp_path, name, value):
    status, log = failed_start(tmp_path, **{name: value})
    check_one_sentence(status, log, name)


def test_settings_are_printed_and_the_model_is_loaded_in_the_worker(server):
    log = server.log.read_text()
    assert "settings: model=" in log and "max_file_mib=2" in log
    assert log.index("Booting worker") < log.index("model test 0"), "loaded after the fork"


def test_upload_over_the_limit_gets_an_answer_and_no_reset(server):
    import http.client

    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body += bytes(9_000_000) + b"\r\n--b--\r\n"
    host, _, port = server.address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/", body, {"Content-Type": "multipart/form-data; boundary=b"})
        response = connection.getresponse()
        assert response.status == 413
        assert b"the limit is 4 MiB" in response.read()
