"""Real heads without a tumour, as volumes: their slices in the planes that the voxels allow.

The source is a ZIP or folder with `index.csv` (columns file, weighting, mm, source) and the
NIfTI files that it names, in canonical orientation.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import nibabel
import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import DatasetError

HELD_OUT = frozenset(
    {"openfmri-ds011/sub13", "openfmri-ds011/sub14", "open-ms/patient04", "ds002748/sub17"}
)
"""Subjects that no training sees: what is fitted after it may."""

# A plane whose pixels are longer than wide by more than this is left out.
_LONGEST_PIXEL = 1.7
# A slice shows at least this share of the head's largest section in its plane.
_LEAST_HEAD = {"axial": 0.3, "coronal": 0.45, "sagittal": 0.45}
# Axial slices lie between these distances below the vertex: lower ones show a jaw, no brain.
_BELOW_VERTEX_MM = (12.0, 125.0)
# Axial slices down to here are brain inside the skull; lower ones show face and skull base.
_BRAIN_ABOVE_MM = 88.0
_PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}
# Axial slices are what nearly everybody uploads.
_PER_VOLUME = {"axial": 26, "coronal": 9, "sagittal": 9}


@dataclass(frozen=True)
class NormalVolume:
    """One series of one head.

    Attributes:
        subject: source and person: the unit that is kept apart; weighting: t1, t2 or flair.
        voxels: uint8 (X, Y, Z): right, anterior, superior; mm: their sizes.
    """

    subject: str
    weighting: str
    voxels: NDArray[np.uint8]
    mm: tuple[float, float, float]


@dataclass(frozen=True)
class NormalSlice:
    """A slice of square pixels, upright: uint8 (H, W), and what is known of it.

    Attributes:
        shows_brain: it is no slice through face and skull base: a tumour of the brain may
            be laid into it.
    """

    pixels: NDArray[np.uint8]
    subject: str
    weighting: str
    plane: str
    shows_brain: bool


def load_normals(source: str | Path) -> list[NormalVolume]:
    """Read every volume that `index.csv` names.

    Raises:
        DatasetError: no index, or a file that it names is missing.
    """
    place = Path(source)
    if place.is_dir():
        files = {p.relative_to(place).as_posix(): p.read_bytes() for p in _files(place)}
    elif zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            files = {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}
    else:
        files = {}
    if "index.csv" not in files:
        raise DatasetError("no-normals", f"{source} holds no index.csv.", "Check the path.")
    rows = csv.DictReader(io.StringIO(files["index.csv"].decode("utf-8-sig")))
    volumes = []
    for row in rows:
        if row["file"] not in files:
            raise DatasetError("no-normals", f"{row['file']} is missing.", "Check the data set.")
        volumes.append(_volume(row["file"], row["weighting"], files[row["file"]]))
    return volumes


def split_normals(
    volumes: list[NormalVolume],
) -> tuple[list[NormalVolume], list[NormalVolume]]:
    """Return the volumes to train on, and those of the subjects kept apart."""
    kept = [volume for volume in volumes if volume.subject in HELD_OUT]
    return [volume for volume in volumes if volume.subject not in HELD_OUT], kept


def slices_of(volume: NormalVolume) -> list[NormalSlice]:
    """Return evenly spaced slices in every plane that the voxels allow."""
    result = []
    for plane, axis in _PLANES.items():
        sizes = [volume.mm[other] for other in range(3) if other != axis]
        if max(sizes) / min(sizes) > _LONGEST_PIXEL:
            continue
        others = tuple(other for other in range(3) if other != axis)
        area = (volume.voxels > 25).sum(axis=others)
        shown = np.flatnonzero(area > _LEAST_HEAD[plane] * area.max())
        if plane == "axial":
            below = (_vertex(area) - shown) * volume.mm[axis]
            shown = shown[(below > _BELOW_VERTEX_MM[0]) & (below < _BELOW_VERTEX_MM[1])]
        count = min(_PER_VOLUME[plane], len(shown))
        for place in shown[np.linspace(0, len(shown) - 1, count).astype(int)]:
            section = np.take(volume.voxels, place, axis=axis)  # (first, second) axis left
            # Both other axes point to the right or front, then up: down the page is minus them.
            upright = np.ascontiguousarray(section.T[::-1, ::-1])
            pixels = _square_pixels(upright, down=sizes[1], right=sizes[0])
            shows_brain = plane != "axial" or _above_base(int(place), area, volume.mm[axis])
            result.append(NormalSlice(pixels, volume.subject, volume.weighting, plane, shows_brain))
    return result


def _vertex(area: NDArray[np.integer]) -> int:
    """Return the topmost axial slice that shows the head, by its area in each."""
    return int(np.flatnonzero(area > 0.02 * area.max()).max())


def _above_base(place: int, area: NDArray[np.integer], step_mm: float) -> bool:
    return (_vertex(area) - place) * step_mm < _BRAIN_ABOVE_MM


def _square_pixels(section: NDArray[np.uint8], *, down: float, right: float) -> NDArray[np.uint8]:
    step = min(down, right)
    shape = round(section.shape[1] * right / step), round(section.shape[0] * down / step)
    if shape == section.shape[::-1]:
        return section
    result: NDArray[np.uint8] = cv2.resize(section, shape, interpolation=cv2.INTER_LINEAR)
    return result


def _volume(name: str, weighting: str, data: bytes) -> NormalVolume:
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image.from_bytes(gzip.decompress(data)))
    voxels = np.asarray(image.dataobj)
    if voxels.ndim != 3 or voxels.dtype != np.uint8:
        raise DatasetError(
            "bad-normal", f"{name} is {voxels.dtype} {voxels.shape}.", "Give uint8 (X, Y, Z)."
        )
    mm = tuple(float(size) for size in image.header.get_zooms()[:3])
    subject = re.sub(r"(_study\d+)?_(t1|t2|flair|pd)?\.?nii.*|\.nii.*", "", name)
    return NormalVolume(subject, weighting, voxels, (mm[0], mm[1], mm[2]))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
