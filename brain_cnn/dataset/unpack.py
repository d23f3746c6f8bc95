"""Unpack a ZIP that anybody may have made.

Every member is checked before the first byte is written, and what it really holds is counted
while it is written, because a ZIP's directory may lie. The result appears under its final
name only when it is complete.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from brain_cnn.errors import DatasetError

_CHUNK = 1 << 20
# Ratios of tiny files mean nothing: 1 kB of black pixels compresses a hundredfold.
_RATIO_FROM_BYTES = 1 << 20
_ENCRYPTED_FLAG = 0x1


@dataclass(frozen=True)
class UnpackLimits:
    """Bounds on what a ZIP may hold.

    Attributes:
        max_members: entries, folders included.
        max_total_bytes: unpacked size of all members together.
        max_member_bytes: unpacked size of one member.
        max_ratio: unpacked over packed size, of a member and of the whole; JPEG and PNG do
            not compress, so an honest ZIP of images stays near 1.
    """

    max_members: int = 200_000
    max_total_bytes: int = 16 * 1024**3
    max_member_bytes: int = 512 * 1024**2
    max_ratio: float = 100.0


def is_hidden(name: str) -> bool:
    """Whether a folder or file called `name` is a tool's leftover, not data."""
    return name.startswith(".") or name.upper() == "__MACOSX"


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP; what breaks while it is read becomes a `DatasetError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DatasetError(
            "damaged-zip",
            f"The ZIP is damaged or truncated ({error}).",
            "Download it again.",
        ) from error
    except NotImplementedError as error:
        raise DatasetError(
            "unsupported-zip",
            f"The ZIP uses a packing method that is not read here ({error}).",
            "Pack it again with plain 'zip'.",
        ) from error


def readable_members(archive: zipfile.ZipFile, limits: UnpackLimits) -> list[zipfile.ZipInfo]:
    """Check every member of a ZIP; return the files to unpack, hidden ones left out.

    Raises:
        DatasetError: too many members, an unsafe name, a link or special file, encryption,
            a size or a ratio beyond `limits`.
    """
    members = archive.infolist()
    if len(members) > limits.max_members:
        raise _bomb(f"it has {len(members):,} members; the limit is {limits.max_members:,}")
    total, packed = 0, 0
    chosen: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        parts = _safe_parts(member)
        total += member.file_size
        packed += member.compress_size
        if member.file_size > limits.max_member_bytes:
            raise _bomb(
                f"{member.filename!r} unpacks to {member.file_size:,} bytes; the limit of one "
                f"member is {limits.max_member_bytes:,}"
            )
        if total > limits.max_total_bytes:
            raise _bomb(f"it unpacks to more than {limits.max_total_bytes:,} bytes")
        _check_ratio(member.file_size, member.compress_size, repr(member.filename), limits)
        if _is_folder(member) or any(is_hidden(part) for part in parts):
            continue
        name = "/".join(parts)
        if name in chosen:
            raise _unsafe(member, "is there twice")
        chosen[name] = member
    _check_ratio(total, packed, "it", limits)
    return list(chosen.values())


def unpack_zip(zip_path: Path, target: Path, limits: UnpackLimits | None = None) -> None:
    """Unpack a ZIP into the new folder `target`, or leave nothing behind.

    Args:
        zip_path: the ZIP.
        target: must not exist, or be an empty folder; its parent is made if need be.
        limits: see `UnpackLimits`.

    Raises:
        DatasetError: not a ZIP, damaged, unsafe, too large, or `target` is not empty.
    """
    limits = limits or UnpackLimits()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DatasetError(
            "target-not-empty", f"{target} exists and is not an empty folder.", "Remove it first."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder as the target, so that the last step is one rename.
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        with open_zip(zip_path) as archive:
            left = limits.max_total_bytes
            for member in readable_members(archive, limits):
                left -= _write(archive, member, temporary, min(left, limits.max_member_bytes))
        temporary.chmod(0o755)  # mkdtemp made it private
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, allowed: int) -> int:
    """Write one member, counting what really comes out; return its size in bytes."""
    destination = folder.joinpath(*_safe_parts(member))
    written = 0
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, destination.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > allowed:
                    raise _bomb(f"{member.filename!r} holds more than the ZIP declares")
                sink.write(chunk)
    except (FileExistsError, NotADirectoryError) as error:
        raise _unsafe(member, "is both a file and a folder") from error
    return written


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(("/", "\\"))  # some Windows programs write the second


def _safe_parts(member: zipfile.ZipInfo) -> tuple[str, ...]:
    """Return the path of a member, part by part, if it stays inside any folder.

    Raises:
        DatasetError: absolute, climbing out, a link, a device, or encrypted.
    """
    name = member.filename.replace("\\", "/")  # Windows tools write backslashes
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        raise _unsafe(member, "has an absolute path")
    if ".." in parts:
        raise _unsafe(member, "climbs out of its folder")
    if "\0" in member.orig_filename or (not parts and not _is_folder(member)):
        raise _unsafe(member, "has no usable name")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(member, "is a link or a special file")
    if member.flag_bits & _ENCRYPTED_FLAG:
        raise DatasetError(
            "encrypted-zip",
            f"The ZIP is encrypted ({member.filename!r} needs a password).",
            "Unpack it yourself and give the folder.",
        )
    return parts


def _check_ratio(unpacked: int, packed: int, what: str, limits: UnpackLimits) -> None:
    if unpacked >= _RATIO_FROM_BYTES and unpacked > limits.max_ratio * max(packed, 1):
        raise _bomb(
            f"{what} unpacks to {unpacked / max(packed, 1):,.0f} times its packed size; the "
            f"limit is {limits.max_ratio:,.0f}"
        )


def _bomb(what: str) -> DatasetError:
    return DatasetError(
        "zip-bomb", f"The ZIP was refused: {what}.", "Unpack it yourself if you trust it."
    )


def _unsafe(member: zipfile.ZipInfo, what: str) -> DatasetError:
    return DatasetError(
        "unsafe-zip",
        f"The ZIP was refused: its member {member.filename!r} {what}.",
        "An honest data set has no such member; get it from another source.",
    )
