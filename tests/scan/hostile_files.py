"""Small files that would make a decoder or a parser take gigabytes or minutes.

Each is made by code: the tests of memory, the fuzzers and whoever measures a server take
them from `HOSTILE`.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate
from scanfiles import dicom, nifti, save


def _jpeg2000(width: int, height: int, components: int = 1, tile: int = 0) -> bytes:
    """A codestream header and nothing behind it but the first tile's start."""
    wide, high = (tile, tile) if tile else (width, height)
    sizes = struct.pack(">8IH", width, height, 0, 0, wide, high, 0, 0, components)
    body = struct.pack(">H", 0) + sizes + b"\x07\x01\x01" * components
    siz = b"\xff\x51" + struct.pack(">H", len(body) + 2) + body
    cod = b"\xff\x52" + struct.pack(">HBBHBBBBBB", 12, 0, 0, 1, 0, 5, 4, 4, 0, 1)
    qcd = b"\xff\x5c" + struct.pack(">HB", 3 + 16, 0x40) + bytes([0x48] * 16)
    sot = b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 0, 0, 1) + b"\xff\x93"
    return b"\xff\x4f" + siz + cod + qcd + sot + bytes(8) + b"\xff\xd9"


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def dicom_around(frame: bytes, syntax: str, side: int, **elements: object) -> bytes:
    """Return a DICOM file whose only frame is `frame`, stated to be `side` pixels a side."""
    dataset = dcmread(io.BytesIO(dicom()))
    dataset.Rows = dataset.Columns = side
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return save(dataset)


def j2k_of_components() -> bytes:
    return dicom_around(_jpeg2000(5000, 5000, 200), uid.JPEG2000Lossless, 5000)


def j2k_behind_a_decoy() -> bytes:
    decoy = _box(b"free", _jpeg2000(64, 64))
    frame = (
        _box(b"jP  ", b"\r\n\x87\n") + _box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + decoy
        + _box(b"jp2c", _jpeg2000(12_000, 12_000))
    )  # fmt: skip
    return dicom_around(frame, uid.JPEG2000Lossless, 64)


def j2k_of_tiles() -> bytes:
    return dicom_around(_jpeg2000(255, 255, tile=1), uid.JPEG2000Lossless, 255)


def segmented_palette() -> bytes:
    """Each indirect segment unfolds all that came before it once more."""
    first = struct.pack("<HH", 0, 1000) + bytes(2000)
    table = first + struct.pack("<HHI", 2, 1, 0) * 4000
    dataset = dcmread(io.BytesIO(dicom(np.zeros((40, 40), np.uint16))))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [0, 0, 16])
        setattr(dataset, f"Segmented{colour}PaletteColorLookupTableData", table)
    return save(dataset)


