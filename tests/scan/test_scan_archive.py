"""ZIP: the members of a series become one scan, in memory, within limits."""

import io
import struct
import zipfile

import numpy as np
import pytest
from conftest import encode
from scanfiles import RAMP, dicom, nifti

from brain_cnn.errors import ScanError
from brain_cnn.scan import ScanLimits, read_files, read_scan


def archive(members, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return file.getvalue()


# The start of a directory entry, without and with the flag of a password.
_ENTRY, _LOCKED = (b"PK\x01\x02\x14\x03\x14\0" + flag + b"\0" for flag in (b"\0", b"\1"))


def picture(level):
    return encode(np.full((40, 40), level, np.uint8))


def refusal(data, **limits):
    with pytest.raises(ScanError) as caught:
        read_scan(data, limits=ScanLimits(**limits))
    return caught.value


def test_series_in_a_zip_is_one_scan_and_its_licence_is_no_error():
    files = {
        f"{place}.dcm": dicom(
            RAMP,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, -place],
        )
        for place in range(4)
    }
    scan = read_scan(archive(files | {"LICENSE": b"free"}))
    assert [s.position_mm for s in scan.slices] == [-3, -2, -1, 0] and scan.notes == ()


def test_pictures_are_one_series_in_the_order_of_people():
    scan = read_scan(archive({f"slice{n}.png": picture(n) for n in (10, 9, 100, 1)}))
    assert [int(s.pixels[0, 0]) for s in scan.slices] == [1, 9, 10, 100]
    assert "4 pictures" in scan.notes[0]


def test_largest_of_several_series_is_answered_for_and_said():
    files = {f"a{n}.png": picture(n) for n in range(3)} | {"b.nii": nifti(np.zeros((30, 30, 9)))}
    scan = read_scan(archive(files))
    assert scan.format == "NIfTI" and "2 series were found" in scan.notes[-1]
    found, _ = read_files([archive(files)])
    assert [len(one.scan.slices) for one in found] == [3, 9]


def test_broken_member_is_left_out_and_said():
    scan = read_scan(archive({"a.png": picture(7), "b.png": picture(8)[:40]}))
    assert len(scan.slices) == 1 and "1 files of the archive could not be read" in scan.notes[0]


def test_hidden_members_are_passed_over():
    hidden = {"__MACOSX/._a.png": b"x", ".DS_Store": b"x", "a.png": picture(1), "d/": b""}
    assert len(read_scan(archive(hidden)).slices) == 1


def test_zip_in_a_zip_is_refused():
    inner = archive({"a.png": picture(1)})
    assert refusal(archive({"inner.zip": inner})).code == "nested-archive"
    deep = read_scan(archive({"inner.zip": inner}), limits=ScanLimits(max_depth=2))
    assert len(deep.slices) == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (archive({}), "empty-archive"),
        (archive({"a.txt": b"words"}), "not-an-image"),
        (archive({"a.png": picture(1)})[:-30], "damaged-archive"),
        (archive({"a.png": picture(1)}, zipfile.ZIP_LZMA), "unsupported-archive"),
        (archive({"a.png": picture(1)}).replace(_ENTRY, _LOCKED), "encrypted-archive"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(data, code):
    assert refusal(data).code == code


def test_limits_hold():
    many = archive({f"{n}.png": picture(n) for n in range(6)})
    assert refusal(many, max_members=5).code == "too-many-members"
    assert refusal(many, max_slices=5).code == "too-many-slices"
    assert refusal(many, max_study_pixels=9000).code == "scan-too-large"
    assert refusal(many, max_unpacked_bytes=300).code == "unpacks-too-large"
    bomb = archive({"a": bytes(40_000_000)})
    assert refusal(bomb).code == "packed-too-tightly" and len(bomb) < 60_000
    assert refusal(archive({"a": bytes(3000)}), max_bytes=2000).code == "file-too-large"
    assert refusal(many, max_seconds=-1).code == "too-slow"


def test_directory_that_lies_about_its_size_is_refused_unparsed():
    data = bytearray(archive({"a.png": picture(1)}))
    struct.pack_into("<I", data, len(data) - 10, 0xFFFFFFF0)
    assert refusal(bytes(data)).code == "too-many-members"


def zip64(data, marked, extra=0, before=0):
    """Return an archive with a ZIP64 end record, as programs write it that stream.

    Args:
        marked: the fields of the plain record that point to it: disk, count, size, offset.
        extra: bytes behind what the record must hold. before: bytes in front of the archive.
    """
    place = data.rfind(b"PK\5\6")
    count, size, offset = struct.unpack_from("<HII", data, place + 10)
    record = struct.pack("<4sQ2H2I", b"PK\6\6", 44 + extra, 45, 45, 0, 0)
    record += struct.pack("<4Q", count, count, size, offset) + bytes(extra)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, place, 1)
    disk, count = (0xFFFF if "d" in marked else 0), (0xFFFF if "c" in marked else count)
    size, offset = (0xFFFFFFFF if m in marked else v for m, v in (("s", size), ("o", offset)))
    end = struct.pack("<4s4H2IH", b"PK\5\6", disk, disk, count, count, size, offset, 0)
    return b"\n" * before + data[:place] + record + locator + end


@pytest.mark.parametrize("marked", ["", "c", "s", "o", "so", "cso", "dcso"])
@pytest.mark.parametrize("extra", [0, 12])
def test_zip64_end_is_read_whichever_fields_are_marked(marked, extra):
    data = zip64(archive({"a.png": picture(1), "b.png": picture(2)}), marked, extra)
    assert len(read_scan(data).slices) == 2


def test_zip64_of_a_streaming_writer_is_read():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for n in range(3):
            with zipped.open(f"{n}.png", "w", force_zip64=True) as member:
                member.write(picture(n))
    assert len(read_scan(zip64(file.getvalue(), "cso")).slices) == 3


def test_zip64_end_that_lies_is_refused_unparsed():
    data = bytearray(zip64(archive({"a.png": picture(1)}), "cso"))
    place = data.rfind(b"PK\6\6")
    for at, value, code in (
        (32, 1 << 40, "too-many-members"),
        (40, 1 << 40, "too-many-members"),
        (48, 1 << 40, "damaged-archive"),
    ):
        lie = bytearray(data)
        struct.pack_into("<Q", lie, place + at, value)
        assert refusal(bytes(lie)).code == code
    data[place : place + 4] = b"PK\0\0"
    assert refusal(bytes(data)).code == "damaged-archive"


def test_folders_with_a_backslash_are_folders():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name in ("scan\\", "scan\\a\\", "scan\\a\\1.png", "scan\\a\\2.png"):
            info = zipfile.ZipInfo("x")
            info.filename = name
            zipped.writestr(info, b"junk" if name[-1] == "\\" else picture(int(name[-5])))
    scan = read_scan(file.getvalue())
    assert [int(s.pixels[0, 0]) for s in scan.slices] == [1, 2]
    assert not any("could not be read" in note for note in scan.notes)


def test_zip_in_a_zip_is_said_where_other_files_are_read():
    inner = archive({"a.png": picture(1)})
    scan = read_scan(archive({"inner.zip": inner, "b.png": picture(2)}))
    assert any("ZIP archive inside another" in note for note in scan.notes)
