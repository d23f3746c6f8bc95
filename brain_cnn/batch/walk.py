"""Walk an archive lazily: every file once, in an order that is the same on every machine.

A folder's entries come sorted by name, and a folder is entered where its name stands. A ZIP
whose name ends in `.zip` is walked like a folder: each of its members is a file of its own.
Memory holds the names of one folder (or one ZIP) at each level, never those of the archive.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from brain_cnn.errors import ScanError
from brain_cnn.scan import ScanLimits
from brain_cnn.scan.sniff import sniff


@dataclass(frozen=True)
class Item:
    """One file of an archive.

    Attributes:
        path: relative to the root, parts joined by "/"; a member of a ZIP stands below the
            name of the ZIP. It is valid Unicode, whatever bytes the name has.
        source: the file on disk, as the system spells it; the ZIP of a member.
        member: place in the directory of the ZIP, from 0; -1 for a plain file.
        size: bytes on disk, or of the unpacked member; -1 if unknown.
        packed: bytes of the member as packed; `size` for a plain file.
        problem: why it cannot be read ("" if it seems readable).
    """

    path: str
    source: str
    member: int = -1
    size: int = -1
    packed: int = -1
    problem: str = ""


Key = tuple[str, ...]


def key_of(path: str) -> Key:
    """Return the key that the walk sorts by."""
    return tuple(path.split("/"))


def walk(root: Path, leave_out: Path | None = None) -> Iterator[Item]:
    """Yield the files under `root` (a folder, a ZIP or one file), sorted by `key_of`.

    Skips hidden files and folders (a name with a dot in front, and files that macOS adds),
    links to folders, and everything that is not a regular file.

    Args:
        root: where to begin.
        leave_out: a folder to skip: the results may lie inside the archive.
    """
    if root.is_dir():
        skip = str(leave_out.resolve()) if leave_out is not None else ""
        yield from _folder(str(root.resolve()), "", skip)
    else:
        yield from _file(str(root), _text(root.name))


def _folder(folder: str, prefix: str, skip: str) -> Iterator[Item]:
    try:
        with os.scandir(folder) as entries:
            found = [
                (_text(entry.name), entry.path, entry.is_dir(follow_symlinks=False), entry)
                for entry in entries
                if not _is_hidden(entry.name)
            ]
    except OSError as error:
        path = prefix.rstrip("/") or "."
        yield Item(path, folder, problem=f"The folder cannot be opened ({error.strerror}).")
        return
    # The names as text decide, as they do when an old result is looked up.
    found.sort(key=lambda one: one[:2])
    for name, path, is_folder, entry in found:
        if is_folder:
            if path != skip:
                yield from _folder(path, f"{prefix}{name}/", skip)
            continue
        try:
            regular = entry.is_file()
            size = entry.stat().st_size if regular else -1
        except OSError:
            regular, size = True, -1  # said when it is read
        if regular:
            yield from _file(path, prefix + name, size)


def _file(path: str, name: str, size: int | None = None) -> Iterator[Item]:
    if size is None:
        try:
            size = Path(path).stat().st_size
        except OSError:
            size = -1
    if name.lower().endswith(".zip") and _is_zip(path):
        yield from _members(path, name, size)
    else:
        yield Item(name, path, size=size, packed=size)


def _is_zip(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return sniff(file.read(4096)) == "ZIP"
    except OSError:
        return False


def _members(path: str, name: str, size: int) -> Iterator[Item]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except Exception:  # a parser of foreign bytes may raise anything at all
        problem = "The ZIP archive cannot be opened: it is truncated or damaged."
        yield Item(name, path, size=size, packed=size, problem=problem)
        return
    seen: dict[str, int] = {}
    found = []
    for place, info in enumerate(infos):
        parts = [part for part in info.filename.replace("\\", "/").split("/") if part]
        if (
            info.filename.endswith(("/", "\\"))
            or not parts
            or any(_is_hidden(part) for part in parts)
        ):
            continue
        inner = _text("/".join(parts))
        seen[inner] = seen.get(inner, 0) + 1
        if seen[inner] > 1:  # a ZIP may hold a name twice, and each is a file
            inner += f"#{seen[inner]}"
        found.append((key_of(inner), inner, place, info))
    for _, inner, place, info in sorted(found, key=lambda one: one[0]):
        yield Item(f"{name}/{inner}", path, place, info.file_size, info.compress_size)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _text(name: str) -> str:
    """Return a name as valid Unicode: undecodable bytes are written as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class Opener:
    """Reads the bytes of items; keeps the ZIP that was read last open, for one thread."""

    def __init__(self, limits: ScanLimits) -> None:
        self._limits = limits
        self._path = ""
        self._zip: zipfile.ZipFile | None = None

    def read(self, item: Item) -> bytes:
        """Return the bytes of a file.

        Raises:
            ScanError: it cannot be opened, or is too large to read.
        """
        if item.problem:
            code = "damaged-archive" if item.source.lower().endswith(".zip") else "unreadable"
            raise ScanError(code, item.problem)
        if item.size > self._limits.max_bytes:
            raise ScanError(
                "file-too-large",
                f"The file has {item.size:,} bytes; the limit is {self._limits.max_bytes:,}.",
                "Export it at a smaller size: 1024 x 1024 pixels are enough for a slice.",
                status=413,
            )
        if item.member < 0:
            try:
                return Path(item.source).read_bytes()
            except OSError as error:
                raise ScanError(
                    "unreadable", f"The file cannot be opened ({error.strerror})."
                ) from error
        return self._read_member(item)

    def _read_member(self, item: Item) -> bytes:
        self._limits.check_unpacked(item.packed, item.size)
        try:
            archive = self._open(item.source)
            info = archive.infolist()[item.member]
            if info.flag_bits & 1:
                raise ScanError(
                    "encrypted-archive",
                    "The ZIP archive is protected by a password.",
                    "Unpack it yourself.",
                )
            with archive.open(info) as file:
                # One byte more than promised: a directory that lies is found out.
                data = file.read(item.size + 1)
        except ScanError:
            raise
        except OSError as error:
            raise ScanError(
                "unreadable", f"The ZIP archive cannot be read ({error.strerror})."
            ) from error
        except NotImplementedError as error:
            raise ScanError(
                "unsupported-archive",
                "The ZIP archive uses a compression method that is not supported.",
            ) from error
        except Exception as error:  # a parser of foreign bytes may raise anything at all
            raise ScanError(
                "damaged-archive", "The file cannot be unpacked from its ZIP archive."
            ) from error
        if sniff(data) == "ZIP":
            raise ScanError(
                "nested-archive",
                "There is a ZIP archive inside another; the limit is 1 deep.",
                "Unpack the outer one.",
            )
        return data

    def _open(self, path: str) -> zipfile.ZipFile:
        if self._zip is None or self._path != path:
            self.close()
            self._zip, self._path = zipfile.ZipFile(path), path
        return self._zip

    def close(self) -> None:
        """Close the ZIP."""
        if self._zip is not None:
            self._zip.close()
            self._zip = None