def _deflated(body: bytes, before: int = 0) -> bytes:
    """A DICOM file of a deflated data set, its transfer syntax `before` bytes further on."""
    syntax = str(uid.DeflatedExplicitVRLittleEndian).encode() + b"\0"
    syntax = syntax[: len(syntax) // 2 * 2]
    meta = b""
    while before > 0:  # private information, which may come in any number of elements
        piece = min(before, 65_000)
        meta += struct.pack("<HH2sHI", 2, 0x0001, b"OB", 0, piece) + bytes(piece)
        before -= piece
    meta += struct.pack("<HH2sH", 2, 0x0010, b"UI", len(syntax)) + syntax
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    return bytes(128) + b"DICM" + length + meta + body


def _packed(piece: bytes, times: int, head: bytes = b"") -> bytes:
    """Deflate `head` and `times` pieces without holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(head)
    parts = [block] + [packer.compress(piece) for _ in range(times)]
    return b"".join(parts) + packer.flush()


def deflated_behind_a_long_header() -> bytes:
    return _deflated(_packed(bytes(1 << 20), 1024), before=8192)


def empty_items() -> bytes:
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2000
    return _deflated(_packed(item, 1000, sequence))


def empty_elements() -> bytes:
    """Eight million empty elements in one item, twice as many bytes as the file may have."""
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    element = struct.pack("<HH2sH", 0x0009, 0x0010, b"LO", 0) * 4096
    return _deflated(_packed(element, 2000, sequence + item))


def empty_fragments() -> bytes:
    dataset = dcmread(io.BytesIO(dicom()))
    dataset.PixelData = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 7_000_000
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    return save(dataset)


def _gzipped(head: bytes, piece: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return (
        packer.compress(head)
        + b"".join(packer.compress(piece) for _ in range(times))
        + packer.flush()
    )


def _volume_head(shape: tuple[int, int, int], **numbers: float) -> bytearray:
    head = bytearray(nifti(np.zeros((30, 30, 30), np.uint8))[:352])
    head[42:48] = struct.pack("<3h", *shape)
    for place, value in ((112, numbers.get("slope")), (116, numbers.get("intercept"))):
        if value is not None:
            struct.pack_into("<f", head, place, value)
    return head


def nifti_of_extensions() -> bytes:
    head = _volume_head((30, 30, 30))
    head[348] = 1
    extension = struct.pack("<2i", 16, 6) + bytes(8)
    struct.pack_into("<f", head, 108, 352 + 16 * 12_000_000)
    return _gzipped(bytes(head), extension * 4000, 3000)


def nifti_with_slope() -> bytes:
    head = _volume_head((500, 500, 500), slope=0.5, intercept=1.0)
    tile = np.random.default_rng(0).integers(0, 4, 5_000_000, np.uint8).tobytes()
    return gzip.compress(bytes(head) + tile * 25, 1)


def nifti_of_flat_pixels() -> bytes:
    """A volume within the limit, whose pixels are ten times as long as wide."""
    head = _volume_head((500, 500, 500))
    struct.pack_into("<3f", head, 80, 1.0, 10.0, 1.0)
    struct.pack_into("<2h", head, 252, 0, 0)  # no qform and no sform: spacing alone counts
    tile = np.random.default_rng(0).integers(0, 4, 5_000_000, np.uint8).tobytes()
    return gzip.compress(bytes(head) + tile * 25, 1)


def tiff_of_one_tile(side: int = 40_000) -> bytes:
    """64 x 64 pixels in one tile that is far larger; Pillow writes strips alone."""
    body = zlib.compress(bytes(1 << 20), 9)
    entries = [
        (256, 4, 64), (257, 4, 64), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
        (322, 4, side), (323, 4, side), (324, 4, 8), (325, 4, len(body)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory + bytes(4)


def zip_with_two_ends() -> bytes:
    """A ZIP64 record of many members behind a 32-bit one that states a single one."""
    count = 400_000
    name = b"a"
    entry = struct.pack(
        "<4s4B4HL2L5H2L", b"PK\1\2", 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0
    ) + name  # fmt: skip
    directory = entry * count
    first = struct.pack("<4s2B4HL2L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0) + name
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(first)
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(first) + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 47, len(first), 0)
    return first + directory + record + locator + end


def jpeg_of_scans(scans: int = 400, side: int = 6000) -> bytes:
    """A progressive JPEG that refines its whole picture again and again."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True, quality=50)
    data = file.getvalue()
    start = data.rfind(b"\xff\xda")
    # The last scan and the tables before it, once more and again.
    return data[:start] + data[start:-2] * scans + b"\xff\xd9"


def jpeg_of_scans_in_dicom() -> bytes:
    frame = jpeg_of_scans()
    return dicom_around(
        frame, uid.JPEGBaseline8Bit, 6000, BitsAllocated=8, BitsStored=8, HighBit=7
    )  # fmt: skip


HOSTILE: dict[str, tuple[Callable[[], bytes], int]] = {
    "a JPEG 2000 of 200 components": (j2k_of_components, 422),
    "a JPEG 2000 behind a decoy": (j2k_behind_a_decoy, 413),
    "a JPEG 2000 of 65,025 tiles": (j2k_of_tiles, 422),
    "a segmented palette": (segmented_palette, 422),
    "a deflated DICOM behind a long header": (deflated_behind_a_long_header, 413),
    "two million empty items": (empty_items, 413),
    "eight million empty elements": (empty_elements, 413),
    "seven million empty fragments": (empty_fragments, 413),
    "twelve million header extensions": (nifti_of_extensions, 413),
    "a volume with a slope": (nifti_with_slope, 200),
    "a volume of flat pixels": (nifti_of_flat_pixels, 413),
    "a TIFF of one huge tile": (tiff_of_one_tile, 413),
    "a ZIP with two ends": (zip_with_two_ends, 413),
    "a JPEG of 400 scans": (jpeg_of_scans, 413),
    "a JPEG of 400 scans in DICOM": (jpeg_of_scans_in_dicom, 422),
}
"""What it is -> (how it is made, the status with which it is answered)."""
