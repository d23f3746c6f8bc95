"""The samples of `web/samples.py` as files, small and whole."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from brain_cnn.web.samples import sample_png, sample_thumbnail

blueprint = Blueprint("samples", __name__)


@blueprint.get("/samples/<name>.jpg")
def thumbnail(name: str) -> Response:
    """The user sees a sample in the list, small."""
    try:
        data = sample_thumbnail(name)
    except KeyError:
        raise NotFound(f"There is no sample {name[:40]!r}.") from None
    return Response(data, content_type="image/jpeg")


@blueprint.get("/samples/<name>.png")
def sample(name: str) -> Response:
    """The user sees a sample before choosing it."""
    try:
        data = sample_png(name)
    except KeyError:
        raise NotFound(f"There is no sample {name[:40]!r}.") from None
    return Response(data, content_type="image/png")
