"""Anatomical label maps of whole heads, in memory."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import nibabel
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.synthetic.tissues import INDEX, tissue_table
from brain_cnn.errors import DatasetError

HELD_OUT = ("05", "12", "19")
"""Heads that no training sees: what is fitted after it may."""

_PAD = 4  # voxels of air left around a head


@dataclass(frozen=True)
class Head:
    """One head.

    Attributes:
        name: of its file, without suffixes.
        tissues: uint8 (X, Y, Z), indices into `TISSUES`; right, anterior, superior; 1 mm.
        chiasm: float64 (3,), centre of the optic chiasm in voxels; the sella lies below it.
    """

    name: str
    tissues: NDArray[np.uint8]
    chiasm: NDArray[np.float64]


def load_heads(source: str | Path) -> list[Head]:
    """Read every `.nii.gz` of a ZIP or folder of label maps, by name.

    Raises:
        DatasetError: there is none, or one is no label map of a head.
    """
    heads = [head_from_labels(name, labels) for name, labels in _volumes(Path(source))]
    if not heads:
        raise DatasetError("no-labels", f"{source} holds no .nii.gz.", "Check the path.")
    return heads


def split_heads(heads: list[Head]) -> tuple[list[Head], list[Head]]:
    """Return the heads to train on, and those kept apart for what is fitted afterwards."""
    kept = [head for head in heads if head.name in HELD_OUT]
    return [head for head in heads if head.name not in HELD_OUT], kept


def head_from_labels(name: str, labels: NDArray[np.integer]) -> Head:
    """Crop a label map int (X, Y, Z) to its head and translate its values to tissues.

    Raises:
        DatasetError: it has no optic chiasm: without it the sella is not known.
    """
    filled = np.argwhere(labels > 0)
    if filled.size == 0:
        raise DatasetError("no-labels", f"{name} is empty.", "Give label maps of whole heads.")
    low = np.maximum(filled.min(0) - _PAD, 0)
    high = filled.max(0) + _PAD + 1
    cropped = labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    tissues = tissue_table()[cropped].astype(np.uint8)
    chiasm = np.argwhere(tissues == INDEX["chiasm"])
    if chiasm.size == 0:
        raise DatasetError("no-chiasm", f"{name} has no optic chiasm (85).", "Leave it out.")
    return Head(name, tissues, chiasm.mean(0))


def _volumes(source: Path) -> Iterator[tuple[str, NDArray[np.integer]]]:
    if source.is_dir():
        for path in sorted(source.rglob("*.nii.gz")):
            yield path.name.removesuffix(".nii.gz"), _canonical(path.read_bytes())
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for member in sorted(archive.namelist()):
                if member.endswith(".nii.gz"):
                    name = PurePosixPath(member).name.removesuffix(".nii.gz")
                    yield name, _canonical(archive.read(member))


def _canonical(data: bytes) -> NDArray[np.integer]:
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
    return np.asarray(nibabel.as_closest_canonical(image).dataobj).astype(np.int16)
