"""Slices to try at once: three drawings, and one real head that anybody may copy.

What the model says of them is its real answer, whatever that is: the page promises nothing.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from werkzeug.exceptions import BadRequest

from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.overlay import encode_png
from brain_cnn.resources import resource

_MNI152 = resource("static/samples/mni152.png")
_THUMBNAIL_SIDE = 176
_DRAWING = "A drawing, not a patient"


class Sample(NamedTuple):
    """One sample: its name in addresses and forms, its title, and what it is in a sentence."""

    name: str
    title: str
    caption: str


SAMPLES: list[Sample] = [
    Sample("drawn-glioma", "Drawn glioma", f"{_DRAWING}: a bright ring with a dark core."),
    Sample("drawn-meningioma", "Drawn meningioma", f"{_DRAWING}: a bright mass at the skull."),
    Sample(
        "drawn-pituitary", "Drawn pituitary tumour", f"{_DRAWING}: a bright mass at the midline."
    ),
    Sample(
        "mni152",
        "An average head",
        "MRI: the MNI152 template, the average of 152 healthy heads (plain T1, skull removed).",
    ),
]
"""In the order in which they are shown."""

# Label and seed of the drawings.
_DRAWN = {
    "drawn-glioma": ("glioma", 3),
    "drawn-meningioma": ("meningioma", 1),
    "drawn-pituitary": ("pituitary", 1),
}


@cache
def sample_png(name: str) -> bytes:
    """Return the PNG file of a sample; drawn once, then held in memory.

    Raises:
        KeyError: there is no such sample.
    """
    if name == "mni152":
        return _MNI152.read_bytes()
    label, seed = _DRAWN[name]
    return encode_png(draw_phantom(label, seed))


def chosen_sample(name: str) -> bytes:
    """Return the file that the form field `sample` names.

    Raises:
        BadRequest: there is no such sample.
    """
    try:
        return sample_png(name)
    except KeyError:
        names = ", ".join(sample.name for sample in SAMPLES)
        raise BadRequest(f"There is no sample {name[:40]!r}; there are {names}.") from None


@cache
def sample_thumbnail(name: str) -> bytes:
    """Return a small JPEG file of a sample, for the list on the start page.

    Raises:
        KeyError: there is no such sample.
    """
    pixels = cv2.imdecode(np.frombuffer(sample_png(name), np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise RuntimeError(f"OpenCV could not decode the sample {name}.")
    scale = _THUMBNAIL_SIDE / max(pixels.shape)
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, buffer = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG.")
    return buffer.tobytes()
