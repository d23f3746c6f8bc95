"""Format x variant x what comes out: the table that the tests hold and the docs show.

    python tests/format_table.py            print what each file of the table gives now
    python tests/format_table.py --write    write the table into docs/formats.md

A row is a file and what `read_scan` must make of it. Files come from three places: those that
pydicom ships, those that are written here, and those of the real data (`scans.zip`).
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from PIL import Image, ImageCms
from pydicom import uid
from realdata import REAL_DATA
from scanfiles import ENCODERS, PYDICOM_FILES, RAMP, dicom, nifti, recompressed

from brain_cnn.errors import ScanError
from brain_cnn.scan import read_scan

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "formats.md"
_REGION = re.compile(r"(<!-- BEGIN TABLE -->\n).*?(<!-- END TABLE -->)", re.DOTALL)


@dataclass(frozen=True)
class Picture:
    """What is read: slices, size of the first, its first, middle and last pixel, its plane."""

    slices: int
    size: tuple[int, int]
    pixels: tuple[int, int, int]
    plane: str = ""

    def cells(self) -> tuple[str, str, str, str]:
        width, height = self.size
        pixels = ", ".join(map(str, self.pixels))
        return str(self.slices), f"{width} x {height}", pixels, self.plane or "not said"


@dataclass(frozen=True)
class Refused:
    """What is not read: HTTP status and code."""

    status: int
    code: str

    def cells(self) -> tuple[str, str, str, str]:
        return "refused", f"{self.status} `{self.code}`", "", ""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    format: str
    variant: str
    origin: str  # "pydicom", "written", "real"
    make: Callable[[], bytes]
    expected: Picture | Refused

    @property
    def name(self) -> str:
        return f"{self.format}: {self.variant}"


def outcome(data: bytes) -> Picture | Refused:
    """Return what `read_scan` makes of a file."""
    try:
        scan = read_scan(data)
    except ScanError as error:
        return Refused(error.status, error.code)
    first = scan.slices[0].pixels
    height, width = first.shape
    pixels = tuple(int(p) for p in (first[0, 0], first[height // 2, width // 2], first[-1, -1]))
    return Picture(len(scan.slices), (width, height), pixels, scan.facts.plane)


def same(found: Picture | Refused, expected: Picture | Refused, tolerance: int = 1) -> bool:
    """Whether two outcomes agree; decoders of lossy kinds round as they like."""
    if isinstance(found, Refused) or isinstance(expected, Refused):
        return found == expected
    away = np.abs(np.subtract(found.pixels, expected.pixels)).max()
    return away <= tolerance and (found.slices, found.size, found.plane) == (
        expected.slices, expected.size, expected.plane,
    )  # fmt: skip


# -- files that are written here ---------------------------------------------------------

GRAY = np.add.outer(np.arange(40) * 3, np.arange(60) * 2).astype(np.uint8)
RGB = np.stack([GRAY, GRAY[::-1], 255 - GRAY], axis=2)
DEEP = np.add.outer(np.arange(40) * 300, np.arange(60) * 200).astype(np.uint16)
VOLUME = np.zeros((30, 40, 50), np.int16)
VOLUME[-8:, -8:, -8:], VOLUME[:8, -8:, -8:], VOLUME[-8:, :8, -8:] = 1000, 600, 300


def image(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def frames(kind: str, *pages: np.ndarray) -> bytes:
    first, *others = [Image.fromarray(page) for page in pages]
    return image(first, kind, save_all=True, append_images=others)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return image(np.ascontiguousarray(np.rot90(GRAY, 1)), "PNG", exif=exif)


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return file.getvalue()


def placed(z: float, **elements: object) -> bytes:
    return dicom(RAMP, ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                 ImagePositionPatient=[0, 0, z], **elements)  # fmt: skip


def series() -> bytes:
    return zipped(**{str(z): placed(z) for z in range(4)})


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PAIR = struct.pack("<i", 348) + bytes(340) + b"ni1\0" + bytes(9)

WRITTEN: list[tuple[str, str, Callable[[], bytes]]] = [
    ("PNG", "8 bits, grey", lambda: image(GRAY, "PNG")),
    ("PNG", "8 bits, colour", lambda: image(RGB, "PNG")),
    ("PNG", "16 bits", lambda: image(DEEP, "PNG")),
    ("PNG", "1 bit", lambda: image(Image.fromarray(GRAY > 90), "PNG")),
    ("PNG", "palette", lambda: image(Image.fromarray(RGB).quantize(16), "PNG")),
    ("PNG", "transparency", lambda: image(Image.fromarray(np.dstack([RGB, GRAY])), "PNG")),
    ("PNG", "turned by EXIF", turned),
    ("PNG", "ICC profile", lambda: image(GRAY, "PNG", icc_profile=SRGB)),
    ("PNG", "broken ICC profile", lambda: image(GRAY, "PNG", icc_profile=b"broken")),
    ("PNG", "cut off", lambda: image(DEEP, "PNG")[:120]),
    ("PNG", "8 x 8", lambda: image(GRAY[:8, :8], "PNG")),
    ("JPEG", "grey", lambda: image(GRAY, "JPEG")),
    ("JPEG", "colour", lambda: image(RGB, "JPEG")),
    ("JPEG", "ICC profile", lambda: image(RGB, "JPEG", icc_profile=SRGB)),
    ("JPEG", "CMYK", lambda: image(Image.fromarray(RGB).convert("CMYK"), "JPEG")),
    ("WebP", "lossless", lambda: image(RGB, "WEBP", lossless=True)),
    ("BMP", "8 bits", lambda: image(GRAY, "BMP")),
    ("GIF", "one frame", lambda: image(GRAY, "GIF")),
    ("GIF", "two frames", lambda: frames("GIF", GRAY, 255 - GRAY)),
    ("TIFF", "8 bits", lambda: image(GRAY, "TIFF")),
    ("TIFF", "16 bits", lambda: image(DEEP, "TIFF")),
    ("TIFF", "floating point", lambda: image(DEEP.astype(np.float32), "TIFF")),
    ("TIFF", "three pages", lambda: frames("TIFF", GRAY, GRAY, GRAY)),
    ("NIfTI", ".nii, 16 bits", lambda: nifti(VOLUME)),
    ("NIfTI", ".nii.gz", lambda: gzip.compress(nifti(VOLUME))),
    ("NIfTI", "4-D", lambda: nifti(np.stack([VOLUME, VOLUME * 0], axis=3))),
    ("NIfTI", "voxels 1 x 2 x 3 mm", lambda: nifti(VOLUME, np.diag([1.0, 2.0, 3.0, 1.0]))),
    ("NIfTI", "complex numbers", lambda: nifti(np.zeros((30, 40, 50), np.complex64))),
    ("NIfTI", "header of a pair", lambda: PAIR),
    ("NIfTI", "cut off", lambda: nifti(VOLUME)[:5000]),
    ("DICOM", "without preamble", lambda: dicom(preamble=False)),
    ("DICOM", "MONOCHROME1", lambda: dicom(PhotometricInterpretation="MONOCHROME1")),
    ("DICOM", "signed", lambda: dicom(RAMP.astype(np.int16) - 1000)),
    ("DICOM", "pixels 2 x 1 mm", lambda: dicom(PixelSpacing=[2.0, 1.0])),
    ("DICOM", "three frames", lambda: dicom(np.stack([RAMP] * 3))),
    ("DICOM", "sagittal", lambda: dicom(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])),
    ("DICOM", "unknown syntax", lambda: dicom().replace(b"1.2.1\0", b"9.9.9\0", 1)),
    ("DICOM", "no picture", lambda: dicom(PixelData=None)),
    *((("DICOM", s.name, lambda s=s: dicom(syntax=s)))
      for s in (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)),
    *((("DICOM", s.name, lambda s=s, o=o: recompressed(dicom(), s, o))) for s, o in ENCODERS),
    ("ZIP", "four DICOM files of a series", series),
    ("ZIP", "two pictures and a licence",
     lambda: zipped(a=image(GRAY, "PNG"), b=image(GRAY // 2, "PNG"), LICENSE=b"free")),
    ("ZIP", "in a ZIP", lambda: zipped(inner=zipped(a=image(GRAY, "PNG")))),
    ("ZIP", "no image in it", lambda: zipped(a=b"words")),
    ("other", "PDF", lambda: b"%PDF-1.7"),
    ("other", "HEIC", lambda: bytes(4) + b"ftypheic" + bytes(20)),
    ("other", "text", lambda: b"hello"),
    ("other", "empty", lambda: b""),
]  # fmt: skip

_PYDICOM = (
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_padded.dcm", "693_J2KI.dcm", "JPEG2000.dcm", "J2K_pixelrep_mismatch.dcm",
    "image_dfl.dcm", "ExplVR_BigEnd.dcm", "examples_overlay.dcm", "examples_palette.dcm",
    "examples_rgb_color.dcm", "examples_ybr_color.dcm", "examples_jpeg2k.dcm",
    "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_rle_16bit.dcm",
    "SC_rgb_rle_32bit.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_gdcm_KY.dcm",
    "SC_ybr_full_422_uncompressed.dcm", "liver_1frame.dcm", "rtplan.dcm", "rtstruct.dcm",
    "test-SR.dcm", "DICOMDIR-empty.dcm", "JPEG-lossy.dcm", "MR_truncated.dcm", "badVR.dcm",
    "rtdose.dcm",
)  # fmt: skip

_REAL = (
    *(f"dicom-encodings/{name}.dcm" for name in (
        "deflated", "explicit_big", "explicit_little", "implicit_little", "jpeg_2000",
        "jpeg_baseline_8bit", "jpeg_lossless_sel1", "jpeg_ls", "rle")),
    "dicom-series-t1/N2D_0192.dcm", "dicom-series-pd/brain_003.dcm", "nifti/MR_Gd.nii.gz",
    "nifti/CT_AVM.nii.gz",
)  # fmt: skip


def pydicom_file(name: str) -> bytes:
    found = sorted(PYDICOM_FILES.rglob(name)) or sorted(PYDICOM_FILES.parent.rglob(name))
    return found[0].read_bytes()


@cache
def real_file(name: str) -> bytes:
    assert REAL_DATA is not None
    with zipfile.ZipFile(REAL_DATA / "scans.zip") as packed:
        return packed.read(name)


def rows() -> list[Row]:
    """Return the table; the files are made when they are asked for."""
    from format_expectations import EXPECTED

    found = []
    for form, variant, make in WRITTEN:
        found.append((form, variant, "written", make))
    for name in _PYDICOM:
        found.append(("DICOM", name, "pydicom", lambda name=name: pydicom_file(name)))
    for name in _REAL:
        form = "NIfTI" if name.startswith("nifti") else "DICOM"
        found.append((form, name, "real", lambda name=name: real_file(name)))
    result = []
    for form, variant, origin, make in found:
        numbers = EXPECTED[f"{form}: {variant}"]
        expected = Refused(*numbers) if len(numbers) == 2 else Picture(*numbers)
        result.append(Row(form, variant, origin, make, expected))
    return result


def markdown() -> str:
    """Return the table for the docs."""
    lines = ["| format | variant | file | slices | size | first, middle, last pixel | plane |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows():
        cells = (row.format, row.variant, row.origin, *row.expected.cells())
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def document(text: str) -> str:
    """Return the document with the table of today."""
    return _REGION.sub(lambda found: found[1] + markdown() + found[2], text)


def main() -> None:
    if "--write" in sys.argv:
        DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
        return
    origins: list[tuple[str, str, Callable[[], bytes]]] = [*WRITTEN]
    origins += [("DICOM", n, lambda n=n: pydicom_file(n)) for n in _PYDICOM]
    if REAL_DATA is not None:
        origins += [("NIfTI" if n.startswith("nifti") else "DICOM", n, lambda n=n: real_file(n))
                    for n in _REAL]  # fmt: skip
    for form, variant, make in origins:
        found = outcome(make())
        if isinstance(found, Refused):
            numbers: tuple = (found.status, found.code)
        else:
            numbers = (found.slices, found.size, found.pixels, found.plane)
        print(f"    {f'{form}: {variant}'!r}: {numbers!r},", flush=True)


if __name__ == "__main__":
    main()
