"""The OpenAPI 3.1 document, made from the routes, the settings and `schemas.py`; and its page.

Every route under `/api/` has an entry in `OPERATIONS`; a test fails where one is missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, render_template
from werkzeug.routing import Rule

import brain_cnn
from brain_cnn.labels import DISCLAIMER
from brain_cnn.render.csv_table import COLUMNS
from brain_cnn.scan import PLANES
from brain_cnn.web.presenters.schemas import SCHEMAS, Schema, array, ref, shape, text, whole
from brain_cnn.web.settings import Settings
from brain_cnn.web.uploads import FIELD, classifier, settings

blueprint = Blueprint("openapi", __name__)

PREFIX = "/api/"
_PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Operation:
    """What the document says of a route beside its docstring.

    Attributes:
        answer: content type -> schema of the answer with status 200.
        query: name -> (schema, description) of the parameters in the address.
        form: name -> schema of the fields of the multipart form beside `file`.
        required: those of `form` that must be there.
        uploads: whether it takes files.
        errors: statuses of the problems that it answers.
    """

    answer: dict[str, Schema]
    query: dict[str, tuple[Schema, str]] = field(default_factory=dict)
    form: dict[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    uploads: bool = True
    errors: tuple[int, ...] = (400, 401, 403, 413, 415, 422, 429, 500, 503)


_BINARY: Schema = {"type": "string", "format": "binary"}
_PLANE = text("Which slices of a NIfTI volume are judged.", enum=list(PLANES), default=PLANES[0])
_FORCE = text("1 judges a scan that its header calls no MRI.", enum=["0", "1"], default="0")
_READING = {"plane": _PLANE, "force": _FORCE}
_SLICE_INDEX = whole("Which slice of the main series, from 0.", minimum=0, maximum=999_999)
_SERIES = whole("Which series of the upload, from 0.", minimum=0, maximum=999_999)
_POINT = array({"type": "number"}, minItems=2, maxItems=2)
_REGION = text(
    "JSON polygon [[x, y], ...] in pixels of the slice, x to the right, from its top left corner.",
    contentMediaType="application/json",
    contentSchema=array(_POINT, minItems=3, maxItems=1000),
)

_CSV = "A row for each slice, with the columns " + "; ".join(
    f"{name}: {meaning}" for name, meaning in COLUMNS.items()
)

OPERATIONS: dict[str, Operation] = {
    "api.predict": Operation(
        answer={"application/json": ref("Answer"), "text/csv": text(_CSV)},
        query={
            "heatmap": (
                text(enum=["", "png", "raw"], default=""),
                "png adds the overlay as a data URI, raw the grid of each class.",
            ),
            "format": (text(enum=["json", "csv"], default="json"), "csv answers a table."),
        },
        form=_READING,
    ),
    "counterfactual.counterfactual": Operation(
        answer={"application/json": ref("Counterfactual")},
        form=_READING | {"slice_index": _SLICE_INDEX, "series": _SERIES, "region": _REGION},
        required=("region",),
    ),
    "report.api_report": Operation(
        answer={"application/pdf": _BINARY},
        form=_READING
        | {
            "slice_index": _SLICE_INDEX,
            "series": _SERIES,
            "paper": text("Paper size.", enum=["a4", "letter"], default="a4"),
        },
    ),
    "openapi.document": Operation(
        answer={"application/json": {"type": "object"}}, uploads=False, errors=(401, 429)
    ),
}

_ERRORS = {
    400: "The request is malformed, or no file was sent.",
    401: "This server asks for a token.",
    403: "Sent by a page of another site.",
    413: "Too large, or too many files.",
    415: "Not an image that is read.",
    422: "Empty, damaged, too small, too slow, or no MRI.",
    429: "Too many requests from one address.",
    500: "A fault of the server.",
    503: "More requests than the server can judge now.",
}


@blueprint.get("/api/v1/openapi.json")
def document() -> Response:
    """The description of this API, OpenAPI 3.1."""
    return jsonify(build_document(current_app, settings()))


@blueprint.get("/api")
def page() -> str:
    """The user reads what the API can do, without a script from elsewhere."""
    bundle = classifier().bundle
    return render_template(
        "api.html",
        document=build_document(current_app, settings()),
        disclaimer=DISCLAIMER,
        model_name=bundle.name,
        model_version=bundle.version,
        model_id=bundle.sha256[:12],
    )


def build_document(app: Flask, settings: Settings) -> dict[str, Any]:
    """Return the document of `app`."""
    secured = bool(settings.token)
    schemes = {
        "token": {"type": "http", "scheme": "bearer"},
        "password": {"type": "http", "scheme": "basic", "description": "The token as password."},
    }
    components: dict[str, Any] = {"schemas": SCHEMAS}
    if secured:
        components["securitySchemes"] = schemes
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Brain CNN",
            "version": brain_cnn.__version__,
            "summary": "A brain MRI in, its likely tumour class and how sure that is out.",
            "description": DISCLAIMER + " An upload is held in memory for one request.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            rule.rule: {
                method.lower(): _operation(app, rule, settings, secured)
                for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            }
            for rule in api_rules(app)
        },
        "components": components,
    }


def api_rules(app: Flask) -> Iterator[Rule]:
    """Return the routes that programs use."""
    return (rule for rule in app.url_map.iter_rules() if rule.rule.startswith(PREFIX))


def _operation(app: Flask, rule: Rule, settings: Settings, secured: bool) -> dict[str, Any]:
    said = OPERATIONS[rule.endpoint]
    words = inspect.cleandoc(app.view_functions[rule.endpoint].__doc__ or "")
    summary, _, rest = words.partition("\n\n")
    # What follows is about fields, which the schemas describe.
    description = rest.partition("Multipart form fields:")[0].strip()
    operation: dict[str, Any] = {"operationId": rule.endpoint.replace(".", "_")}
    operation["summary"] = " ".join(summary.split())
    if description:
        operation["description"] = description
    operation["parameters"] = [
        {"name": name, "in": "query", "schema": schema, "description": words}
        for name, (schema, words) in said.query.items()
    ]
    if said.uploads:
        operation["requestBody"] = _body(said, settings)
    operation["responses"] = {
        "200": {
            "description": "The answer.",
            "content": {kind: {"schema": schema} for kind, schema in said.answer.items()},
        }
    } | {str(status): _problem(status) for status in said.errors if secured or status != 401}
    if secured:
        operation["security"] = [{"token": []}, {"password": []}]
    return operation


def _body(said: Operation, settings: Settings) -> dict[str, Any]:
    # How many is no `maxItems`: too many files are 413, which tools take for no refusal.
    files = array(
        _BINARY,
        "One or several parts with a file name: a picture, DICOM, NIfTI or ZIP of at most "
        f"{settings.max_file_mib} MiB; at most {settings.max_files} parts.",
        minItems=1,
    )
    schema = shape(
        f"At most {settings.max_request_mib} MiB and {settings.max_files} files.",
        {FIELD: files} | said.form,
        optional=tuple(name for name in said.form if name not in said.required),
    )
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": schema,
                "encoding": {FIELD: {"contentType": "application/octet-stream"}},
            }
        },
    }


def _problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": _ERRORS[status],
        "content": {_PROBLEM: {"schema": ref("Problem")}},
    }
    if status in (429, 503):
        response["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": whole(minimum=1)}
        }
    return response
