"""PNG, JPEG, WebP, BMP, TIFF and GIF -> frames.

The order of operations is fixed: decode, turn upright (EXIF), put transparency on black,
window images with more than 8 bits, luminance. Training reads its images through the same
code (`brain_cnn.dataset.index.read_pixels`), so a change here is a change of the model's input.
"""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from brain_cnn.errors import ScanError
from brain_cnn.scan.codestream import MAX_SCANNED_PIXELS, read_codestream
from brain_cnn.scan.deep import is_deep_png, read_deep
from brain_cnn.scan.display import Frame, Reading
from brain_cnn.scan.types import Deadline, ScanLimits

# Pillow only warns of a decompression bomb and then decodes it. Our own limit below is
# smaller than Pillow's and is what protects a server; this makes the warning an error too.
warnings.simplefilter("error", Image.DecompressionBombWarning)

_MANY_BITS = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_GRAY = frozenset({"L", "1"})
_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
# Mean spread between the colour channels, in levels of 255, above which a file was colour.
# JPEG rounding of a gray picture stays below 2.
_COLOUR_SPREAD = 6.0
# WhiteIsZero (TIFF 6.0, PhotometricInterpretation); Pillow turns 8 bits round, and no others.
_TIFF_PHOTOMETRIC = 262
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF 6.0, section 15
_MAX_TIFF_TILES = 65_536
_EXIF_ORIENTATION = 274
_WORDS = {"JPEG2000": "JPEG 2000"}


def read_raster(data: bytes, kind: str, limits: ScanLimits, deadline: Deadline) -> Reading:
    """Read one raster file.

    Args:
        data: the whole file.
        kind: its format as `sniff` named it; no other decoder is tried.
        limits: see `ScanLimits`.
        deadline: checked between pages.

    Returns:
        One frame, or one for each page of a TIFF.

    Raises:
        ScanError: 413 too many pixels or pages; 422 damaged, truncated or too small.
    """
    notes: tuple[str, ...] = ()
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            limits.check_pixels(*image.size)
            if kind == "JPEG":
                check_scans(data)
            if kind == "PNG" and is_deep_png(data):
                frame = read_deep(data, kind, limits, _orientation(image))
                return Reading([frame] if frame else [], kind)
            pages = _pages(image, kind, limits)
            if kind == "TIFF":
                _check_tiles(image, limits)
            if kind == "TIFF" and pages == 1:
                deep = read_deep(data, kind, limits)
                if deep is not None:
                    return Reading([deep], kind)
            if kind == "TIFF" and pages > 1:
                return _read_pages(image, pages, limits, deadline)
            if pages > 1:
                notes = ("The file holds several frames; only the first was read.",)
            if kind == "JPEG" and image.mode == "RGB" and _is_grey_jpeg(data):
                # A grey slice that was saved as colour: its luminance is decoded and nothing
                # else, in half the time. The pixels are those that the colours would give.
                image.draft("L", None)
            image.load()
            frame = _to_frame(_upright(image), _white_is_zero(image))
    except ScanError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ScanError(
            "image-too-large",
            f"The image has more pixels than the limit of {limits.max_pixels:,}.",
            "Scale it down to the size of a slice, 1024 x 1024 at most.",
            status=413,
        ) from error
    except Exception as error:  # a decoder fed with foreign bytes may raise anything at all
        return read_other(data, kind, limits, error)
    return Reading([frame], kind, notes=notes)


def read_other(
    data: bytes, kind: str, limits: ScanLimits, reason: Exception | None = None
) -> Reading:
    """Read a picture that Pillow does not read.

    Raises:
        ScanError: 413 too many pixels; 422 damaged, truncated or too small.
    """
    try:
        frame = read_deep(data, kind, limits)
    except ScanError:
        raise
    except Exception as error:  # as above
        frame, reason = None, error
    if frame is None:
        raise ScanError(
            "damaged-image",
            f"The file begins as {_WORDS.get(kind, kind)} but cannot be decoded: "
            "it is truncated or damaged.",
            "Export or download it again and check that another program opens it.",
        ) from reason
    return Reading([frame], kind)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # unreadable EXIF says nothing about the pixels
        return 1


def _pages(image: Image.Image, kind: str, limits: ScanLimits) -> int:
    """Count the pages. The page list may loop, so counting stops above the limit."""
    if kind != "TIFF":
        return 2 if getattr(image, "is_animated", False) else 1
    count = 1
    try:
        while count <= limits.max_slices:
            image.seek(count)
            count += 1
    except EOFError:
        pass
    image.seek(0)
    return count


