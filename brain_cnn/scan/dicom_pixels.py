"""Pixel data of a DICOM file -> arrays, one frame at a time, in memory, with bounds.

Decoders: pydicom itself (uncompressed, RLE), Pillow (8-bit JPEG), libjpeg-turbo through
imagecodecs (JPEG of other kinds), CharLS through pyjpegls (JPEG-LS), OpenJPEG through
pylibjpeg-openjpeg (JPEG 2000, HTJ2K). None of them is GPL; see NOTICE.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import iter_pixels

from brain_cnn.errors import ScanError
from brain_cnn.scan.codestream import read_codestream, rle_size
from brain_cnn.scan.dicom_header import whole_number
from brain_cnn.scan.dicom_jpeg import PLUGIN, register
from brain_cnn.scan.jpegls import is_sound
from brain_cnn.scan.types import Deadline, ScanLimits

register()

# Transfer syntax -> pydicom plug-ins to try in turn; "" is pydicom's own reading.
_PLUGINS: dict[str, tuple[str, ...]] = {
    uid.ImplicitVRLittleEndian: ("",),
    uid.ExplicitVRLittleEndian: ("",),
    uid.ExplicitVRBigEndian: ("",),
    uid.DeflatedExplicitVRLittleEndian: ("",),
    uid.RLELossless: ("pydicom",),
    uid.JPEGBaseline8Bit: ("pillow", PLUGIN),
    uid.JPEGExtended12Bit: (PLUGIN,),
    uid.JPEGLossless: (PLUGIN,),
    uid.JPEGLosslessSV1: (PLUGIN,),
    uid.JPEGLSLossless: ("pyjpegls",),
    uid.JPEGLSNearLossless: ("pyjpegls",),
    uid.JPEG2000Lossless: ("pylibjpeg",),
    uid.JPEG2000: ("pylibjpeg",),
    uid.HTJ2KLossless: ("pylibjpeg",),
    uid.HTJ2KLosslessRPCL: ("pylibjpeg",),
    uid.HTJ2K: ("pylibjpeg",),
}
READ_SYNTAXES = frozenset(_PLUGINS)
"""UIDs of the transfer syntaxes that are read."""

_CODESTREAMS = READ_SYNTAXES - {
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
}
_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
_ITEM = b"\xfe\xff\x00\xe0"  # before every fragment (PS3.5 A.4)
# Fragments beside one a frame. Scanners write one; those that cut write some hundred.
_MAX_FRAGMENTS = 16_384
# Below this a frame of runs cannot unpack to anything that hurts (64 times as much).
_RLE_SMALL = 4 * 1024 * 1024


def check_syntax(syntax: str) -> None:
    """Refuse a transfer syntax that no decoder here supports.

    Raises:
        ScanError: 415, with the syntax's name.
    """
    if syntax in _PLUGINS:
        return
    name = uid.UID(syntax).name
    # For an unknown UID pydicom's name is the UID itself, which is not for showing.
    known = name if name != syntax and not name[:1].isdigit() else "one that is not in the standard"
    raise ScanError(
        "unsupported-syntax",
        f"The DICOM file uses a compression that is not supported: {known}.",
        "Export it uncompressed (Explicit VR Little Endian), or as PNG.",
        status=415,
    )


def read_frames(
    dataset: Dataset, syntax: str, limits: ScanLimits, deadline: Deadline
) -> Iterator[NDArray[Any]]:
    """Yield the stored values of each frame: (H, W), or (H, W, 3) RGB.

    Args:
        dataset: with its pixel data, whose size `check_size` has accepted.
        syntax: UID of its transfer syntax, one of `READ_SYNTAXES`.

    Raises:
        ScanError: 413 or 422.
    """
    if syntax in _CODESTREAMS or syntax == uid.RLELossless:
        _check_encoded(dataset, syntax, limits, deadline)
    frames = max(1, whole_number(dataset, "NumberOfFrames", 1))
    error: Exception | None = None
    for plugin in _PLUGINS[syntax]:
        done = 0
        try:
            for array in iter_pixels(
                dataset, indices=range(frames), decoding_plugin=plugin, raw=False
            ):
                deadline.check()
                yield np.asarray(array)
                done += 1
            if done:
                return
        except ScanError:
            raise
        except Exception as problem:  # decoders of foreign bytes raise anything at all
            error = problem
            if done:
                break  # a part is out already: another decoder cannot take over
    raise _undecodable(syntax) from error


def check_size(dataset: Dataset, limits: ScanLimits) -> tuple[int, int, int]:
    """Return (width, height, frames) of the header if they are within the limits.

    Raises:
        ScanError: 413 too large; 422 too small, or no valid size.
    """
    height, width = whole_number(dataset, "Rows", 0), whole_number(dataset, "Columns", 0)
    frames = max(1, whole_number(dataset, "NumberOfFrames", 1))
    samples = whole_number(dataset, "SamplesPerPixel", 1)
    bits = whole_number(dataset, "BitsAllocated", 0)
    if samples not in (1, 3) or bits not in (1, 8, 16, 32, 64) or bits * samples > 96:
        raise ScanError(
            "damaged-dicom",
            f"The DICOM header states {samples} samples of {bits} bits for a pixel.",
            "Export it again from its original program.",
        )
    limits.check_pixels(width, height)
    limits.check_slices(frames, width * height * frames)
    return width, height, frames


def _check_encoded(dataset: Dataset, syntax: str, limits: ScanLimits, deadline: Deadline) -> None:
    """Refuse compressed frames that would decode to another size, or that stop a decoder."""
    width, height, frames = check_size(dataset, limits)
    samples = whole_number(dataset, "SamplesPerPixel", 1)
    raw = width * height * samples * whole_number(dataset, "BitsAllocated", 8) // 8
    try:
        fragments = dataset.PixelData.count(_ITEM)
        if fragments > frames + _MAX_FRAGMENTS:
            raise ScanError(
                "too-many-fragments",
                f"The pixels of the DICOM file lie in {fragments:,} fragments; "
                f"the limit is {frames + _MAX_FRAGMENTS:,}.",
                "Export it again from the program that it came from.",
                status=413,
            )
        for place, encoded in enumerate(
            generate_frames(dataset.PixelData, number_of_frames=frames)
        ):
            if place >= frames:
                break
            deadline.check()
            if syntax == uid.RLELossless:
                # PackBits adds one byte in 128 at the worst; more than that is an attack.
                most = raw + raw // 16 + 4096
                if len(encoded) > most or (raw > _RLE_SMALL and rle_size(encoded) > most):
                    raise _undecodable(syntax)
                continue
            stream = read_codestream(encoded)
            if stream is None:
                raise _undecodable(syntax)
            size = stream.size
            limits.check_pixels(*size)
            if stream.components != samples or not stream.is_bounded():
                raise _undecodable(syntax)
            if size != (width, height):
                raise ScanError(
                    "damaged-dicom",
                    f"The DICOM header states {width} x {height} pixels, its compressed "
                    f"image {size[0]} x {size[1]}.",
                    "Export it again from its original program.",
                )
            if syntax in _JPEG_LS and not is_sound(encoded):
                raise _undecodable(syntax)
    except ScanError:
        raise
    except Exception as error:  # see `read_frames`
        raise _undecodable(syntax) from error


def _undecodable(syntax: str) -> ScanError:
    return ScanError(
        "damaged-image",
        "The pixels of the DICOM file cannot be decoded; they are stored as "
        f"{uid.UID(syntax).name}.",
        "Export it again, uncompressed, and check that another program opens it.",
    )
