"""What a request sends: its files and the fields beside them, shared by all views."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from io import BytesIO

from flask import current_app, request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from brain_cnn.inference.classifier import Classifier
from brain_cnn.scan import PLANES
from brain_cnn.web.form_parser import FILE_FIELD
from brain_cnn.web.runtime.queue import hold_slot
from brain_cnn.web.runtime.trace import current_trace
from brain_cnn.web.samples import chosen_sample
from brain_cnn.web.security import FORM
from brain_cnn.web.settings import Settings

FIELD = FILE_FIELD


@dataclass(frozen=True)
class Upload:
    """Files that were sent together, and how they are to be read.

    Attributes:
        files: their contents, in the order of the upload; at least one.
        force: also judge a scan that its header calls something else than an MRI.
        plane: which slices are taken from a NIfTI volume.
    """

    files: list[bytes] = field(repr=False)
    force: bool
    plane: str


def read_upload() -> Upload:
    """Return what the request sends.

    The form is read in the queue: a request that waits holds its body, and nothing more.

    Raises:
        Busy: 503, the server has no slot for it.
        BadRequest: a field has a value that is not known, the request is no multipart form, no
            file was chosen, or there is no such sample.
        RequestEntityTooLarge: more files than one request may have.
    """
    # A body over the limit is refused as it is read, which needs no slot.
    small = (request.content_length or 0) <= (request.max_content_length or 0)
    if small and request.want_form_data_parsed and current_trace().slot is None:
        hold_slot()
    start = time.perf_counter()
    force = request.values.get("force", "0")
    if force not in ("0", "1"):
        raise BadRequest(f"force is {force[:40]!r}; it must be 0 or 1.")
    plane = request.values.get("plane", PLANES[0])
    if plane not in PLANES:
        raise BadRequest(f"plane is {plane[:40]!r}; it must be one of {', '.join(PLANES)}.")
    files = _files()
    current_trace().add("upload", time.perf_counter() - start)
    return Upload(files, force == "1", plane)


def _files() -> list[bytes]:
    """Return the contents of the form field `file`, in upload order.

    File names are dropped here and go nowhere: they often hold a patient's name. Where no
    file was sent, the form field `sample` may name one of our own (`samples.SAMPLES`).
    """
    # A browser sends an empty part without a name where no file was chosen.
    parts = [part for part in request.files.getlist(FIELD) if part.filename or part.stream.read(1)]
    if not parts and "sample" in request.form:
        return [chosen_sample(request.form["sample"])]
    if not parts:
        kind = request.mimetype
        hint = f" The request is {kind[:40]!r}, not {FORM}." if kind and kind != FORM else ""
        raise BadRequest(f"No file was sent. Choose an image for the form field '{FIELD}'.{hint}")
    limit = settings().max_files
    if len(parts) > limit:
        raise RequestEntityTooLarge(
            f"{len(parts)} files were sent; the limit is {limit} in one request."
        )
    for part in parts:
        part.stream.seek(0)
    return [_contents(part) for part in parts]


def _contents(part: FileStorage) -> bytes:
    stream = part.stream
    # Its own bytes: to read them would be a copy, and uploads are counted once.
    return stream.getvalue() if isinstance(stream, BytesIO) else stream.read()


def slice_index() -> int | None:
    """Return the form field `slice_index`, from 0; None where it was not sent.

    Raises:
        BadRequest: it is no whole number.
    """
    return _whole("slice_index")


def series_index() -> int | None:
    """Return the form field `series`, from 0 in the order of the upload; None if not sent.

    Raises:
        BadRequest: it is no whole number.
    """
    return _whole("series")


def _whole(name: str) -> int | None:
    text = request.form.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise BadRequest(f"{name} is {text[:40]!r}; it must be a whole number from 0.")
    return int(text)


def classifier() -> Classifier:
    """Return the model of this process."""
    model: Classifier = current_app.extensions["brain_cnn.inference.classifier"]
    return model


def settings() -> Settings:
    """Return the settings of this process."""
    own: Settings = current_app.extensions["brain_cnn.settings"]
    return own
