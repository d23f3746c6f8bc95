"""PNG, JPEG, WebP, BMP, TIFF and GIF -> one slice.

The order of operations is fixed: decode, turn upright (EXIF), put transparency on black,
window what has more than 8 bits, luminance. Training reads its images through the same
code (`brain_cnn.dataset.index.read_pixels`), so a change here is a change of the model's input.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from brain_cnn.errors import ScanError
from brain_cnn.scan.types import Scan, ScanLimits, Slice

# Pillow only warns of a decompression bomb and then decodes it. Our own limit below is
# smaller than Pillow's and is what protects a server; this makes the warning an error too.
warnings.simplefilter("error", Image.DecompressionBombWarning)

_MANY_BITS = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_GRAY = frozenset({"L", "1"})
_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
# More than 8 bits have no fixed white: the window runs between these percentiles.
_WINDOW_PERCENTILES = (0.5, 99.5)
# Mean spread between the colour channels, in levels of 255, above which a file was colour.
# JPEG rounding of a gray picture stays below 2.
_COLOUR_SPREAD = 6.0


def read_raster(data: bytes, kind: str, limits: ScanLimits) -> Scan:
    """Read one raster file.

    Args:
        data: the whole file.
        kind: its format as `sniff` named it; no other decoder is tried.
        limits: see `ScanLimits`.

    Returns:
        A `Scan` of one slice, uint8 (H, W).

    Raises:
        ScanError: 413 too many pixels; 422 damaged, truncated or too small.
    """
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            _check_size(image, limits)
            several = bool(getattr(image, "is_animated", False))
            image.load()
            slice_ = _to_slice(_upright(image))
    except ScanError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels("more pixels than any slice has", limits) from error
    except Exception as error:  # a decoder fed with foreign bytes may raise anything at all
        raise ScanError(
            "damaged-image",
            f"The file begins as {kind} but cannot be decoded: it is truncated or damaged.",
            "Export or download it again and check that another program opens it.",
        ) from error
    notes = ("The file holds several frames; only the first was read.",) if several else ()
    return Scan((slice_,), kind, notes)


def decode_raster(data: bytes) -> np.ndarray:
    """Return the pixels of a raster file, uint8 (H, W); errors as `read_scan`."""
    from brain_cnn.scan.read import read_scan

    return read_scan(data).slices[0].pixels


def window_to_uint8(values: np.ndarray) -> np.ndarray:
    """Map real values (H, W) of any range onto uint8 by a percentile window.

    Values that are not finite become black. A constant image becomes black.
    """
    values = values.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    known = values[finite]
    low, high = np.percentile(known, _WINDOW_PERCENTILES)
    if high <= low:  # nearly all pixels share one value: keep what little there is
        low, high = float(known.min()), float(known.max())
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    scaled = (np.where(finite, values, low) - low) * (255.0 / (high - low))
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def _too_many_pixels(what: str, limits: ScanLimits) -> ScanError:
    return ScanError(
        "image-too-large",
        f"The image has {what}; the limit is {limits.max_pixels:,} pixels.",
        "Scale it down to the size of a slice, 1024 x 1024 at most.",
        status=413,
    )


def _check_size(image: Image.Image, limits: ScanLimits) -> None:
    """Refuse by the header's size, before any pixel is decoded."""
    width, height = image.size
    if width * height > limits.max_pixels:
        raise _too_many_pixels(f"{width} x {height} pixels", limits)
    if min(width, height) < limits.min_side:
        raise ScanError(
            "image-too-small",
            f"The image has {width} x {height} pixels; a slice needs at least "
            f"{limits.min_side} in each direction.",
            "Upload the slice itself, not an icon or a thumbnail.",
        )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # unreadable EXIF says nothing about the pixels: keep them as stored
        return image


def _to_slice(image: Image.Image) -> Slice:
    if image.mode in _MANY_BITS:
        return Slice(window_to_uint8(np.asarray(image)))
    if image.mode in _ALPHA or "transparency" in image.info:
        image = _on_black(image)
    if image.mode in _GRAY:
        return Slice(np.asarray(image.convert("L")))
    if image.mode != "RGB":  # palette, CMYK, YCbCr, LAB, HSV
        image = image.convert("RGB")
    return Slice(np.asarray(image.convert("L")), was_colour=_is_colour(image))


def _on_black(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    black = Image.new("RGB", rgba.size)
    black.paste(rgba, mask=rgba.getchannel("A"))
    return black


def _is_colour(image: Image.Image) -> bool:
    small = image.resize((64, 64), Image.Resampling.BOX, reducing_gap=1.0)
    channels = np.asarray(small, np.int16)
    return float((channels.max(axis=2) - channels.min(axis=2)).mean()) > _COLOUR_SPREAD
