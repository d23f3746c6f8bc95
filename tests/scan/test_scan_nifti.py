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


# Stored as sagittal slices: i runs to the back, j to the feet, k to the right.
STORED = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])


def changed(change, volume=None, kind="Nifti1"):
    """Return a file whose header `change` was let loose on."""
    import nibabel

    if volume is None:
        volume = np.full((40, 44, 48), 100, np.int16)
        volume[10:20, 30:40, 12:30] = 1000
    image = getattr(nibabel, f"{kind}Image")(volume, np.eye(4))
    header = image.header_class(image.to_bytes()[: image.header_class.sizeof_hdr], check=False)
    header.set_qform(STORED, 1)
    header.set_sform(STORED, 1)
    change(header)
    block = header.binaryblock
    return block + image.to_bytes()[len(block) :]


def of_units(name, size):
    def change(header):
        matrix = STORED.copy()
        matrix[:3, :3] *= size
        header.set_qform(matrix, 1)
        header.set_sform(matrix, 1)
        header.set_xyzt_units(name)

    return change


def setting(**fields):
    def change(header):
        for name, value in fields.items():
            header[name] = value

    return change


NO_SFORM = {"srow_x": 0, "srow_y": 0, "srow_z": 0}
SAME = {
    "sform of zeros": setting(**NO_SFORM),
    "sform of NaN": setting(srow_x=np.nan),
    "sform of infinity": setting(srow_y=np.inf),
    "flat sform": setting(srow_x=[0, 1, 0, 0], srow_y=[0, 1, 0, 0], srow_z=[0, 1, 0, 0]),
    "no sform": setting(sform_code=0),
    "no qform": setting(qform_code=0),
    "metres": of_units("meter", 0.0009),
    "micrometres": of_units("micron", 900),
    "slope 2, intercept NaN": setting(scl_slope=2, scl_inter=np.nan),
    "slope NaN": setting(scl_slope=np.nan, scl_inter=5),
    "slope 0": setting(scl_slope=0, scl_inter=5),
    "no voxel offset": setting(vox_offset=0),
}


@pytest.mark.parametrize("kind", ["Nifti1", "Nifti2"])
@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_place_is_kept_whichever_of_its_statements_is_none(change, kind):
    right = read_scan(changed(lambda header: None))
    found = read_scan(changed(change, kind=kind))
    assert len(found.slices) == len(right.slices) == 44
    for ours, theirs in zip(found.slices, right.slices, strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)
    assert 0.89 < found.facts.slice_thickness_mm < 1.01
    assert not any("guess" in note for note in found.notes)


@pytest.mark.parametrize(
    "change",
    [
        setting(sform_code=0, quatern_b=0.8, quatern_c=0.8, quatern_d=0.8),
        setting(qform_code=0, **NO_SFORM),
        setting(qform_code=0, sform_code=0),
    ],
    ids=["quaternion too long", "sform of zeros alone", "nothing"],
)
def test_place_that_is_not_stated_is_said_to_be_a_guess(change):
    scan = read_scan(changed(change))
    assert len(scan.slices) == 48 and any("guess" in note for note in scan.notes)


@pytest.mark.parametrize(("degrees", "said"), [(0, False), (8, False), (20, True), (45, True)])
def test_oblique_volume_is_said_to_be(degrees, said):
    turn = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    scan = read_scan(nifti(VOLUME, affine))
    assert scan.facts.oblique is said
    assert any(f"{degrees} degrees" in note for note in scan.notes) is said


@pytest.mark.parametrize("factor", [1e300, -1e305, 1e37, 1e-300])
def test_values_beyond_single_precision_are_windowed(factor):
    plain = read_scan(nifti(VOLUME.astype(np.float64)))
    found = read_scan(nifti(VOLUME * factor))
    expected = 255 - plain.slices[-1].pixels if factor < 0 else plain.slices[-1].pixels
    if factor > 1e-200:  # what is smaller than single precision holds is black
        assert np.abs(found.slices[-1].pixels.astype(int) - expected).max() <= 1


def test_one_value_beyond_single_precision_costs_the_others_nothing():
    volume = VOLUME.astype(np.float64)
    plain = read_scan(nifti(volume)).slices[-1].pixels
    volume[0, 0, 0] = 1e300
    found = read_scan(nifti(volume)).slices[-1].pixels.astype(int)
    assert np.abs(found - plain).max() <= 1


def members(data, *cuts):
    ends = [*cuts, len(data)]
    return [gzip.compress(data[a:b]) for a, b in zip([0, *cuts], ends, strict=True)]


def test_every_member_of_a_gzip_is_read():
    plain = nifti(VOLUME)
    expected = read_scan(plain).slices[-1].pixels
    for parts in (
        members(plain, 352),
        members(plain, 100),
        [gzip.compress(b""), *members(plain)],
        members(plain, *range(65_000, len(plain), 65_000)),
        [*members(plain), gzip.compress(b"")],
        [*members(plain), bytes(512)],  # padding, as tapes leave it
    ):
        assert np.array_equal(read_scan(b"".join(parts)).slices[-1].pixels, expected)


def test_gzip_of_members_is_refused_where_the_last_is_cut_or_they_are_too_many():
    cut = b"".join(members(nifti(VOLUME), 352, 60_000))
    for missing in (1, 9, 100):
        assert refusal(cut[:-missing]).code == "damaged-nifti"
    many = b"".join(members(nifti(VOLUME), 352)) + gzip.compress(b"") * 40_000
    assert refusal(many).code == "too-many-members"
    limits = {"max_unpacked_bytes": 100_000}
    assert refusal(b"".join(members(nifti(VOLUME), 90_000)), **limits).status == 413
