"""A file that would unpack to gigabytes is refused or read within a stated amount of memory."""

import gzip
import io
import os
import resource
import struct
import sys
import zipfile
import zlib

import numpy as np
import pytest
from conftest import encode
from hostile_files import HOSTILE
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate
from scanfiles import dicom, nifti, recompressed, save
from test_scan_raster import png

from brain_cnn.errors import ScanError
from brain_cnn.scan import ScanLimits, read_scan

# What one file may need beyond the program itself: unpacked (256 MiB), once more as it is
# parsed, and the pixels of 128 million at their widest.
BOUND_MIB = 768
GIB = 1 << 30


def _zeros(mib=1024):
    """Return many MiB of zeros, deflated without a header; packed once and repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * mib + packer.flush()


def _chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of_much():
    """39 million pixels of 16 bits in four colours: within the limit of pixels."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 6200, 6200, 16, 6, 0, 0, 0))
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(6200 * 8 + 1)) for _ in range(6200)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def png_with_text():
    text = b"note\0\0" + zlib.compress(bytes(200_000_000), 1)
    data = encode(np.zeros((40, 40), np.uint8))
    return data[:33] + _chunk(b"zTXt", text) * 20 + data[33:]


def zip_of_zeros():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for place in range(7):
            packed.writestr(str(place), bytes(40_000_000))
    return file.getvalue()


def zip_that_lies():
    """The directory says 1,000 bytes; each member unpacks to 40 MB."""
    data = bytearray(zip_of_zeros())
    place = 0
    while (place := data.find(b"PK\1\2", place)) >= 0:
        struct.pack_into("<I", data, place + 24, 1000)
        place += 4
    return bytes(data)


def gzip_of_zeros():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(nifti(np.zeros((512, 512, 1), np.int16))[:352])
    return head + packer.flush(zlib.Z_FULL_FLUSH) + _zeros()


def nifti_of_promises():
    data = bytearray(nifti(np.zeros((30, 30, 30), np.int16)))
    data[42:48] = struct.pack("<3h", 32000, 32000, 32000)
    return bytes(data)


def deflated_dicom():
    """A sound file header, and behind it 1 GiB in a few bytes."""
    data = dicom(np.zeros((40, 40), np.uint16), syntax=uid.DeflatedExplicitVRLittleEndian)
    length = struct.unpack_from("<I", data, 132 + 8)[0]
    return data[: 132 + 12 + length] + _zeros()


def dicom_with(frame, syntax, rows=40, columns=60, **elements):
    dataset = dcmread(io.BytesIO(dicom()))
    dataset.Rows, dataset.Columns = rows, columns
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return save(dataset)


def rle_of_runs():
    segment = b"\x81\0" * 4_000_000  # each pair is 128 bytes
    header = struct.pack("<16I", 2, 64, 64 + len(segment) // 2, *[0] * 13)
    return dicom_with(header + segment, uid.RLELossless)


def jpeg_of_promises():
    frame = bytearray(encode(np.zeros((40, 60), np.uint8), "JPEG"))
    place = frame.find(b"\xff\xc0")
    frame[place + 5 : place + 9] = struct.pack(">HH", 65000, 65000)
    return dicom_with(bytes(frame), uid.JPEGBaseline8Bit, BitsAllocated=8, BitsStored=8, HighBit=7)


def j2k_of_promises():
    data = bytearray(recompressed(dicom(), uid.JPEG2000Lossless, {}))
    place = data.find(b"\xff\x4f\xff\x51")
    data[place + 8 : place + 16] = struct.pack(">II", 1 << 20, 1 << 20)
    return bytes(data)


def frames_of_promises():
    return dicom(NumberOfFrames=2_000_000_000)


def large_volume():
    """127 million voxels of zeros, which the limits let pass."""
    data = nifti(np.zeros((30, 30, 30), np.uint8))[:352]
    head = bytearray(data)
    head[42:48] = struct.pack("<3h", 500, 500, 500)
    tile = np.random.default_rng(0).integers(0, 4, 5_000_000, np.uint8).tobytes()
    return gzip.compress(bytes(head) + tile * 25, 1)


BOMBS = {
    "a PNG that promises 900 million pixels": (lambda: png(30_000, 30_000, 8, 0, []), 413),
    "a PNG of 38 million deep pixels": (png_of_much, 200),
    "a PNG with gigabytes of text": (png_with_text, None),
    "a ZIP of zeros": (zip_of_zeros, 413),
    "a ZIP whose directory lies": (zip_that_lies, 422),
    "a gzip of zeros": (gzip_of_zeros, 413),
    "a NIfTI header of promises": (nifti_of_promises, 413),
    "a volume at the limit": (large_volume, 200),
    "a deflated DICOM of zeros": (deflated_dicom, 413),
    "a DICOM of runs": (rle_of_runs, 422),
    "a DICOM with a JPEG of promises": (jpeg_of_promises, 413),
    "a DICOM with a JPEG 2000 of promises": (j2k_of_promises, 413),
    "a DICOM of two thousand million frames": (frames_of_promises, 413),
}


def memory_of(data):
    """Return (MiB needed to read a file beyond what is held, status), in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest may run here
        status = 500
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            read_scan(data, limits=ScanLimits(max_seconds=120))
            status = 200
        except ScanError as error:
            status = error.status
        finally:
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            os.write(writer, struct.pack("<qq", (most - before) // 1024, status))
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    assert len(answer) == 16, "the process that read it was ended"
    return struct.unpack("<qq", answer)


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_bounded(name):
    make, expected = BOMBS[name]
    data = make()
    assert len(data) < ScanLimits().max_bytes
    needed, status = memory_of(data)
    assert needed < BOUND_MIB, f"{needed} MiB for a file of {len(data):,} bytes"
    assert status in ((200, 413, 422) if expected is None else (expected,))


# What a hostile file may cost; a server of two workers in 2 GiB reads four at once.
HOSTILE_MIB = 400


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_costs_little(name):
    make, expected = HOSTILE[name]
    needed, status = memory_of(make())
    assert needed < HOSTILE_MIB
    assert status == expected


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_the_measure_sees_memory(monkeypatch):
    monkeypatch.setattr("test_scan_memory.read_scan", lambda data, limits: b"x" * GIB)
    needed, _ = memory_of(b"")
    assert needed > BOUND_MIB
