"""DICOM: single frame, multi-frame, enhanced, colour; with or without a preamble."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import config, dcmread, uid
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from brain_cnn.errors import ScanError
from brain_cnn.scan.dicom_header import (
    facts_of,
    first_number,
    geometry_and_spacing,
    in_group,
    sop_class_name,
    text,
    window_of,
)
from brain_cnn.scan.dicom_pixels import check_size, check_syntax, read_frames
from brain_cnn.scan.display import Frame, Reading
from brain_cnn.scan.raster import is_colour
from brain_cnn.scan.types import Deadline, ScanLimits

# Values that break the standard's rules are common and harmless here: read them.
config.settings.reading_validation_mode = config.IGNORE
# pydicom's warnings and log quote values of the header: names must not get into a log.
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

_GREY = ("MONOCHROME1", "MONOCHROME2")


def read_dicom(data: bytes, limits: ScanLimits, deadline: Deadline) -> Reading:
    """Read one DICOM file.

    Raises:
        ScanError: 413 too large; 415 no image, or an unsupported transfer syntax;
            422 damaged, truncated or too small.
    """
    try:
        dataset, syntax = _parse(data, limits)
        _require_image(dataset)
        check_syntax(syntax)
        check_size(dataset, limits)
        return _reading(dataset, _frames(dataset, syntax, limits, deadline))
    except ScanError:
        raise
    except Exception as error:  # pydicom decodes values when they are asked for, anywhere
        raise _damaged() from error


def _reading(dataset: Dataset, frames: list[Frame]) -> Reading:
    geometry = frames[0].geometry
    series = text(dataset, "SeriesInstanceUID")
    if series and geometry is not None:
        # A localiser holds three planes in one series: each is a stack of its own.
        series += f" {np.round(geometry.normal, 1) + 0.0}"
    notes: tuple[str, ...] = ()
    if any(frame.inverted for frame in frames):
        notes = ("Stored with black and white exchanged (MONOCHROME1); shown the right way.",)
    return Reading(frames, "DICOM", facts_of(dataset, geometry), series, notes)


def _damaged() -> ScanError:
    return ScanError(
        "damaged-dicom",
        "The file begins as DICOM but its header cannot be read: it is truncated or damaged.",
        "Export or copy it again and check that another program opens it.",
    )


def series_of(data: bytes) -> str:
    """Return the key of a file's series without reading its pixels; "" if it has none."""
    try:
        header = dcmread(BytesIO(data), stop_before_pixels=True, force=True)
        return text(header, "SeriesInstanceUID")
    except Exception:  # `read_dicom` raises the error
        return ""


def _parse(data: bytes, limits: ScanLimits) -> tuple[Dataset, str]:
    """Return the data set and the UID of its transfer syntax."""
    _check_deflated(data, limits)
    dataset = dcmread(BytesIO(data), force=True)
    if not len(dataset):
        raise _damaged()
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "") or "")
    if not syntax:
        # Without a file header the encoding was found by trying.
        implicit, little = dataset.original_encoding
        syntax = uid.ImplicitVRLittleEndian
        if not implicit:
            syntax = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    return dataset, syntax


def _check_deflated(data: bytes, limits: ScanLimits) -> None:
    """Unpack a deflated data set within the limit before pydicom does so without one."""
    head = data[:4096]
    if str(uid.DeflatedExplicitVRLittleEndian).encode() not in head:
        return
    # (0002,0000) UL, 4 bytes: length of the file header that follows it (PS3.10 7.1).
    place = head.find(b"\x02\x00\x00\x00UL\x04\x00", 0, 256)
    if place < 0 or len(data) < place + 12:
        raise ScanError("damaged-dicom", "The deflated DICOM file has no valid file header.")
    start = place + 12 + struct.unpack_from("<I", data, place + 8)[0]
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = len(inflater.decompress(data[start:], limits.max_unpacked_bytes + 1))
    except zlib.error as error:
        raise ScanError("damaged-dicom", "The deflated DICOM file is damaged.") from error
    limits.check_unpacked(len(data), unpacked)


def _require_image(dataset: Dataset) -> None:
    """Refuse DICOM files without a picture: reports, plans, structures, directories."""
    if "PixelData" in dataset and "Rows" in dataset:
        return
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        what = "Parametric Map of floating-point numbers"
    else:
        what = sop_class_name(dataset) or _directory(dataset) or "an unknown SOP class"
    raise ScanError(
        "not-an-image",
        f"This DICOM file holds no readable picture. Its kind is: {what}.",
        "Choose the files of an MR series.",
        status=415,
    )


