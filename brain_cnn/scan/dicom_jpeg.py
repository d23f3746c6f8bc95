"""JPEG of every kind for pydicom, through libjpeg-turbo 3 (imagecodecs).

8 and 12 bits lossy, 2 to 16 bits lossless. GDCM, which pydicom knows for these, ends the
whole process on some damaged files; libjpeg-turbo is hardened against them.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels import get_decoder

PLUGIN = "libjpeg-turbo"
_SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)

# What pydicom asks of a module that it takes as a plug-in.
DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("imagecodecs>=2025.3",))


def is_available(syntax: str) -> bool:
    """Whether this module decodes a transfer syntax."""
    return syntax in _SYNTAXES


def decode_frame(src: bytes, runner: Any) -> bytes:
    """Return the samples of one JPEG, as pydicom's `DecodeRunner` expects them.

    Colour stays in the space of the codestream for the lossless kinds, which store RGB; the
    lossy kinds come out as RGB.
    """
    pixels = np.asarray(imagecodecs.jpeg8_decode(src))
    if pixels.dtype == np.uint8:
        runner.set_option("bits_allocated", 8)
    else:
        runner.set_option("bits_allocated", 16)
        stored = int(runner.bits_stored)
        if runner.pixel_representation == 1 and stored < 16:
            # Two's complement in fewer than 16 bits: carry the sign up.
            pixels = (pixels << (16 - stored)).view(np.int16) >> (16 - stored)
    if pixels.ndim == 3:
        runner.set_option("planar_configuration", 0)
        runner.set_option("photometric_interpretation", "RGB")
    return pixels.tobytes()


def register() -> None:
    """Make the plug-in known to pydicom, once."""
    for syntax in _SYNTAXES:
        decoder = get_decoder(syntax)
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))
