"""Nothing that we use writes about its use, nor asks for an address elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

CODE = """
import socket

def refuse(*_, **__):
    raise AssertionError("a connection was tried")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import io
from PIL import Image
from brain_cnn import load_classifier
file = io.BytesIO()
Image.new("L", (64, 64), 90).save(file, "PNG")
import sys
print(load_classifier(engine=sys.argv[1]).classify(file.getvalue()).verdict)
"""


@pytest.mark.parametrize("engine", ["ncnn", "onnx"])
def test_a_diagnosis_leaves_nothing_in_the_home_folder(engine, tmp_path):
    # ONNX Runtime makes a data base and a device id there for its telemetry, unless told not to.
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", CODE, engine],
        cwd=ROOT,
        env=environ | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and not list(tmp_path.rglob("*"))
