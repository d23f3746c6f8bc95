"""A folder, a ZIP, a link -> the folder that holds the data set.

What is downloaded and unpacked lies in a cache folder and is used again as long as its
fingerprint matches. A ZIP is unpacked under the name of its own SHA-256, so two versions of
a file never mix.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from brain_cnn.dataset.download import DriveDownloader, download_drive, download_url, drive_file_id
from brain_cnn.dataset.index import find_root
from brain_cnn.dataset.unpack import UnpackLimits, unpack_zip
from brain_cnn.errors import DatasetError

CACHE_VARIABLE = "BRAIN_CNN_CACHE"
_DONE = ".complete.json"  # hidden, so that it is no part of the data set


def default_cache() -> Path:
    """Return the cache folder: `BRAIN_CNN_CACHE`, else `~/.cache/brain-cnn`."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "brain-cnn"


def locate_data(
    source: str,
    cache_dir: Path | None = None,
    *,
    limits: UnpackLimits | None = None,
    drive_downloader: DriveDownloader | None = None,
) -> Path:
    """Find a data set, downloading and unpacking it if need be.

    Args:
        source: folder, ZIP, `https://` link to a ZIP (`http://` on localhost only), or share
            link of a file on Google Drive.
        cache_dir: where downloads and unpacked ZIPs are kept; `default_cache()` if None.
        limits: what a ZIP may hold.
        drive_downloader: fetches a Drive file by (id, target); gdown if None.

    Returns:
        The folder that holds `Training`/`Testing` or class folders, at most one level inside
        what was given.

    Raises:
        DatasetError: not found, not reachable, not a ZIP, unsafe, or without class folders.
    """
    cache = cache_dir or default_cache()
    limits = limits or UnpackLimits()
    if "://" in source:
        host = urlsplit(source).hostname or ""
        if host in ("drive.google.com", "docs.google.com"):
            zip_path = download_drive(drive_file_id(source), cache / "downloads", drive_downloader)
        else:
            zip_path = download_url(source, cache / "downloads")
        return find_root(_unpacked(zip_path, cache, limits))
    path = Path(source).expanduser()
    if path.is_dir():
        return find_root(path)
    if not path.exists():
        raise DatasetError(
            "data-not-found",
            f"There is no folder or file {source!r}.",
            "Give a folder, a ZIP, an https:// link to a ZIP, or a Google Drive share link.",
        )
    if not zipfile.is_zipfile(path):
        raise DatasetError(
            "not-a-zip", f"{source!r} is neither a folder nor a ZIP.", "Check the file."
        )
    return find_root(_unpacked(path, cache, limits))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpacked(zip_path: Path, cache: Path, limits: UnpackLimits) -> Path:
    """Return the folder that holds the ZIP's members, unpacking unless it is there whole."""
    folder = cache / "unpacked" / file_sha256(zip_path)[:32]
    if folder.exists():
        if _is_whole(folder):
            return folder
        shutil.rmtree(folder)
    unpack_zip(zip_path, folder, limits)
    (folder / _DONE).write_text(json.dumps(_census(folder)))
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether nothing was added, removed or cut since the ZIP was unpacked here."""
    try:
        return bool(json.loads((folder / _DONE).read_text()) == _census(folder))
    except (OSError, ValueError):
        return False


def _census(folder: Path) -> dict[str, int]:
    sizes = [f.stat().st_size for f in folder.rglob("*") if f.is_file() and f.name != _DONE]
    return {"files": len(sizes), "bytes": sum(sizes)}
