"""DICOM: single frame, multi-frame, enhanced, colour; with or without a preamble."""

from __future__ import annotations

import logging
import warnings
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from brain_cnn.errors import ScanError
from brain_cnn.scan.deep import luminance
from brain_cnn.scan.dicom_complete import complete
from brain_cnn.scan.dicom_header import (
    facts_of,
    first_number,
    geometry_and_spacing,
    rescale_of,
    sop_class_name,
    text,
    window_of,
)
from brain_cnn.scan.dicom_parse import damaged_dicom, parse
from brain_cnn.scan.dicom_pixels import check_size, check_syntax, read_frames
from brain_cnn.scan.dicom_stack import repeats_of, stack_key
from brain_cnn.scan.display import Frame, Reading, Rescale
from brain_cnn.scan.palette import check_segments
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
        dataset, syntax = parse(data, limits, deadline)
        _require_image(dataset)
        check_syntax(syntax)
        complete(dataset)
        check_size(dataset, limits)
        return _reading(dataset, _frames(dataset, syntax, limits, deadline))
    except ScanError:
        raise
    except Exception as error:  # pydicom decodes values when they are asked for, anywhere
        raise damaged_dicom() from error


def _reading(dataset: Dataset, frames: list[Frame]) -> Reading:
    geometry = frames[0].geometry
    series = text(dataset, "SeriesInstanceUID")
    notes: tuple[str, ...] = ()
    if any(frame.inverted for frame in frames):
        notes = ("Stored with black and white exchanged (MONOCHROME1); shown the right way.",)
    return Reading(frames, "DICOM", facts_of(dataset, geometry), series, notes)


def series_of(data: bytes) -> str:
    """Return the key of a file's series without reading its pixels; "" if it has none."""
    try:
        header = dcmread(BytesIO(data), stop_before_pixels=True, force=True)
        return text(header, "SeriesInstanceUID")
    except Exception:  # `read_dicom` raises the error
        return ""


def _require_image(dataset: Dataset) -> None:
    """Refuse DICOM files without a picture: reports, plans, structures, directories."""
    if "PixelData" in dataset:
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
    padding = _padding_of(dataset)
    number = first_number(dataset, "InstanceNumber") or 0.0
    location = first_number(dataset, "SliceLocation")
    instance = text(dataset, "SOPInstanceUID")
    key = stack_key(dataset)
    used = int(first_number(dataset, "BitsStored") or 0)
    own_facts = "PerFrameFunctionalGroupsSequence" in dataset
    frames = []
    for place, stored in enumerate(read_frames(dataset, syntax, limits, deadline)):
        geometry, spacing = geometry_and_spacing(dataset, place)
        frame = (
            _colour(stored, used) if stored.ndim == 3 else _palette_or_grey(dataset, stored, place)
        )
        frame.geometry, frame.spacing, frame.order = geometry, spacing, (number, place)
        frame.key, frame.location, frame.repeats = key, location, repeats_of(dataset, place)
        frame.identity = f"{instance} {place}" if instance else ""
        frame.facts = facts_of(dataset, geometry, place) if own_facts else None
        if not frame.ready or stored.ndim == 2:
            frame.inverted = (
                interpretation == "MONOCHROME1"
                or text(dataset, "PresentationLUTShape") == "INVERSE"
            )
        if frame.ready and frame.inverted:
            frame.values = 255 - frame.values
        if padding is not None and not frame.ready:
            values, rescale = _rescaled(dataset, np.array([padding]), place)
            ends = (values if rescale is None else rescale.apply(values)).ravel()
            frame.padding = float(ends.min()), float(ends.max())
        frames.append(frame)
    return frames


