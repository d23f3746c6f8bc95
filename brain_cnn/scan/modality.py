"""The kinds of scan, as DICOM codes and in words. A separate file, so that it loads no decoder."""

from __future__ import annotations

from brain_cnn.errors import ScanError
from brain_cnn.scan.types import Scan

# PS3.3 C.7.3.1.1.1, the kinds of scan that people meet, in words that follow "This is".
MODALITIES: dict[str, str] = {
    "MR": "an MRI",
    "CT": "a CT",
    "CR": "an X-ray (CR)",
    "DX": "an X-ray (DX)",
    "RF": "an X-ray (RF)",
    "RG": "an X-ray (RG)",
    "XA": "an angiography (XA)",
    "MG": "a mammography",
    "US": "an ultrasound",
    "IVUS": "an ultrasound (IVUS)",
    "PT": "a PET",
    "NM": "a nuclear medicine scan (NM)",
    "ES": "an endoscopy",
    "GM": "a microscopy (GM)",
    "SM": "a microscopy (SM)",
    "XC": "a photo (XC)",
    "OP": "a photo of an eye (OP)",
    "OCT": "an optical tomography (OCT)",
    "OPT": "an optical tomography (OPT)",
    "IO": "an X-ray of teeth (IO)",
    "PX": "an X-ray of teeth (PX)",
    "SEG": "a segmentation (SEG)",
    "RTDOSE": "a radiotherapy dose (RTDOSE)",
    "RTIMAGE": "a radiotherapy image (RTIMAGE)",
    "OT": "a picture of no stated kind (OT)",
}
OTHER_MODALITY = "other"
"""What stands for a modality that is stated and not in `MODALITIES`."""


# Modalities that are judged. Not said, or "other": the familiarity gate decides.
_JUDGED = ("MR", "", "OT")


def modality_words(modality: str) -> str:
    """Return the words that follow "This is" for a modality of `ScanFacts`."""
    return MODALITIES.get(modality, "a scan of another kind")


def check_modality(scan: Scan, force: bool = False) -> bool:
    """Return whether the header names another kind of scan than MRI.

    Raises:
        ScanError: 422, it does, and `force` is off.
    """
    foreign = scan.facts.modality not in _JUDGED
    if foreign and not force:
        raise ScanError(
            "not-mri",
            f"This is {modality_words(scan.facts.modality)}; the model knows MRI only.",
            "Choose an MR series of a head.",
        )
    return foreign


def main_order(scan: Scan) -> tuple[int, int]:
    """Return the key by which the main one of several scans is the largest; the first of equals.

    An MRI, or what does not say what it is, comes before a picture of no stated kind, this
    before what is judged on request only; then that with the most slices.
    """
    modality = scan.facts.modality
    kind = 2 if modality in ("MR", "") else int(modality in _JUDGED)
    return kind, len(scan.slices)