def _read_pages(image: Image.Image, pages: int, limits: ScanLimits, deadline: Deadline) -> Reading:
    """Read the pages of a TIFF as slices; skip a page of another size."""
    width, height = image.size
    limits.check_slices(pages, width * height * pages)
    frames = []
    for page in range(pages):
        deadline.check()
        image.seek(page)
        if image.size != (width, height):
            continue
        _check_tiles(image, limits)
        image.load()
        frames.append(_to_frame(_upright(image), _white_is_zero(image)))
    left_out = pages - len(frames)
    notes = [f"The {len(frames)} pages of the TIFF were taken as slices, in their order."]
    if left_out:
        notes.append(f"{left_out} pages of another size were left out.")
    return Reading(frames, "TIFF", notes=tuple(notes))


def check_scans(data: bytes) -> None:
    """Refuse a JPEG that makes its decoder go over too many pixels too often.

    Raises:
        ScanError: 413.
    """
    stream = read_codestream(data)
    if stream is not None and not stream.is_bounded():
        raise ScanError(
            "too-many-scans",
            f"The JPEG has {stream.width} x {stream.height} pixels in {stream.scans:,} scans; "
            f"the limit is {MAX_SCANNED_PIXELS:,} pixels in all scans together.",
            "Save it again as an ordinary JPEG or PNG.",
            status=413,
        )


def _check_tiles(image: Image.Image, limits: ScanLimits) -> None:
    """Refuse a page of a TIFF whose tiles are larger than a slice may be, or too many.

    A tile is decoded whole, however small the picture is.

    Raises:
        ScanError: 413.
    """
    tags = image.tag_v2  # type: ignore[attr-defined]  # pages of a TIFF have it
    if _TILE_WIDTH not in tags and _TILE_LENGTH not in tags:
        return
    wide, high = int(tags.get(_TILE_WIDTH, 0)), int(tags.get(_TILE_LENGTH, 0))
    if wide < 1 or high < 1:
        raise ValueError("a tile without a size")
    width, height = image.size
    count = -(-width // wide) * -(-height // high)
    if wide * high > limits.max_pixels or count > _MAX_TIFF_TILES:
        raise ScanError(
            "image-too-large",
            f"The TIFF is cut into {count:,} tiles of {wide} x {high} pixels; the limit is "
            f"{_MAX_TIFF_TILES:,} tiles, and {limits.max_pixels:,} pixels for one.",
            "Save it again as an ordinary TIFF or PNG.",
            status=413,
        )


def _upright(image: Image.Image) -> Image.Image:
    if image.format == "JPEG" and not {"exif", "xmp"} & image.info.keys():
        return image  # nothing could say so; most slices, and asking costs as much as opening
    # In place, since without a turn it would copy the picture. Unreadable EXIF says nothing
    # about the pixels: they are kept as stored.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _to_frame(image: Image.Image, white_is_zero: bool) -> Frame:
    if image.mode in _MANY_BITS:
        return Frame(np.array(image), inverted=white_is_zero)
    if image.mode in _ALPHA or "transparency" in image.info:
        image = _on_black(image)
    if image.mode in _GRAY:
        return Frame(_gray(image), ready=True)
    if image.mode != "RGB":  # palette, CMYK, YCbCr, LAB, HSV
        image = image.convert("RGB")
    return Frame(_gray(image), ready=True, colour=is_colour(image))


def _gray(image: Image.Image) -> NDArray[np.uint8]:
    # `convert` would copy a picture that is grey already.
    return np.asarray(image if image.mode == "L" else image.convert("L"))


def _white_is_zero(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(_TIFF_PHOTOMETRIC) == 0


def _on_black(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    black = Image.new("RGB", rgba.size)
    black.paste(rgba, mask=rgba.getchannel("A"))
    return black


def _is_grey_jpeg(data: bytes) -> bool:
    """Whether a colour JPEG is grey everywhere; checked on a copy of an eighth of its size."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as small:
        small.draft("RGB", (small.width // 8, small.height // 8))
        return not _spread(small).any()


def is_colour(image: Image.Image) -> bool:
    """Whether an RGB image shows visible colour."""
    small = image.resize((64, 64), Image.Resampling.BOX, reducing_gap=1.0)
    return float(_spread(small).mean()) > _COLOUR_SPREAD


def _spread(image: Image.Image) -> NDArray[np.uint8]:
    """Return how far apart the colours of each pixel of an RGB image are, uint8 (H, W)."""
    red, green, blue = np.moveaxis(np.asarray(image), 2, 0)
    highest = np.maximum(np.maximum(red, green), blue)
    result: NDArray[np.uint8] = highest - np.minimum(np.minimum(red, green), blue)
    return result