def _padding_of(dataset: Dataset) -> tuple[float, float] | None:
    """Return the lowest and highest stored value of padding (PS3.3 C.7.5.1.1.2)."""
    value = first_number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = first_number(dataset, "PixelPaddingRangeLimit")
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def _palette_or_grey(dataset: Dataset, stored: NDArray[Any], place: int) -> Frame:
    if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        return _colour(_through_palette(dataset, stored))
    values, rescale = _rescaled(dataset, stored, place)
    frame = Frame(values, rescale=rescale, window=window_of(dataset, place))
    if "VOILUTSequence" in dataset and window_of(dataset, place, own=True) is None:
        looked_up = _voi_lut(dataset, frame.real())
        if looked_up is not None:
            return Frame(looked_up, ready=True)
    return frame


def _rescaled(
    dataset: Dataset, stored: NDArray[Any], place: int
) -> tuple[NDArray[Any], Rescale | None]:
    """Step 1 of `display`: through the Modality LUT, else slope and intercept of the frame."""
    scale = rescale_of(dataset, place, own=True)
    if scale is None and "ModalityLUTSequence" in dataset:
        try:
            return np.asarray(apply_modality_lut(stored, dataset)).astype(np.float32), None
        except Exception:  # a broken table: the stored values still show the picture
            return stored.astype(np.float32), None
    scale = scale or rescale_of(dataset, place)
    # Native byte order, and small where it is small: a volume is held until it is windowed.
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if scale is None or scale[0] == 0 or scale == (1, 0):
        return native, None
    return native, Rescale(np.float32(scale[0]), np.float32(scale[1]))


def _voi_lut(dataset: Dataset, values: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Step 2 of `display` where the header gives a table (PS3.3 C.11.2.1.1)."""
    try:
        whole = np.rint(values).astype(np.int32)
        table = dataset.VOILUTSequence[0]
        bits = int(table.LUTDescriptor[2])
        looked_up = np.asarray(apply_voi(whole, dataset)).astype(np.float32)
        result: NDArray[np.uint8] | None = np.rint(
            np.clip(looked_up * (255.0 / (2**bits - 1)), 0, 255)
        ).astype(np.uint8)
        return result
    except Exception:  # a broken table: the window or the percentiles serve
        return None


def _through_palette(dataset: Dataset, stored: NDArray[Any]) -> NDArray[Any]:
    try:
        _check_palette(dataset)
        coloured = np.asarray(apply_color_lut(stored, dataset))
    except ScanError:
        raise
    except Exception as error:
        raise ScanError(
            "damaged-dicom",
            "The colour table of the DICOM file is damaged.",
            "Export it again from its original program.",
        ) from error
    if coloured.dtype != np.uint8:  # tables of 16 bits use their full range (PS3.3 C.7.6.3.1.6)
        coloured = (coloured.astype(np.float32) / 257.0).astype(np.uint8)
    return coloured[..., :3]


def _check_palette(dataset: Dataset) -> None:
    """Measure a segmented palette before pydicom unfolds it (PS3.3 C.7.9.2)."""
    little_endian = bool(dataset.file_meta.TransferSyntaxUID.is_little_endian)
    for colour in ("Red", "Green", "Blue", "Alpha"):
        table = dataset.get(f"Segmented{colour}PaletteColorLookupTableData")
        bits = int(dataset.RedPaletteColorLookupTableDescriptor[2]) if table else 0
        check_segments(table, bits, little_endian)


def _colour(rgb: NDArray[Any], bits: int = 0) -> Frame:
    """Return the luminance of (H, W, 3) RGB, display-ready.

    Args:
        bits: how many of a sample are in use, all if 0. Where even these are not, the picture
            is windowed as a grey one is.
    """
    if rgb.dtype != np.uint8:
        bits = bits or rgb.dtype.itemsize * 8
        if float(rgb.max()) < 2.0 ** (bits - 2):
            values, colour = luminance(rgb)
            return Frame(values, colour=colour)
        rgb = rgb.astype(np.float64) * (255.0 / (2.0**bits - 1))
        rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(rgb), "RGB")
    return Frame(np.asarray(image.convert("L")), ready=True, colour=is_colour(image))
