"""More than eight bits in more than one channel are windowed as grey is."""

import imagecodecs
import numpy as np
import pytest
from scanfiles import dicom
from test_scan_raster import DEEP, pixels_of

from brain_cnn.errors import ScanError
from brain_cnn.scan import ScanLimits, read_scan

DARK = (DEEP // 16).astype(np.uint16)  # 12 bits in 16: the high byte alone is nearly black
FULL = np.full_like(DARK, 65535)
LAYOUTS = {"RGB": [DARK] * 3, "RGBA": [DARK] * 3 + [FULL], "LA": [DARK, FULL]}


def grey():
    return pixels_of(imagecodecs.png_encode(DARK)).astype(int)


def tiff(array, photometric=None, extra=None, order="<"):
    """Return a TIFF with one strip, tags by hand."""
    import struct

    height, width, *rest = array.shape
    samples = rest[0] if rest else 1
    kind = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    bits = struct.pack(f"{order}{samples}H", *[array.dtype.itemsize * 8] * samples)
    kinds = struct.pack(f"{order}{samples}H", *[kind] * samples)
    behind = 8 + len(data)
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, samples, bits), (259, 3, 1, 1),
        (262, 3, 1, photometric if photometric is not None else (2 if samples >= 3 else 1)),
        (273, 4, 1, 8), (277, 3, 1, samples), (278, 4, 1, height), (279, 4, 1, len(data)),
    ]  # fmt: skip
    if extra is not None:
        tags.append((338, 3, 1, extra))
    tags.append((339, 3, samples, kinds))
    pool = b""
    entries = b""
    for tag, form, count, value in tags:
        entries += struct.pack(order + "HHI", tag, form, count)
        if isinstance(value, bytes) and len(value) > 4:
            entries += struct.pack(order + "I", behind + len(pool))
            pool += value
        elif isinstance(value, bytes):
            entries += value.ljust(4, b"\0")
        elif form == 3:
            entries += struct.pack(order + "HH", value, 0)
        else:
            entries += struct.pack(order + "I", value)
    start = behind + len(pool)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    directory = struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0)
    return head + data + pool + directory


@pytest.mark.parametrize("layout", LAYOUTS)
def test_deep_png_is_windowed_as_grey_is(layout):
    found = pixels_of(imagecodecs.png_encode(np.stack(LAYOUTS[layout], axis=2)))
    assert np.abs(found.astype(int) - grey()).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_deep_tiff_is_windowed_as_grey_is(layout, order):
    extra = None if layout == "RGB" else 2
    found = pixels_of(tiff(np.stack(LAYOUTS[layout], axis=2), extra=extra, order=order))
    assert np.abs(found.astype(int) - grey()).max() <= 1


def test_transparency_of_a_deep_picture_is_black():
    half = FULL.copy()
    half[:, :30] = 0
    found = pixels_of(imagecodecs.png_encode(np.stack([DARK, DARK, DARK, half], axis=2)))
    assert found[:, :30].max() == 0 and found[:, 30:].max() == 255


def test_deep_colour_is_said_to_be_colour():
    grey_one = read_scan(imagecodecs.png_encode(np.stack([DARK] * 3, axis=2))).slices[0]
    colour = read_scan(imagecodecs.png_encode(np.stack([DARK, DARK // 4, DARK // 2], axis=2)))
    assert not grey_one.was_colour and colour.slices[0].was_colour


@pytest.mark.parametrize("stored", [12, 16])
def test_dicom_colour_of_12_bits_in_16_is_not_black(stored):
    rgb = np.stack([DARK // 2] * 3, axis=2)
    rgb[0, 0] = 2**stored // 5 if stored == 12 else 900
    data = dicom(
        rgb[..., 0], SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
        BitsStored=stored, HighBit=stored - 1, PixelData=rgb.astype("<u2").tobytes(),
    )  # fmt: skip
    found = pixels_of(data)
    assert found.max() > 200 and np.unique(found).size > 50


@pytest.mark.parametrize("kind", ["f2", "f8", "u4", "u8", "i8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_every_number_is_windowed(kind, order):
    found = pixels_of(tiff(DARK.astype(kind), order=order))
    assert np.abs(found.astype(int) - grey()).max() <= 1


def test_white_is_zero_holds_for_all_numbers():
    found = pixels_of(tiff(DARK.astype(np.float64), photometric=0))
    assert np.abs(found.astype(int) - (255 - grey())).max() <= 1


def test_jpeg_of_12_bits_and_jpeg_2000_are_read():
    twelve = imagecodecs.jpeg8_encode(DARK, 99, bitspersample=12)
    assert np.abs(pixels_of(twelve).astype(int) - grey()).mean() < 3
    deep = imagecodecs.jpeg2k_encode(DARK, reversible=True)
    assert np.abs(pixels_of(deep).astype(int) - grey()).max() <= 1
    plain = (DARK >> 4).astype(np.uint8)
    for codec in ("j2k", "jp2"):
        encoded = imagecodecs.jpeg2k_encode(plain, reversible=True, codecformat=codec)
        assert np.array_equal(pixels_of(encoded), plain)


@pytest.mark.parametrize("make", [
    lambda: imagecodecs.png_encode(np.stack([DARK] * 3, axis=2)),
    lambda: tiff(np.stack([DARK] * 3, axis=2)),
    lambda: tiff(DARK.astype(np.float64)),
    lambda: imagecodecs.jpeg2k_encode(DARK),
    lambda: imagecodecs.jpeg8_encode(DARK, 97, bitspersample=12),
])  # fmt: skip
def test_limits_hold_and_a_cut_one_is_damaged(make):
    data = make()
    with pytest.raises(ScanError) as caught:
        read_scan(data, limits=ScanLimits(max_pixels=1000))
    assert caught.value.status == 413
    with pytest.raises(ScanError) as caught:
        read_scan(data[: len(data) // 8])
    assert caught.value.status in (415, 422)
