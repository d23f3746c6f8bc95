"""What a program may hand over to be judged: bytes, a path, an open file, an array."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Input = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | NDArray[np.uint8]

_GIVE = "give bytes, a path, a file opened in binary mode, or a uint8 array (H, W) or (H, W, 3)"


def is_single(data: Any) -> bool:
    """Whether `data` is one input and no sequence of them."""
    return not isinstance(data, Sequence) or isinstance(data, (bytes, bytearray, memoryview, str))


def as_bytes(data: Input) -> bytes:
    """Return the bytes of one input.

    Raises:
        TypeError: it is none; the sentence says what to give.
        OSError: the path cannot be opened.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, (str, os.PathLike)):
        try:
            return Path(data).read_bytes()
        except FileNotFoundError as error:
            raise TypeError(f"the text {str(data)!r} is no path of a file; {_GIVE}") from error
    if isinstance(data, np.ndarray):
        return _png(data)
    if hasattr(data, "read"):
        content = data.read()
        if isinstance(content, bytes):
            return content
        raise TypeError(f"the file was opened as text; {_GIVE}")
    raise TypeError(f"a {type(data).__name__} cannot be judged; {_GIVE}")


def _png(pixels: NDArray[Any]) -> bytes:
    if pixels.dtype != np.uint8 or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    ):
        raise TypeError(
            f"an array of {pixels.dtype} with the shape {pixels.shape} cannot be judged; {_GIVE}"
        )
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=0)
    return file.getvalue()
