"""Fetch a ZIP from the web or from Google Drive into the cache, once."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from brain_cnn.errors import DatasetError

DriveDownloader = Callable[[str, Path], None]
"""Fetches the Drive file of an id into a path."""

MAX_DOWNLOAD_BYTES = 8 * 1024**3
_CHUNK = 1 << 20
_TIMEOUT_S = 30.0
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_DRIVE_ID = re.compile(r"[A-Za-z0-9_-]{10,}")
_SAVE_IT = "Download the ZIP yourself and give its path."


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect only to where the user could have pointed directly."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_url(url: str) -> None:
    """Refuse a link that is neither `https://` nor `http://` on this machine.

    Raises:
        DatasetError: with what was wrong.
    """
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise DatasetError(
            "url-refused",
            f"The link {url!r} is not https://.",
            "Data sets are fetched over https only (http on localhost).",
        )


def download_url(url: str, folder: Path) -> Path:
    """Fetch a ZIP, unless the copy in `folder` is still the one that the server has.

    The server's ETag decides where it gives one; else its size and date do.

    Returns:
        Path of the ZIP in `folder`.

    Raises:
        DatasetError: a refused link, no answer, an HTTP error, too large, cut short, or
            something that is not a ZIP.
    """
    check_url(url)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (hashlib.sha256(url.encode()).hexdigest()[:32] + ".zip")
    known = _read_note(target)
    request = urllib.request.Request(url, headers={"User-Agent": "brain-cnn"})  # noqa: S310 - checked above
    if known.get("etag"):
        request.add_header("If-None-Match", known["etag"])
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as response:
            note = _server_note(response.headers)
            if known and note["size"] and note == {key: known.get(key) for key in note}:
                return target
            _refuse_page(response.headers)
            _receive(response, target, note["size"])
    except urllib.error.HTTPError as error:
        if error.code == 304:
            return target
        raise DatasetError(
            "url-failed", f"The server answered {error.code} {error.reason}.", "Check the link."
        ) from error
    except (OSError, ValueError) as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        raise DatasetError("url-failed", f"The download failed: {reason}.", _SAVE_IT) from error
    _write_note(target, note)
    return target


def drive_file_id(link: str) -> str:
    """Return the id of the file that a Google Drive share link names.

    Raises:
        DatasetError: the link names a folder, or no file.
    """
    parts = urlsplit(link)
    if "/folders/" in parts.path or "/folderview" in parts.path:
        raise DatasetError(
            "drive-folder",
            "The Google Drive link names a folder, not a file.",
            "Pack the data set into one ZIP and share the link of that file.",
        )
    after = re.search(r"/(?:file/)?d/([^/]+)", parts.path)
    candidate = after.group(1) if after else parse_qs(parts.query).get("id", [""])[0]
    if not _DRIVE_ID.fullmatch(candidate):
        raise DatasetError(
            "drive-link",
            "The Google Drive link names no file.",
            "It looks like https://drive.google.com/file/d/<id>/view.",
        )
    return candidate


def download_drive(file_id: str, folder: Path, downloader: DriveDownloader | None = None) -> Path:
    """Fetch a ZIP from Google Drive, unless it lies in `folder` unchanged.

    Drive gives no version of a file before it is downloaded, so the file in the cache is
    used as long as it is the one that was downloaded; delete it to fetch it again.

    Raises:
        DatasetError: gdown is absent or failed, or what came is not a ZIP.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"drive-{file_id}.zip"
    if _read_note(target):
        return target
    part = target.with_suffix(".part")
    try:
        (downloader or _gdown)(file_id, part)
    except DatasetError:
        raise
    except Exception as error:  # gdown raises many kinds; all mean that nothing came
        raise DatasetError(
            "drive-failed",
            f"Google Drive did not give the file ({error}).",
            f"Share it with 'anyone with the link'. {_SAVE_IT}",
        ) from error
    if not part.is_file():
        raise DatasetError("drive-failed", "Google Drive gave no file.", _SAVE_IT)
    _accept(part, target)
    _write_note(target, {"drive_id": file_id})
    return target


def _gdown(file_id: str, target: Path) -> None:
    try:
        import gdown
    except ImportError as error:
        raise DatasetError(
            "gdown-missing", "Google Drive links need the package gdown.", "pip install gdown"
        ) from error
    gdown.download(id=file_id, output=str(target), quiet=not sys.stderr.isatty())


def _receive(response: Any, target: Path, declared: int | None) -> None:
    part = target.with_suffix(".part")
    received = 0
    size = f"{declared / 1e6:.0f} MB" if declared else "size unknown"
    print(f"Downloading the data set ({size}) ...", file=sys.stderr, flush=True)
    with part.open("wb") as sink:
        while chunk := response.read(_CHUNK):
            received += len(chunk)
            if received > MAX_DOWNLOAD_BYTES:
                part.unlink()
                raise DatasetError(
                    "download-too-large",
                    f"The download exceeds {MAX_DOWNLOAD_BYTES:,} bytes.",
                    _SAVE_IT,
                )
            sink.write(chunk)
    if declared is not None and received != declared:
        part.unlink()
        raise DatasetError(
            "download-cut-short",
            f"{received:,} of {declared:,} bytes arrived.",
            "Try again.",
        )
    _accept(part, target)


def _accept(part: Path, target: Path) -> None:
    """Give a finished download its name, if it is a ZIP."""
    if not zipfile.is_zipfile(part):
        with part.open("rb") as file:
            head = file.read(512).lstrip().lower()
        part.unlink()
        raise _not_a_zip(head.startswith((b"<!doctype html", b"<html")))
    part.replace(target)


def _refuse_page(headers: Message) -> None:
    if headers.get_content_type() == "text/html":
        raise _not_a_zip(True)


def _not_a_zip(is_page: bool) -> DatasetError:
    what = "a web page" if is_page else "something else"
    return DatasetError(
        "not-a-zip",
        f"The link leads to {what}, not to a ZIP.",
        "It may ask for a login. " + _SAVE_IT,
    )


def _server_note(headers: Message) -> dict[str, Any]:
    length = headers.get("Content-Length", "")
    return {
        "etag": headers.get("ETag"),
        "size": int(length) if length.isdigit() else None,
        "date": headers.get("Last-Modified"),
    }


def _note_path(target: Path) -> Path:
    return target.with_suffix(".json")


def _write_note(target: Path, note: dict[str, Any]) -> None:
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _note_path(target).write_text(json.dumps(note | {"sha256": digest}))


def _read_note(target: Path) -> dict[str, Any]:
    """Return what is known of a download; nothing unless its bytes are still the same."""
    try:
        note = dict(json.loads(_note_path(target).read_text()))
        with target.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == note.get("sha256")
    except (OSError, ValueError):
        return {}
    return note if same else {}
