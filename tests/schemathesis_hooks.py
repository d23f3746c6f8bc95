"""Gives schemathesis real pictures beside its random bytes, so that it meets answers too."""

import sys
from pathlib import Path

import schemathesis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.overlay import encode_png

PICTURES = [encode_png(draw_phantom("glioma", number)) for number in range(2)]


@schemathesis.hook
def map_body(context, body):
    """Put a picture in the place of every second file."""
    if isinstance(body, dict) and isinstance(body.get("file"), list) and body["file"]:
        if len(str(body.get("plane", ""))) % 2 == 0:
            body["file"] = [PICTURES[len(body["file"]) % 2], *body["file"][1:]]
        if isinstance(body.get("region"), str) and len(body["region"]) % 2:
            body["region"] = "[[90, 90], [130, 90], [130, 130]]"
    return body
