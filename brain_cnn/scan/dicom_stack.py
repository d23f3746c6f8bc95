"""What a DICOM header says of the stack that a picture belongs to; for comparison only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from brain_cnn.scan.dicom_header import first_of, groups_of, in_group, item_of, modality_of, text

# What tells pictures of one place apart: the functional group of an enhanced file, the element
# there, and the element of a plain file (PS3.3 C.8.13.5, C.7.6.16.2.2, C.7.6.18).
_REPEATS = (
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("", "", "EchoNumbers"),
    ("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier"),
    ("MRDiffusionSequence", "DiffusionBValue", "DiffusionBValue"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "TriggerTime"),
    ("FrameContentSequence", "FrameAcquisitionNumber", "AcquisitionNumber"),
)


def stack_key(dataset: Dataset) -> str:
    """Return what the files of one stack share beside their series; for comparison only."""
    shared = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
    return "\n".join([*(text(dataset, keyword) for keyword in shared), modality_of(dataset)])


def repeats_of(dataset: Dataset, frame: int) -> tuple[Any, ...]:
    """Return echo, temporal position, and so on of a frame, for comparison only."""
    found: list[Any] = [
        first_of(in_group(dataset, frame, sequence, inner, keyword))
        for sequence, inner, keyword in _REPEATS
    ]
    kinds = [holder for holder in _frame_types(dataset, frame) if holder]
    return (*found, kinds[0] if kinds else "")


def _frame_types(dataset: Dataset, frame: int) -> Iterator[str]:
    """Yield the words for the kind of an image: magnitude, phase, water, fat."""
    for group in groups_of(dataset, frame):
        holder = None if group is dataset else item_of(group, "MRImageFrameTypeSequence", 0)
        if holder is not None:
            yield text(holder, "FrameType")
    yield text(dataset, "ImageType")
