"""Every raster file is read by its content into the pixels that a radiologist would see."""

import io
import struct
import zlib

import numpy as np
import pytest
from conftest import encode
from PIL import Image

from brain_cnn.errors import ScanError
from brain_cnn.phantoms import draw_phantom
from brain_cnn.scan import ScanLimits, read_scan
from brain_cnn.scan.display import window_to_uint8

RNG = np.random.default_rng(0)
GRAY = np.add.outer(np.arange(40) * 3, np.arange(60) * 2).astype(np.uint8)  # (40, 60) ramp
RGB = np.stack([GRAY, GRAY[::-1], 255 - GRAY], axis=2)
DEEP = np.add.outer(np.arange(40) * 300, np.arange(60) * 200).astype(np.uint16)


def pixels_of(data):
    (only,) = read_scan(data).slices
    assert only.pixels.dtype == np.uint8
    return only.pixels


def luminance(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def png(width, height, depth, colour, rows):
    """Return a PNG of any bit depth, packed by hand (Pillow does not write them all)."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_gray_keeps_every_pixel(kind):
    assert np.array_equal(pixels_of(encode(GRAY, kind)), GRAY)


def test_lossless_webp_is_luminance():
    data = encode(RGB, "WEBP", lossless=True)
    assert np.array_equal(pixels_of(data), luminance(encode(RGB)))


@pytest.mark.parametrize("array", [GRAY, RGB])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_eight_bits_are_plain_luminance_as_in_training(array, kind):
    data = encode(array, kind)
    assert np.array_equal(pixels_of(data), luminance(data))
    assert np.array_equal(read_scan(data).slices[0].pixels, luminance(data))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_png_of_few_bits_spans_black_to_white(depth):
    # Two black and two white blocks, 32 pixels wide each.
    row = bytes(32 * depth // 8) + b"\xff" * (32 * depth // 8)
    pixels = pixels_of(png(64, 32, depth, 0, [row] * 32))
    assert pixels.shape == (32, 64)
    assert (pixels[:, :32] == 0).all() and (pixels[:, 32:] == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_windowed_not_white(kind):
    pixels = pixels_of(encode(DEEP, kind))
    assert pixels[0, 0] == 0 and pixels[-1, -1] == 255
    assert np.abs(pixels.astype(int) - DEEP / DEEP.max() * 255).max() < 12


def test_one_hot_pixel_does_not_darken_sixteen_bits():
    hot = DEEP.copy()
    hot[5, 5] = 65535
    assert pixels_of(encode(hot)).mean() > 100


def test_float_tiff_is_windowed_and_nan_is_black():
    values = DEEP.astype(np.float32) / 1000 - 3
    values[0, :5] = np.nan
    pixels = pixels_of(encode(values, "TIFF"))
    assert (pixels[0, :5] == 0).all() and pixels[-1, -1] == 255


def test_constant_deep_image_is_black_without_warning():
    assert not window_to_uint8(np.full((30, 30), 700, np.uint16)).any()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_on_black(mode):
    image = Image.new(mode, (40, 40), (200, 200, 200, 255) if mode == "RGBA" else (200, 255))
    image.putpixel((3, 4), (255, 255, 255, 0) if mode == "RGBA" else (255, 0))
    image.putpixel((5, 6), (200, 200, 200, 128) if mode == "RGBA" else (200, 128))
    pixels = pixels_of(encode(image))
    assert pixels[4, 3] == 0
    assert abs(int(pixels[6, 5]) - 100) <= 1
    assert pixels[0, 0] == 200


def test_transparent_colour_of_a_palette_is_black():
    image = Image.new("P", (40, 40), 1)
    image.putpalette([255, 255, 255, 90, 90, 90])
    image.putpixel((0, 0), 0)
    pixels = pixels_of(encode(image, transparency=0))
    assert pixels[0, 0] == 0 and pixels[1, 1] == 90


def test_palette_gives_its_colours_not_its_numbers():
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 250, 250, 250])
    assert (pixels_of(encode(image)) == 250).all()


def test_cmyk_jpeg_is_not_inverted():
    data = encode(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(pixels_of(data).astype(int) - luminance(encode(RGB))).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    # What a camera stores for each orientation tag, so that the upright picture is GRAY.
    stored = {
        1: GRAY,
        2: GRAY[:, ::-1],
        3: GRAY[::-1, ::-1],
        4: GRAY[::-1],
        5: GRAY.T,
        6: np.rot90(GRAY, 1),
        7: GRAY[::-1, ::-1].T,
        8: np.rot90(GRAY, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = pixels_of(encode(np.ascontiguousarray(stored), "PNG", exif=exif))
    assert np.array_equal(pixels, GRAY)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_stop_the_reading():
    data = encode(GRAY, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert pixels_of(data).shape == GRAY.shape


def test_name_is_not_believed():
    assert read_scan(encode(GRAY), "slice.jpg").format == "PNG"


def frames_file(kind, *frames, **options):
    file = io.BytesIO()
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(file, kind, save_all=True, append_images=others, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_a_film_is_read_and_said(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    scan = read_scan(frames_file(kind, GRAY, 255 - GRAY, **options))
    assert len(scan.slices) == 1 and "first" in scan.notes[0]
    assert np.abs(scan.slices[0].pixels.astype(int) - GRAY).max() <= 1


def test_pages_of_a_tiff_are_slices_in_their_order():
    scan = read_scan(frames_file("TIFF", GRAY, 255 - GRAY, GRAY // 2))
    assert [s.pixels[0, 0] for s in scan.slices] == [0, 255, 0]
    assert np.array_equal(scan.slices[2].pixels, GRAY // 2)
    assert "3 pages" in scan.notes[0]


def test_page_of_another_size_is_no_slice_and_said():
    scan = read_scan(frames_file("TIFF", GRAY, GRAY[:30, :30], GRAY))
    assert len(scan.slices) == 2 and "1 pages of another size" in scan.notes[1]


def test_deep_pages_are_windowed_once():
    scan = read_scan(frames_file("TIFF", DEEP, DEEP // 2))
    full, half = (s.pixels.astype(int) for s in scan.slices)
    assert full[-1, -1] == 255 and abs(half[-1, -1] - 128) < 6


def test_white_is_zero_is_turned_round():
    plain = encode(DEEP, "TIFF")
    black_is_zero, white_is_zero = (struct.pack("<HHII", 262, 3, 1, v) for v in (1, 0))
    inverse = plain.replace(black_is_zero, white_is_zero)
    assert inverse != plain
    total = pixels_of(plain).astype(int) + pixels_of(inverse)
    assert np.abs(total - 255).max() <= 1


def test_more_pages_than_the_limit_is_413():
    error = refusal(frames_file("TIFF", *[GRAY] * 4), max_slices=3)
    assert error.status == 413 and error.code == "too-many-slices"


def test_colour_is_noticed_and_grey_in_rgb_is_not():
    assert read_scan(encode(RGB)).slices[0].was_colour
    assert not read_scan(encode(np.dstack([GRAY] * 3), "JPEG")).slices[0].was_colour


def refusal(data, **limits):
    with pytest.raises(ScanError) as caught:
        read_scan(data, limits=ScanLimits(**limits))
    assert caught.value.message.endswith(".")
    return caught.value


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file_is_refused_and_not_half_read(kind, share):
    noise = RNG.integers(0, 255, (64, 64), np.uint8)
    data = encode(noise, kind)
    error = refusal(data[: int(len(data) * share)])
    assert error.status == 422 and error.code in ("damaged-image", "image-too-small")


def test_empty_file_is_refused():
    assert refusal(b"").status == 422


@pytest.mark.parametrize("data", [b"hello", b"BM" + b"text" * 9, b"\0" * 500, b"<svg/>", b"\xff"])
def test_what_is_no_image_is_415(data):
    assert (refusal(data).status, refusal(data).code) == (415, "not-an-image")


@pytest.mark.parametrize(
    ("data", "word"), [(b"%PDF-1.7", "PDF"), (bytes(4) + b"ftypheic" + bytes(20), "HEIC")]
)
def test_known_formats_that_are_not_read_are_named(data, word):
    error = refusal(data)
    assert error.status == 415 and word in error.message and error.hint


def test_too_many_bytes_is_413():
    error = refusal(encode(GRAY), max_bytes=50)
    assert error.status == 413 and "50" in error.message


def test_too_many_pixels_is_413_before_decoding():
    # The header promises 30,000 x 30,000 pixels; there is no pixel data to decode.
    bomb = png(30_000, 30_000, 8, 0, [])
    assert refusal(bomb).status == 413
    assert refusal(encode(GRAY), max_pixels=GRAY.size - 1).status == 413


def test_icon_is_too_small():
    assert refusal(encode(np.zeros((8, 8), np.uint8))).code == "image-too-small"


def test_any_mutation_is_a_scan_or_a_scan_error():
    sources = [encode(RGB, kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")]
    for seed in range(600):
        rng = np.random.default_rng(seed)
        data = np.frombuffer(sources[seed % len(sources)], np.uint8).copy()
        places = rng.integers(0, len(data), rng.integers(1, 12))
        data[places] = rng.integers(0, 256, len(places))
        try:
            scan = read_scan(data.tobytes(), limits=ScanLimits(max_pixels=1_000_000))
        except ScanError:
            continue
        assert scan.slices[0].pixels.ndim == 2


def test_grey_jpeg_saved_as_colour_reads_as_its_colours_say():
    grey = Image.fromarray(draw_phantom("glioma", 3)).resize((512, 384))
    tinted = np.array(grey.convert("RGB"))
    tinted[40:80, 40:120] = (200, 60, 30)  # a mark in colour: then all colours count
    for picture in (grey.convert("RGB"), Image.fromarray(tinted)):
        for subsampling in (0, 2):
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=90, subsampling=subsampling)
            colours = Image.open(io.BytesIO(file.getvalue()))
            assert colours.mode == "RGB"
            assert np.array_equal(
                read_scan(file.getvalue()).slices[0].pixels, np.array(colours.convert("L"))
            )
