"""NIfTI volumes, `.nii` and `.nii.gz`: canonical orientation, one plane, one volume."""

from __future__ import annotations

import logging
import warnings
import zlib
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import ScanError
from brain_cnn.scan.display import Frame, Reading, Rescale
from brain_cnn.scan.geometry import Geometry
from brain_cnn.scan.inflate import GZIP, CutOff, inflate
from brain_cnn.scan.types import ScanFacts, ScanLimits

_Vector = tuple[int, int, int]

# From the canonical axes of nibabel, right-anterior-superior, to what a radiologist sees.
# For each plane: the axis that counts the slices, the axes of the screen's right and down,
# which of the three run against the screen, and DICOM's vectors of right and down.
_VIEWS: dict[str, tuple[int, int, int, tuple[int, ...], _Vector, _Vector]] = {
    "axial": (2, 0, 1, (0, 1), (1, 0, 0), (0, 1, 0)),
    "coronal": (1, 0, 2, (0, 1, 2), (1, 0, 0), (0, 0, -1)),
    "sagittal": (0, 1, 2, (1, 2), (0, 1, 0), (0, 0, -1)),
}


OBLIQUE_DEGREES = 10.0
"""A volume that leans more than this from the axes of the body is called oblique."""

_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}  # NIFTI_UNITS_METER, _MM, _MICRON; else mm
_FLAT = 1e-4  # volume of the three directions below which they are no axes


