"""What a DICOM header says, made safe: known words and plain numbers, nothing personal.

Header values come from strangers. Every value that leaves this file is a number, or a word
from a list of ours; names, numbers of patients, dates, institutions and UIDs never do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from brain_cnn.errors import ScanError
from brain_cnn.scan.display import Window
from brain_cnn.scan.geometry import Geometry, geometry_of
from brain_cnn.scan.modality import MODALITIES, OTHER_MODALITY
from brain_cnn.scan.types import ScanFacts

# Storage classes whose name tells the modality where the header leaves it out.
_CLASS_WORDS = (("MR Image", "MR"), ("CT Image", "CT"), ("Ultrasound", "US"), ("X-Ray", "RG"))

_FLAIR_TI_MS = 1500.0
_SCALING = "PixelValueTransformationSequence"


def first_numbers(dataset: Dataset, keyword: str) -> list[float] | None:
    """Return a numeric element as finite floats, or None if it is missing or not numeric."""
    try:
        value = dataset.get(keyword)
        if value is None:
            return None
        values = [float(v) for v in (value if _is_list(value) else [value])]
    except Exception:  # pydicom raises many kinds on a malformed value
        return None
    return values if values and np.isfinite(values).all() else None


def first_number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of a numeric element, None if there is none."""
    values = first_numbers(dataset, keyword)
    return values[0] if values else None


def whole_number(dataset: Dataset, keyword: str, default: int) -> int:
    """Return a count from the header.

    Raises:
        ScanError: 422, it is not a whole number.
    """
    value = dataset.get(keyword)
    if value is None or value == "":
        return default
    number = first_number(dataset, keyword)
    if number is None or number != int(number) or not 0 <= number < 2**31:
        raise ScanError(
            "damaged-dicom",
            f"The DICOM header holds no valid {keyword}.",
            "Export it again from its original program.",
        )
    return int(number)


def text(dataset: Dataset, keyword: str) -> str:
    """Return a text element in capitals for comparison; never to be shown."""
    try:
        value = dataset.get(keyword)
    except Exception:  # see `first_numbers`
        return ""
    if _is_list(value):
        value = " ".join(str(v) for v in value)
    return str(value or "").strip().upper()


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"


