"""ZIP archives: the members, in memory, within limits. Nothing is ever unpacked to disk."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterator
from io import BytesIO

from brain_cnn.errors import ScanError
from brain_cnn.scan.types import Deadline, ScanLimits

_END = b"PK\x05\x06"  # end of central directory, APPNOTE 4.3.16
_END_SIZE = 22
_LOCATOR = b"PK\x06\x07"  # ZIP64 end of central directory locator, APPNOTE 4.3.15
_LOCATOR_SIZE = 20
_RECORD = b"PK\x06\x06"  # ZIP64 end of central directory record, APPNOTE 4.3.14
_RECORD_SIZE = 56
# Bytes of directory for one member: 46 of header, the name, extra fields.
_ENTRY = 1024


def members(data: bytes, limits: ScanLimits, deadline: Deadline) -> Iterator[bytes]:
    """Yield the contents of the files in a ZIP, sorted by name as people sort.

    Skips hidden files, folders, and files that macOS adds. Names decide the order only.

    Raises:
        ScanError: 413 too many or too large; 422 damaged or encrypted.
    """
    data = _checked(data, limits)
    try:
        archive = zipfile.ZipFile(BytesIO(data))
        wanted = [info for info in archive.infolist() if _is_wanted(info)]
        _check_members(wanted, len(data), limits)
        for info in sorted(wanted, key=lambda info: _natural(info.filename)):
            deadline.check()
            with archive.open(info) as file:
                # One byte more than promised: a directory that lies is found out.
                content = file.read(info.file_size + 1)
            yield content
    except ScanError:
        raise
    except Exception as error:  # a parser of foreign bytes may raise anything at all
        raise _damaged() from error


def _checked(data: bytes, limits: ScanLimits) -> bytes:
    """Check the size of the directory before it is parsed: each entry costs memory.

    Returns:
        The archive, its end in the plain form: Python's reader knows ZIP64 in one form only.
    """
    place = data.rfind(_END, max(0, len(data) - _END_SIZE - 65535))
    if place < 0 or place + _END_SIZE > len(data):
        raise _damaged()
    count, size, offset = struct.unpack_from("<HII", data, place + 10)
    record = None
    if place >= _LOCATOR_SIZE and data[place - _LOCATOR_SIZE :][:4] == _LOCATOR:
        record = _zip64_record(data, place - _LOCATOR_SIZE)
        # What the record says counts, whichever fields of the other one point to it.
        count, size, offset = struct.unpack_from("<QQQ", data, record + 32)
    if count > limits.max_members or size > limits.max_members * _ENTRY:
        raise _too_many(limits)
    if record is None:
        return data
    if offset > record:
        raise _damaged()
    end = struct.pack("<4s4H2IH", _END, 0, 0, count, count, size, offset, 0)
    return data[:record] + end


def _zip64_record(data: bytes, locator: int) -> int:
    """Return where the ZIP64 record begins (APPNOTE 4.3.14).

    Where the locator says, or right before it: the first is wrong where something was put in
    front of the archive, the second where the record holds more than it must.
    """
    said = struct.unpack_from("<Q", data, locator + 8)[0]
    for place in (said, locator - _RECORD_SIZE):
        if 0 <= place <= locator - _RECORD_SIZE and data[place : place + 4] == _RECORD:
            return int(place)
    raise _damaged()


def _check_members(infos: list[zipfile.ZipInfo], packed: int, limits: ScanLimits) -> None:
    if len(infos) > limits.max_members:
        raise _too_many(limits)
    if any(info.flag_bits & 1 for info in infos):
        raise ScanError(
            "encrypted-archive",
            "The ZIP archive is protected by a password.",
            "Unpack it yourself and upload the images in it.",
        )
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise ScanError(
            "unsupported-archive",
            "The ZIP archive uses a compression method that is not supported.",
            "Pack it again with an ordinary program (method deflate).",
            status=415,
        )
    limits.check_unpacked(packed, sum(info.file_size for info in infos))
    largest = max((info.file_size for info in infos), default=0)
    if largest > limits.max_bytes:
        raise ScanError(
            "file-too-large",
            f"A file in the ZIP archive has {largest:,} bytes; the limit is {limits.max_bytes:,}.",
            "Export it at a smaller size: 1024 x 1024 pixels are enough for a slice.",
            status=413,
        )


def _is_wanted(info: zipfile.ZipInfo) -> bool:
    parts = info.filename.replace("\\", "/").split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    # Windows programs end the name of a folder with a backslash.
    return bool(parts[-1]) and not hidden and info.file_size > 0


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort slice9 before slice10."""
    parts = re.findall(r"\d{1,18}|\D+|\d", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _too_many(limits: ScanLimits) -> ScanError:
    return ScanError(
        "too-many-members",
        f"The ZIP archive holds more than {limits.max_members:,} files, the limit.",
        "Upload one series at a time.",
        status=413,
    )


def _damaged() -> ScanError:
    return ScanError(
        "damaged-archive",
        "The file begins as a ZIP archive but cannot be unpacked: it is truncated or damaged.",
        "Copy it again and check that another program opens it.",
    )
