"""What several tests share: drawn slices, the shipped model, the app, and a real server."""

import dataclasses
import functools
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import werkzeug.test
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.inference.bundle import BundleOrigin, load_bundle, write_bundle_json
from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.classifier import Classifier, load_classifier
from brain_cnn.inference.conformal import same_for_all
from brain_cnn.labels import LABELS
from brain_cnn.ood.mahalanobis import FeatureGate
from brain_cnn.phantoms import draw_phantom
from brain_cnn.web import create_app
from brain_cnn.web.settings import Settings

# Werkzeug's client writes a form over 500 kB into a file that nobody closes, which is an error
# in a test; in memory it is let go of with the request.
werkzeug.test.stream_encode_multipart = functools.partial(
    werkzeug.test.stream_encode_multipart, use_tempfile=False
)

pytest_plugins = ["browsing", "archive_files", "skips"]

ROOT = Path(__file__).resolve().parent.parent
GUNICORN = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"]


def encode(pixels, kind="PNG", **options):
    """Return the file of an array or a Pillow image."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def phantom():
    """Return uint8 (224, 224), a head with a glioma, drawn by code."""
    return draw_phantom("glioma", 3)


@pytest.fixture(scope="session")
def phantom_png(phantom):
    return encode(phantom)


@pytest.fixture(scope="session")
def classifier():
    """Return the shipped model as it is (BRAIN_CNN_MODEL names another)."""
    return load_classifier()


def recalibrated(classifier, calibration):
    """Return the same network with another calibration, to bring a verdict about."""
    bundle = dataclasses.replace(classifier.bundle, calibration=calibration)
    return Classifier(bundle, classifier.engine)


@pytest.fixture(scope="session")
def confident(classifier):
    """Return the shipped network where every slice is familiar and gets one class."""
    return recalibrated(classifier, Calibration.identity())


@pytest.fixture(scope="session")
def uncertain(classifier):
    """Return the shipped network where every prediction set holds all classes."""
    return recalibrated(classifier, Calibration(1.0, same_for_all(1.0)))


@pytest.fixture(scope="session")
def refusing(classifier):
    """Return the shipped network where no slice is familiar."""
    size = classifier.engine.run(
        np.zeros((1, classifier.bundle.input_size, classifier.bundle.input_size, 1), np.float32)
    ).features.shape[1]
    gate = FeatureGate(np.zeros((len(LABELS), size)), np.eye(size), np.linspace(0, 1, 201), -1.0)
    return recalibrated(classifier, Calibration(1.0, same_for_all(0.0), gate))


@pytest.fixture
def client(classifier):
    """Return a client of the app with the shipped model."""
    return client_of(classifier)


def client_of(classifier, **settings):
    app = create_app(Settings(**settings), classifier)
    app.testing = True
    # A failure must come out as the answer that people would get.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app.test_client()


def upload(client, *files, url="/api/v1/predict", **options):
    """Post `files` (bytes) as the form field `file`."""
    parts = [(io.BytesIO(data), f"slice{place}.png") for place, data in enumerate(files)]
    return client.post(url, data={"file": parts}, content_type="multipart/form-data", **options)


def upload_to(url, data):
    """Post a file's bytes to a running server's API; return its JSON."""
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    request = urllib.request.Request(
        url + "/api/v1/predict",
        body + data + b"\r\n--b--\r\n",
        {"Content-Type": "multipart/form-data; boundary=b"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class Server:
    """gunicorn with our own configuration, on a free port; or another `command` that serves."""

    def __init__(self, log: Path, command: list[str] = GUNICORN, cwd=ROOT, **environ: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self.log = log
        environ = {"BRAIN_CNN_BIND": self.address, "BRAIN_CNN_WORKERS": "1"} | environ
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env=os.environ | environ,
                stdout=out,
                stderr=out,
            )

    def wait_ready(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"the server did not get ready:\n{self.log.read_text()}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session")
def confident_bundle(classifier, tmp_path_factory):
    """Return a model folder with the shipped network, in which every slice gets a class."""
    folder = tmp_path_factory.mktemp("bundle")
    for path in _networks(classifier.bundle):
        shutil.copy(path, folder)
    rebuild(folder, Calibration.identity())
    return folder


def _networks(bundle):
    return (bundle.onnx_path, bundle.keras_path, *(bundle.ncnn_paths or ()))


def rebuild(folder, calibration):
    """Write the calibration and bundle.json of a model folder again."""
    networks = [path.name for path in sorted(folder.glob("brain_cnn.*"))]
    files = [*networks, *calibration.save(folder)]
    size = load_bundle().input_size
    write_bundle_json(
        folder,
        name="test",
        version="0",
        input_size=size,
        files=files,
        origin=BundleOrigin(),
    )


@pytest.fixture(scope="session")
def server(confident_bundle, tmp_path_factory):
    """Return a running `Server` in which every slice gets a class."""
    running = Server(
        tmp_path_factory.mktemp("server") / "log.txt",
        BRAIN_CNN_MODEL=str(confident_bundle),
        BRAIN_CNN_MAX_FILE_MIB="2",
        BRAIN_CNN_MAX_REQUEST_MIB="4",
    )
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()