def groups_of(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """Yield where an element of a frame may stand: its own group, the shared one, the top.

    Functional groups of an enhanced multi-frame image: PS3.3 C.7.6.16.
    """
    for keyword, place in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        group = item_of(dataset, keyword, place)
        if group is not None:
            yield group
    yield dataset


def in_group(
    dataset: Dataset, frame: int, sequence: str, keyword: str, top: str | None = None
) -> list[float] | None:
    """Return numbers of a frame, from its functional group `sequence` or from the top.

    Args:
        top: what the element is called at the top; None: as in the group, "": only groups count.
    """
    for group in groups_of(dataset, frame):
        if group is dataset:
            name = keyword if top is None else top
            return first_numbers(dataset, name) if name else None
        holder = item_of(group, sequence, 0)
        values = None if holder is None else first_numbers(holder, keyword)
        if values is not None:
            return values
    return None


def item_of(dataset: Dataset, keyword: str, place: int) -> Dataset | None:
    """Return one item of a sequence, None if it is not there or cannot be read."""
    try:
        sequence = dataset.get(keyword)
        if sequence is None or place >= len(sequence):
            return None
        result: Dataset | None = sequence[place]
        return result
    except Exception:  # see `first_numbers`
        return None


def window_of(dataset: Dataset, frame: int, own: bool = False) -> Window | None:
    """Return the first VOI window of a frame, None if there is no valid one.

    Args:
        own: only the functional groups count, not what the top of the header gives to all.
    """
    for group in groups_of(dataset, frame):
        if own and group is dataset:
            break
        holder = group if group is dataset else item_of(group, "FrameVOILUTSequence", 0)
        if holder is None:
            continue
        centre = first_number(holder, "WindowCenter")
        width = first_number(holder, "WindowWidth")
        if centre is not None and width is not None:
            function = text(holder, "VOILUTFunction") or "LINEAR"
            return Window.of_header(centre, width, function)
    return None


def geometry_and_spacing(
    dataset: Dataset, frame: int
) -> tuple[Geometry | None, tuple[float, float] | None]:
    """Return the place of a frame, and its (row, column) spacing in mm, None if unknown."""
    geometry = geometry_of(
        in_group(dataset, frame, "PlaneOrientationSequence", "ImageOrientationPatient"),
        in_group(dataset, frame, "PlanePositionSequence", "ImagePositionPatient"),
    )
    spacing = in_group(dataset, frame, "PixelMeasuresSequence", "PixelSpacing")
    if spacing is None or len(spacing) != 2 or min(spacing) <= 0:
        spacing = first_numbers(dataset, "PixelAspectRatio")  # (row, column), PS3.3 C.7.6.3.1.7
    if spacing is None or len(spacing) != 2 or min(spacing) <= 0:
        return geometry, None
    return geometry, (spacing[0], spacing[1])


def rescale_of(dataset: Dataset, frame: int, own: bool = False) -> tuple[float, float] | None:
    """Return slope and intercept of a frame, None if one is missing; `own` as in `window_of`."""
    top = "" if own else None
    slope = in_group(dataset, frame, _SCALING, "RescaleSlope", top)
    intercept = in_group(dataset, frame, _SCALING, "RescaleIntercept", top)
    return None if slope is None or intercept is None else (slope[0], intercept[0])


def facts_of(dataset: Dataset, geometry: Geometry | None, frame: int = 0) -> ScanFacts:
    """Return the facts of a header that may be shown; where frames differ, those of `frame`."""
    thickness = in_group(dataset, frame, "PixelMeasuresSequence", "SliceThickness")
    spacing = in_group(dataset, frame, "PixelMeasuresSequence", "PixelSpacing")
    modality = modality_of(dataset)
    return ScanFacts(
        modality=modality,
        weighting=weighting_of(dataset, frame) if modality == "MR" else "",
        plane=geometry.plane if geometry else "",
        oblique=bool(geometry and geometry.oblique),
        slice_thickness_mm=thickness[0] if thickness and 0 < thickness[0] < 1000 else None,
        pixel_spacing_mm=(spacing[0], spacing[1])
        if spacing and len(spacing) == 2 and min(spacing) > 0 and max(spacing) < 1000
        else None,
    )


def modality_of(dataset: Dataset) -> str:
    """Return a key of `MODALITIES`, `OTHER_MODALITY`, or "" if the header has none."""
    stated = text(dataset, "Modality")
    if stated in MODALITIES:
        return stated
    if stated:
        return OTHER_MODALITY
    name = sop_class_name(dataset)
    return next((code for word, code in _CLASS_WORDS if word in name), "")


def sop_class_name(dataset: Dataset) -> str:
    """Return the standard's name of the SOP class; "" if it is not in the standard."""
    uid = dataset.get("SOPClassUID")
    name = getattr(uid, "name", "")
    # For an unknown UID pydicom's name is the UID itself, which may lead to a person.
    return name if re.fullmatch(r"[A-Za-z][\w \-/()&,]{3,80}", name or "") else ""


def weighting_of(dataset: Dataset, frame: int = 0) -> str:
    """Guess the weighting from the times of the sequence, or from the series' name.

    The name is only searched for the words below; it is never shown.
    """
    words = " ".join(text(dataset, k) for k in ("SeriesDescription", "ProtocolName"))
    contrast = text(dataset, "ContrastBolusAgent") not in ("", "NO", "NONE")
    found = _weighting_by_times(dataset, frame) or _weighting_by_words(words)
    if found == "T1" and (contrast or re.search(r"(^|[^A-Z])(GD|GAD|POST|T1C|\+C)", words)):
        return "T1 contrast-enhanced"
    return found


# Functional group, element there, element of a plain file (PS3.3 C.8.13.5.2, .5, C.8.13.5.6).
_TIMES = (
    ("MRTimingAndRelatedParametersSequence", "RepetitionTime", "RepetitionTime"),
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("MRModifierSequence", "InversionTimes", "InversionTime"),
)


def first_of(values: list[float] | None) -> float | None:
    """Return the first of the numbers of an element, None where it has none."""
    return values[0] if values else None


def _weighting_by_times(dataset: Dataset, frame: int) -> str:
    tr, te, ti = (
        first_of(in_group(dataset, frame, sequence, inner, keyword))
        for sequence, inner, keyword in _TIMES
    )
    if tr is None or te is None or "EP" in text(dataset, "ScanningSequence").split():
        return ""
    if ti is not None and ti > _FLAIR_TI_MS and tr > 4000:
        return "FLAIR"
    if tr > 4000 and te > 70 and "FLAIR" in text(dataset, "SeriesDescription"):
        return "FLAIR"
    if tr < 1000 and te < 35:
        return "T1"
    if tr >= 1800 and te >= 70:
        return "T2"
    return "PD" if tr >= 1800 and te < 40 and ti is None else ""


def _weighting_by_words(words: str) -> str:
    for weighting in ("FLAIR", "T1", "T2", "PD"):
        if re.search(rf"(^|[^A-Z0-9]){weighting}", words):
            return weighting
    return "T1" if "MPRAGE" in words else ""
