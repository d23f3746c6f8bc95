"""The OpenAPI 3.1 document for programs, and its page for people."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, render_template

from brain_cnn.labels import DISCLAIMER
from brain_cnn.web.uploads import classifier, settings

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/api/v1/openapi.json")
def document() -> Response:
    """The description of this API, OpenAPI 3.1."""
    return jsonify(_document())


@blueprint.get("/api")
def page() -> str:
    """The user reads what the API can do, without a script from elsewhere."""
    bundle = classifier().bundle
    return render_template(
        "api.html",
        document=_document(),
        disclaimer=DISCLAIMER,
        model_name=bundle.name,
        model_version=bundle.version,
        model_id=bundle.sha256[:12],
    )


def _document() -> dict[str, Any]:
    # Imported where it is needed, as the readers are: no answer needs pydantic.
    from brain_cnn.web.presenters.openapi_document import build_document

    return build_document(current_app, settings())