def _directory(dataset: Dataset) -> str:
    media = dataset.file_meta.get("MediaStorageSOPClassUID", "")
    return sop_class_name(_with_class(media)) if media else ""


def _with_class(value: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = value
    return dataset


def _frames(dataset: Dataset, syntax: str, limits: ScanLimits, deadline: Deadline) -> list[Frame]:
    interpretation = text(dataset, "PhotometricInterpretation")
    padding = first_number(dataset, "PixelPaddingValue")
    number = first_number(dataset, "InstanceNumber") or 0.0
    frames = []
    for place, stored in enumerate(read_frames(dataset, syntax, limits, deadline)):
        geometry, spacing = geometry_and_spacing(dataset, place)
        frame = _colour(stored) if stored.ndim == 3 else _palette_or_grey(dataset, stored, place)
        frame.geometry, frame.spacing, frame.order = geometry, spacing, (number, place)
        if not frame.ready or stored.ndim == 2:
            frame.inverted = (
                interpretation == "MONOCHROME1"
                or text(dataset, "PresentationLUTShape") == "INVERSE"
            )
        if frame.ready and frame.inverted:
            frame.values = 255 - frame.values
        if padding is not None and not frame.ready:
            frame.padding = _rescaled(dataset, np.array([[padding]]), place).item()
        frames.append(frame)
    return frames


def _palette_or_grey(dataset: Dataset, stored: NDArray, place: int) -> Frame:
    if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        return _colour(_through_palette(dataset, stored))
    values = _rescaled(dataset, stored, place)
    if "VOILUTSequence" in dataset:
        looked_up = _voi_lut(dataset, values)
        if looked_up is not None:
            return Frame(looked_up, ready=True)
    return Frame(values, window=window_of(dataset, place))


def _rescaled(dataset: Dataset, stored: NDArray, place: int) -> NDArray:
    """Step 1 of `display`: Modality LUT, else slope and intercept of the frame."""
    if "ModalityLUTSequence" in dataset:
        try:
            return np.asarray(apply_modality_lut(stored, dataset)).astype(np.float32)
        except Exception:  # a broken table: the stored values still show the picture
            return stored.astype(np.float32)
    group = "PixelValueTransformationSequence"
    slope = in_group(dataset, place, group, "RescaleSlope")
    intercept = in_group(dataset, place, group, "RescaleIntercept")
    if slope is None or intercept is None or slope[0] == 0 or (slope[0], intercept[0]) == (1, 0):
        # Native byte order, and small where it is small: a volume is held until it is windowed.
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    return (stored * np.float32(slope[0]) + np.float32(intercept[0])).astype(np.float32)


def _voi_lut(dataset: Dataset, values: NDArray) -> NDArray[np.uint8] | None:
    """Step 2 of `display` where the header gives a table (PS3.3 C.11.2.1.1)."""
    try:
        whole = np.rint(values).astype(np.int32)
        table = dataset.VOILUTSequence[0]
        bits = int(table.LUTDescriptor[2])
        looked_up = np.asarray(apply_voi(whole, dataset)).astype(np.float32)
        return np.rint(np.clip(looked_up * (255.0 / (2**bits - 1)), 0, 255)).astype(np.uint8)
    except Exception:  # a broken table: the window or the percentiles serve
        return None


def _through_palette(dataset: Dataset, stored: NDArray) -> NDArray:
    try:
        coloured = np.asarray(apply_color_lut(stored, dataset))
    except Exception as error:
        raise ScanError(
            "damaged-dicom",
            "The colour table of the DICOM file is damaged.",
            "Export it again from its original program.",
        ) from error
    if coloured.dtype != np.uint8:  # tables of 16 bits use their full range (PS3.3 C.7.6.3.1.6)
        coloured = (coloured.astype(np.float32) / 257.0).astype(np.uint8)
    return coloured[..., :3]


def _colour(rgb: NDArray) -> Frame:
    """Return the luminance of (H, W, 3) RGB, display-ready."""
    if rgb.dtype != np.uint8:
        bits = rgb.dtype.itemsize * 8
        rgb = (rgb.astype(np.float64) * (255.0 / (2.0**bits - 1))).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(rgb), "RGB")
    return Frame(np.asarray(image.convert("L")), ready=True, colour=is_colour(image))
