"""The uploaded files of a request, shared by the page and the API."""

from __future__ import annotations

import time
from typing import Any

from flask import current_app, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from brain_cnn.inference.classifier import Classifier
from brain_cnn.scan import PLANES
from brain_cnn.web.runtime.trace import current_trace
from brain_cnn.web.settings import Settings
from brain_cnn.web.views.samples import chosen_sample

FIELD = "file"


def uploaded_files() -> list[bytes]:
    """Return the contents of the form field `file`, in upload order.

    File names are dropped here and go nowhere: they often hold a patient's name. Where no
    file was sent, the form field `sample` may name one of our own (`samples.SAMPLES`).

    Raises:
        BadRequest: the request is no multipart form, no file was chosen, or no such sample.
        RequestEntityTooLarge: more files than one request may have.
    """
    start = time.perf_counter()
    # A browser sends an empty part without a name where no file was chosen.
    parts = [part for part in request.files.getlist(FIELD) if part.filename]
    if not parts and "sample" in request.form:
        return [chosen_sample(request.form["sample"])]
    if not parts:
        raise BadRequest(f"No file was sent. Choose an image for the form field '{FIELD}'.")
    limit = settings().max_files
    if len(parts) > limit:
        raise RequestEntityTooLarge(
            f"{len(parts)} files were sent; the limit is {limit} in one request."
        )
    files = [part.stream.read() for part in parts]
    current_trace().add("upload", time.perf_counter() - start)
    return files


def reading_options() -> dict[str, Any]:
    """Return `force` and `plane` of the request, as the classifier takes them.

    Raises:
        BadRequest: a value that is not known.
    """
    force = request.values.get("force", "0")
    if force not in ("0", "1"):
        raise BadRequest(f"force is {force[:40]!r}; it must be 0 or 1.")
    plane = request.values.get("plane", PLANES[0])
    if plane not in PLANES:
        raise BadRequest(f"plane is {plane[:40]!r}; it must be one of {', '.join(PLANES)}.")
    return {"force": force == "1", "plane": plane}


def classifier() -> Classifier:
    """Return the model of this process."""
    return current_app.extensions["brain_cnn.inference.classifier"]


def settings() -> Settings:
    """Return the settings of this process."""
    return current_app.extensions["brain_cnn.settings"]
