"""Elements of a DICOM picture that are missing, put in where they follow from the others."""

from __future__ import annotations

from pydicom.dataset import Dataset

from brain_cnn.errors import ScanError
from brain_cnn.scan.dicom_header import first_number, text


def complete(dataset: Dataset) -> None:
    """Put in the elements of the picture that are missing and follow from the others.

    Raises:
        ScanError: 422, one is missing that does not; it is named.
    """
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        if first_number(dataset, keyword) is None:
            raise ScanError(
                "damaged-dicom",
                f"The DICOM header has no valid {keyword}, which its picture cannot do without.",
                "Export it again from its original program.",
            )
    said = text(dataset, "PhotometricInterpretation")
    if first_number(dataset, "SamplesPerPixel") is None:
        dataset.SamplesPerPixel = 3 if said.startswith(("RGB", "YBR")) else 1
    if not said:
        said = "RGB" if first_number(dataset, "SamplesPerPixel") == 3 else "MONOCHROME2"
    dataset.PhotometricInterpretation = said
    if first_number(dataset, "BitsStored") is None:
        dataset.BitsStored = dataset.BitsAllocated
    if first_number(dataset, "HighBit") is None:
        dataset.HighBit = dataset.BitsStored - 1
    if first_number(dataset, "PixelRepresentation") is None:
        dataset.PixelRepresentation = 0
    if first_number(dataset, "PlanarConfiguration") is None and dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