def read_nifti(data: bytes, limits: ScanLimits, plane: str = "axial") -> Reading:
    """Read one volume.

    Args:
        data: the whole file, gzipped or not.
        plane: "axial", "coronal" or "sagittal": which slices to take from the volume.

    Raises:
        ScanError: 413 too large; 422 damaged, truncated, or not a volume of numbers.
    """
    content = _unpacked(data, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _open(content)
            shape = _check_shape(image.shape, limits)
            _check_length(image, len(content))
            affine, placed = _affine(image.header)
            lean = _lean(affine)
            volume, spacing, rescale = _canonical(image, content, shape, affine)
            # Only now is it known which axis counts the slices.
            limits.check_slices(volume.shape[_VIEWS[plane][0]], volume.size)
    except ScanError:
        raise
    except Exception as error:  # a parser of foreign bytes may raise anything at all
        raise ScanError(
            "damaged-nifti",
            "The file begins as NIfTI but cannot be read: it is truncated or damaged.",
            "Copy it again and check that another program opens it.",
        ) from error
    notes = [f"Taken as {plane} slices of a volume of {' x '.join(map(str, volume.shape))} voxels."]
    volumes = int(np.prod(image.shape[3:])) if len(image.shape) > 3 else 1
    if volumes > 1:
        notes.append(f"The file holds {volumes} volumes; only the first was read.")
    if not placed:
        notes.append("The file does not say how it lies in space: left and right are a guess.")
    if lean > OBLIQUE_DEGREES:
        notes.append(f"The volume lies {lean:.0f} degrees off the axes: its slices are oblique.")
    frames = _slices(volume, spacing, rescale, plane)
    thickness = float(spacing[_VIEWS[plane][0]])
    facts = ScanFacts(
        plane=plane,
        oblique=lean > OBLIQUE_DEGREES,
        slice_thickness_mm=thickness if 0 < thickness < 1000 else None,
        pixel_spacing_mm=frames[0].spacing,
    )
    return Reading(frames, "NIfTI", facts, notes=tuple(notes))


def _unpacked(data: bytes, limits: ScanLimits) -> bytes | bytearray:
    """Return the file without its gzip, within the limits."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return inflate(data, 0, GZIP, limits)
    except CutOff:
        raise ScanError(
            "damaged-nifti",
            "The gzip around the NIfTI file ends too early.",
            "Copy it again: the download or the copy was cut off.",
        ) from None
    except zlib.error as error:
        raise ScanError(
            "damaged-nifti",
            "The gzip around the NIfTI file is damaged.",
            "Copy it again and check that another program opens it.",
        ) from error


def _open(data: bytes | bytearray) -> Any:
    """Return the image, its voxels unread and its extensions passed over.

    A file may hold a header extension for every 16 of its bytes; nothing here looks at them.
    """
    # Imported here: nibabel is slow to load, and few uploads need it.
    import nibabel

    # It tells on the server's log what it mends in a header.
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)
    second = nibabel.Nifti2Header.sizeof_hdr in (
        int.from_bytes(data[:4], "little"),
        int.from_bytes(data[:4], "big"),
    )
    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    if data[344:348] == b"ni1\0" or data[4:8] == b"ni2\0":
        raise ScanError(
            "header-only",
            "This is the header of a NIfTI pair (.hdr and .img), without its voxels.",
            "Convert the pair to one .nii or .nii.gz file.",
        )
    # Without the bytes behind it, the header has no extensions.
    header = kind.header_class(bytes(data[: kind.header_class.sizeof_hdr]), check=False)
    _mend(header)
    header.check_fix()
    proxy = kind.ImageArrayProxy(BytesIO(), header.copy())
    # No image of nibabel's: it writes a place of its own into the header.
    return SimpleNamespace(shape=header.get_data_shape(), dataobj=proxy, header=header)


def _mend(header: Any) -> None:
    """Put right what programs leave undone, and what has one meaning only."""
    if header["vox_offset"] == 0:  # some writers leave it out: the voxels follow the header
        header["vox_offset"] = header.single_vox_offset
    if not np.isfinite(header["scl_slope"]):
        header["scl_slope"] = 0  # which means: as stored
    if not np.isfinite(header["scl_inter"]):
        header["scl_inter"] = 0


def _check_shape(shape: tuple[int, ...], limits: ScanLimits) -> tuple[int, ...]:
    """Return the shape of one volume, three numbers."""
    volume = (*shape[:3], 1, 1)[:3]
    if len(shape) < 2 or min(shape) < 1:
        raise ScanError(
            "no-volume",
            f"The NIfTI file holds no volume: its shape is {' x '.join(map(str, shape))}.",
            "Choose the file of an anatomical scan.",
        )
    voxels = int(np.prod([int(n) for n in volume]))
    limits.check_slices(1, voxels)
    return volume


def _check_length(image: Any, length: int) -> None:
    """Refuse a file that is shorter than the first volume in its header."""
    dtype = image.header.get_data_dtype()
    if dtype.names or dtype.kind not in "iuf":
        raise ScanError(
            "no-volume",
            "The NIfTI file holds colours or complex numbers, not grey values.",
            "Convert it to a volume of real numbers.",
        )
    first = int(np.prod([int(n) for n in (*image.shape[:3], 1)[:3]])) * dtype.itemsize
    if image.dataobj.offset + first > length:
        raise ScanError(
            "damaged-nifti",
            "The NIfTI file is shorter than its header says: it is truncated.",
            "Copy it again: the download or the copy was cut off.",
        )


def _affine(header: Any) -> tuple[NDArray[np.float64], bool]:
    """Return the matrix from voxels to right-anterior-superior mm, and whether it is stated.

    The sform where it is one, else the qform, else the sizes of the voxels alone.
    """
    millimetres = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    for code, get in (("sform_code", header.get_sform), ("qform_code", header.get_qform)):
        if header[code] <= 0:
            continue
        try:
            affine = np.asarray(get(), float)
        except Exception:  # noqa: S112 - a quaternion that is none; the next statement counts
            continue
        affine[:3] *= millimetres
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if not np.isfinite(affine).all() or not lengths.all():
            continue
        if abs(np.linalg.det(affine[:3, :3] / lengths)) > _FLAT:
            return affine, True
    zooms = [float(z) for z in header.get_zooms()[:3]]
    sizes = [z if np.isfinite(z) and z > 0 else 1.0 for z in (*zooms, 1.0, 1.0)[:3]]
    return np.diag([*(size * millimetres for size in sizes), 1.0]), False


def _lean(affine: NDArray[np.float64]) -> float:
    """Return by how many degrees the axis that leans most leans from the nearest of the body."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(np.abs(directions).max(axis=0), 0, 1)).max()))


def _canonical(
    image: Any, data: bytes | bytearray, shape: tuple[int, ...], affine: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64], Rescale | None]:
    """Return the first volume in right-anterior-superior order, as it is stored.

    Returns:
        A view of the bytes, (X, Y, Z); its spacing (3,) in mm; how its values are scaled.
    """
    import nibabel
    from nibabel.affines import voxel_sizes

    # The proxy keeps what the header said; an image sets its own header back.
    stored = image.dataobj
    volume: NDArray[Any] = np.ndarray(shape, stored.dtype, data, stored.offset, order="F")
    rescale = None
    if (stored.slope, stored.inter) != (1.0, 0.0):
        rescale = Rescale(np.float64(stored.slope), np.float64(stored.inter))
    # What `nibabel.as_closest_canonical` does, for any type of number.
    orientation = nibabel.io_orientation(affine)
    spacing = np.ones(3)
    spacing[orientation[:, 0].astype(int)] = voxel_sizes(affine)
    return np.asarray(nibabel.apply_orientation(volume, orientation)), spacing, rescale


def _slices(
    volume: NDArray[Any], spacing: NDArray[np.float64], rescale: Rescale | None, plane: str
) -> list[Frame]:
    """Cut the volume into upright slices, in the direction of their normal."""
    through, across, down, flipped, right_vector, down_vector = _VIEWS[plane]
    view = np.flip(volume, flipped).transpose(through, down, across)
    right, below = np.array(right_vector, float), np.array(down_vector, float)
    normal = np.cross(right, below)
    pixel = (float(spacing[down]), float(spacing[across]))
    return [
        Frame(
            cut,
            rescale=rescale,
            geometry=Geometry(right, below, normal * (place * float(spacing[through]))),
            spacing=pixel,
            order=(place,),
        )
        for place, cut in enumerate(view)
    ]
