"""NIfTI: canonical orientation, the plane that was asked for, the first volume, or a refusal."""

import gzip
import struct

import numpy as np
import pytest
from scanfiles import nifti

from brain_cnn.errors import ScanError
from brain_cnn.scan import ScanLimits, read_scan

# Voxels in right-anterior-superior order; each corner has a value of its own.
SHAPE = (30, 40, 50)
VOLUME = np.zeros(SHAPE, np.int16)
VOLUME[-8:, -8:, -8:] = 1000  # right, front, head
VOLUME[:8, -8:, -8:] = 600  # left, front, head
VOLUME[-8:, :8, -8:] = 300  # right, back, head


def corners(scan, place):
    """Return the four corners of a slice: top left, top right, bottom left, bottom right."""
    pixels = scan.slices[place].pixels
    return [int(pixels[r, c]) for r in (2, -3) for c in (2, -3)]


def test_axial_slices_show_right_at_the_left_and_front_at_the_top():
    scan = read_scan(nifti(VOLUME))
    assert len(scan.slices) == 50 and scan.slices[0].pixels.shape == (40, 30)
    right_front, left_front, right_back, left_back = corners(scan, -1)
    assert right_front == 255 and 150 < left_front < 156 and 70 < right_back < 80
    assert left_back == 0 and corners(scan, 0) == [0, 0, 0, 0], "from the feet to the head"
    assert scan.facts.plane == "axial" and "axial" in scan.notes[0]


@pytest.mark.parametrize(
    ("plane", "count", "shape", "place", "bright"),
    [
        ("coronal", 40, (50, 30), 0, [255, 153, 0, 0]),  # front first; head up, right at left
        ("sagittal", 30, (50, 40), -1, [255, 76, 0, 0]),  # right last; nose at the left
    ],
)
def test_plane_is_a_choice(plane, count, shape, place, bright):
    scan = read_scan(nifti(VOLUME), plane=plane)
    assert len(scan.slices) == count and scan.slices[0].pixels.shape == shape
    assert np.abs(np.subtract(corners(scan, place), bright)).max() <= 1


def test_unknown_plane_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="diagonal"):
        read_scan(nifti(VOLUME), plane="diagonal")


@pytest.mark.parametrize("flips", [(0,), (1,), (2,), (0, 1, 2)])
def test_storage_order_does_not_matter(flips):
    affine = np.diag([-1.0 if axis in flips else 1.0 for axis in range(3)] + [1.0])
    stored = np.flip(VOLUME, flips)
    turned = read_scan(
        nifti(np.ascontiguousarray(stored.transpose(2, 0, 1)), affine[:, [2, 0, 1, 3]])
    )
    expected = read_scan(nifti(VOLUME))
    for ours, theirs in zip(turned.slices, expected.slices, strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)


def test_volume_is_windowed_once():
    ramp = np.broadcast_to(np.arange(50) * 10, (30, 40, 50)).astype(np.float32)
    means = [s.pixels.mean() for s in read_scan(nifti(ramp)).slices]
    assert means == sorted(means) and means[0] == 0 and means[-1] == 255


def test_first_of_several_volumes_is_read_and_said():
    several = np.stack([VOLUME, VOLUME * 0], axis=3)
    scan = read_scan(nifti(several))
    assert corners(scan, -1)[0] == 255 and "2 volumes" in " ".join(scan.notes)


def test_voxels_that_are_not_square_are_resampled():
    scan = read_scan(nifti(VOLUME, np.diag([1.0, 2.0, 3.0, 1.0])))
    assert scan.slices[0].pixels.shape == (80, 30) and scan.facts.slice_thickness_mm == 3


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8", ">i2", "u2"])
def test_every_type_of_number_is_read(dtype):
    scan = read_scan(nifti((VOLUME // 4).astype(dtype)))
    assert corners(scan, -1)[0] == 255


def test_gzip_and_version_2_are_read():
    import nibabel

    second = nibabel.Nifti2Image(VOLUME, np.eye(4)).to_bytes()
    for data in (gzip.compress(nifti(VOLUME)), second, gzip.compress(second)):
        assert corners(read_scan(data), -1)[0] == 255


def refusal(data, **limits):
    with pytest.raises(ScanError) as caught:
        read_scan(data, limits=ScanLimits(**limits))
    return caught.value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (nifti(VOLUME)[:5000], "damaged-nifti"),
        (gzip.compress(nifti(VOLUME))[:-20], "damaged-nifti"),
        (struct.pack("<i", 348) + bytes(340) + b"ni1\0" + bytes(400), "header-only"),
        (nifti(np.zeros((30, 40, 50), np.complex64)), "no-volume"),
        (nifti(np.zeros((10, 10, 10), np.int16)), "image-too-small"),
    ],
)
def test_what_is_no_volume_is_refused(data, code):
    error = refusal(data)
    assert (error.status, error.code) == (422, code) and error.hint


def test_header_that_promises_too_much_is_refused_before_anything_is_allocated():
    data = bytearray(nifti(VOLUME))
    data[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    assert refusal(bytes(data)).status == 413


def test_limits_hold():
    assert refusal(nifti(VOLUME), max_slices=49).code == "too-many-slices"
    assert refusal(nifti(VOLUME), max_study_pixels=59_999).code == "scan-too-large"
    bomb = gzip.compress(nifti(np.zeros((200, 200, 300), np.int16)))
    assert refusal(bomb).code == "packed-too-tightly"
    assert refusal(bomb, max_unpacked_bytes=1_000_000).code == "unpacks-too-large"
