"""The uploaded files of a request, shared by the page and the API."""

from __future__ import annotations

from flask import current_app, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from brain_cnn.classifier import Classifier
from brain_cnn.web.settings import Settings

FIELD = "file"


def uploaded_files() -> list[bytes]:
    """Return the contents of the form field `file`, in upload order.

    File names are dropped here and go nowhere: they often hold a patient's name.

    Raises:
        BadRequest: the request is no multipart form, or no file was chosen.
        RequestEntityTooLarge: more files than one request may have.
    """
    # A browser sends an empty part without a name where no file was chosen.
    parts = [part for part in request.files.getlist(FIELD) if part.filename]
    if not parts:
        raise BadRequest(f"No file was sent. Choose an image for the form field '{FIELD}'.")
    limit = settings().max_files
    if len(parts) > limit:
        raise RequestEntityTooLarge(
            f"{len(parts)} files were sent; the limit is {limit} in one request."
        )
    return [part.stream.read() for part in parts]


def classifier() -> Classifier:
    """Return the model of this process."""
    return current_app.extensions["brain_cnn.classifier"]


def settings() -> Settings:
    """Return the settings of this process."""
    return current_app.extensions["brain_cnn.settings"]
