"""A header that leaves something out, or says how to read, is heard; what is not read is named."""

import gzip
import io
import tarfile

import numpy as np
import pytest
from scanfiles import RAMP, dicom

from brain_cnn.errors import ScanError
from brain_cnn.scan import read_files, read_scan


def refusal(data):
    with pytest.raises(ScanError) as caught:
        read_scan(data)
    return caught.value


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": None},
        {"PhotometricInterpretation": "Monochrome2"},
        {"PhotometricInterpretation": "MONOCHROME2 "},
        {"PixelRepresentation": None},
        {"SamplesPerPixel": None},
        {"SamplesPerPixel": None, "PhotometricInterpretation": None},
        {"BitsStored": None},
        {"HighBit": None},
        {"BitsStored": None, "HighBit": None, "PixelRepresentation": None},
    ],
    ids=str,
)
def test_missing_element_that_follows_from_the_rest_is_put_in(elements):
    expected = read_scan(dicom()).slices[0].pixels
    assert np.array_equal(read_scan(dicom(**elements)).slices[0].pixels, expected)


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated"])
def test_missing_element_that_does_not_follow_is_named(keyword):
    error = refusal(dicom(**{keyword: None}))
    assert error.status == 422 and keyword in error.message


def test_padding_of_a_range_is_black():
    one, several = RAMP.copy(), RAMP.copy()
    one[:, :15] = several[:, :10] = 0xF000
    several[:, 10:15] = 0xF100
    right = read_scan(dicom(one, PixelPaddingValue=0xF000)).slices[0].pixels
    for ends in ((0xF000, 0xF1FF), (0xF1FF, 0xF000)):
        padding = dict(zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), ends, strict=True))
        found = read_scan(dicom(several, **padding)).slices[0].pixels
        assert np.array_equal(found, right)


def test_slice_location_sorts_where_there_is_no_position():
    files = [dicom(RAMP + place, SliceLocation=5 * place) for place in (2, 0, 1)]
    (one,), _ = read_files(files)
    assert one.sources == (1, 2, 0)
    same = [dicom(RAMP + n, SliceLocation=0, InstanceNumber=n) for n in (3, 1, 2)]
    (one,), _ = read_files(same)
    assert one.sources == (1, 2, 0), "one that is the same for all says nothing"


@pytest.mark.parametrize("window", [(50_000, 10), (-5000, 100), (40, 20)])
def test_window_outside_all_values_is_passed_over_and_said(window):
    centre, width = window
    scan = read_scan(dicom(WindowCenter=centre, WindowWidth=width))
    assert np.array_equal(scan.slices[0].pixels, read_scan(dicom()).slices[0].pixels)
    assert any("outside all values" in note for note in scan.notes)


def test_window_that_shows_something_is_kept_in_silence():
    for centre, width in ((1000, 500), (1895, 20)):
        scan = read_scan(dicom(WindowCenter=centre, WindowWidth=width))
        assert scan.notes == ()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    return file.getvalue()


NAMED = {
    "NRRD": (b"NRRD0004\ntype: short\n", "NRRD"),
    "MHA": (b"ObjectType = Image\nNDims = 3\n", "MHA"),
    "MHA without its type": (b"NDims = 3\nDimSize = 3 3 3\n", "MHA"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "7z"),
    "RAR": (b"Rar!\x1a\x07\x00" + bytes(40), "RAR"),
    "RAR 5": (b"Rar!\x1a\x07\x01\x00" + bytes(40), "RAR"),
    "tar": (tarred(), "tar archive"),
    "tar.gz": (gzip.compress(tarred()), "tar.gz"),
    "gzip": (gzip.compress(b"words"), "gzip"),
    "PDF": (b"%PDF-1.7\n", "PDF"),
    "JPEG XL": (b"\xff\x0a" + bytes(40), "JPEG XL"),
    "JPEG XL in its container": (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
}


@pytest.mark.parametrize(("data", "word"), NAMED.values(), ids=NAMED)
def test_what_is_not_read_is_named(data, word):
    error = refusal(data)
    assert error.status == 415 and error.code == "unsupported-format"
    assert word in error.message and error.hint
