"""The format of a file, from its first bytes alone. File names can lie and are never used."""

from __future__ import annotations

import struct

from brain_cnn.scan.inflate import gunzip_head

# First bytes -> name. Raster names are those of Pillow, so that its reader can be pinned.
# DICOM comes first: its preamble may hold a TIFF header of the same picture (PS3.10 7.1).
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "DICOM"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"PK\x05\x06", "ZIP"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"%PDF-", "PDF"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"NRRD000", "NRRD"),
    (0, b"ObjectType", "MHA"),
    (0, b"NDims", "MHA"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "RAR"),
    (257, b"ustar", "TAR"),
)
RASTER_FORMATS = frozenset({"PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"})

# Value representations of the elements that a data set can begin with.
_FIRST_VRS = frozenset({b"UI", b"CS", b"UL", b"OB", b"DA", b"TM", b"SH", b"LO"})
_NIFTI1_SIZE = 348  # bytes of the NIfTI-1 header; its magic is the last 4 of them
_NIFTI2_SIZE = 540
_GZIP_PEEK = 4096  # compressed bytes read to see whether a .gz holds NIfTI


def sniff(data: bytes) -> str:
    """Return the format of `data`, or "" if it is unknown.

    Returns:
        One of `RASTER_FORMATS`, or "DICOM", "NIfTI", "ZIP", "JPEG2000", the name of what is
        known and not read ("PDF", "HEIC", "NRRD", ...), or "".
    """
    for offset, signature, name in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature:
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif"):
        return "HEIC"
    if _is_nifti(data) or (
        data[:2] == b"\x1f\x8b" and _is_nifti(gunzip_head(data[:_GZIP_PEEK], _NIFTI2_SIZE))
    ):
        return "NIfTI"
    if data[:2] == b"\x1f\x8b":
        inner = gunzip_head(data[:_GZIP_PEEK], _NIFTI2_SIZE)
        return "tar.gz" if inner[257:262] == b"ustar" else "gzip"
    if _is_bare_dicom(data):
        return "DICOM"
    if _is_bmp(data):
        return "BMP"
    return ""


def _is_bmp(data: bytes) -> bool:
    """BMP's two letters are also English, so its header length must fit too."""
    if data[:2] != b"BM" or len(data) < 18:
        return False
    return struct.unpack_from("<I", data, 14)[0] in (12, 40, 52, 56, 64, 108, 124)


def _is_nifti(data: bytes) -> bool:
    if len(data) >= _NIFTI1_SIZE and data[344:348] in (b"n+1\x00", b"ni1\x00"):
        return True
    if len(data) < 8 or data[4:8] not in (b"n+2\x00", b"ni2\x00"):
        return False
    return _NIFTI2_SIZE in (*struct.unpack("<i", data[:4]), *struct.unpack(">i", data[:4]))


def _is_bare_dicom(data: bytes) -> bool:
    """DICOM without its 128-byte preamble starts with a tag of group 0002 or 0008.

    In explicit encodings the two letters of a value representation follow, in implicit ones
    a length of four bytes, which no first element has above 64 kB.
    """
    if len(data) < 8 or data[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08"):
        return False
    if data[0]:  # little endian
        return data[3] == 0 and (data[4:6] in _FIRST_VRS or data[6:8] == b"\0\0")
    return data[2] == 0 and data[4:6] in _FIRST_VRS
