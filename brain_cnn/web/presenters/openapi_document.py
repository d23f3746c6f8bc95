"""The OpenAPI 3.1 document, made of the routes, the settings and `schemas.py`.

Every route under `/api/` has an entry in `OPERATIONS`; a test fails where one is missing.
Imported when the document is asked for: it needs pydantic, and an answer does not.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from pydantic import BaseModel
from werkzeug.routing import Rule

import brain_cnn
from brain_cnn.labels import DISCLAIMER
from brain_cnn.render.csv_table import COLUMNS
from brain_cnn.web.presenters.schemas import (
    CounterfactualForm,
    PredictQuery,
    ReadingForm,
    ReportForm,
    Schema,
    components,
    form_schema,
)
from brain_cnn.web.settings import Settings
from brain_cnn.web.uploads import FIELD

PREFIX = "/api/"
_PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Operation:
    """What the document says of a route beside its docstring.

    Attributes:
        answer: content type -> schema of the answer with status 200.
        query: the parameters in the address.
        form: the fields of the multipart form beside `file`; None where it takes no files.
        errors: statuses of the problems that it answers.
    """

    answer: dict[str, Schema]
    query: type[BaseModel] | None = None
    form: type[BaseModel] | None = ReadingForm
    errors: tuple[int, ...] = (400, 401, 403, 413, 415, 422, 429, 500, 503)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_BINARY: Schema = {"type": "string", "format": "binary"}
_CSV: Schema = {
    "type": "string",
    "description": "A row for each slice, with the columns "
    + "; ".join(f"{name}: {meaning}" for name, meaning in COLUMNS.items()),
}

OPERATIONS: dict[str, Operation] = {
    "api.predict": Operation(
        answer={"application/json": _ref("Answer"), "text/csv": _CSV}, query=PredictQuery
    ),
    "counterfactual.counterfactual": Operation(
        answer={"application/json": _ref("Counterfactual")}, form=CounterfactualForm
    ),
    "report.api_report": Operation(answer={"application/pdf": _BINARY}, form=ReportForm),
    "openapi.document": Operation(
        answer={"application/json": {"type": "object"}}, form=None, errors=(401, 429)
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


def build_document(app: Flask, settings: Settings) -> dict[str, Any]:
    """Return the document of `app`."""
    secured = bool(settings.token)
    schemes = {
        "token": {"type": "http", "scheme": "bearer"},
        "password": {"type": "http", "scheme": "basic", "description": "The token as password."},
    }
    shapes: dict[str, Any] = {"schemas": components()}
    if secured:
        shapes["securitySchemes"] = schemes
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
        "components": shapes,
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
    operation["parameters"] = _parameters(said.query) if said.query else []
    if said.form:
        operation["requestBody"] = _body(said.form, settings)
    operation["responses"] = {
        "200": {
            "description": "The answer.",
            "content": {kind: {"schema": schema} for kind, schema in said.answer.items()},
        }
    } | {str(status): _problem(status) for status in said.errors if secured or status != 401}
    if secured:
        operation["security"] = [{"token": []}, {"password": []}]
    return operation


def _parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "schema": {key: value for key, value in schema.items() if key != "description"},
            "description": schema["description"],
        }
        for name, schema in form_schema(query)["properties"].items()
    ]


def _body(form: type[BaseModel], settings: Settings) -> dict[str, Any]:
    # How many is no `maxItems`: too many files are 413, which tools take for no refusal.
    files = {
        "type": "array",
        "items": _BINARY,
        "minItems": 1,
        "description": "One or several parts with a file name: a picture, DICOM, NIfTI or ZIP of "
        f"at most {settings.max_file_mib} MiB; at most {settings.max_files} parts.",
    }
    own = form_schema(form)
    schema = {
        "type": "object",
        "description": f"At most {settings.max_request_mib} MiB and {settings.max_files} files.",
        "properties": {FIELD: files, **own["properties"]},
        "required": [FIELD, *own.get("required", [])],
    }
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
        "content": {_PROBLEM: {"schema": _ref("Problem")}},
    }
    if status in (429, 503):
        response["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        }
    return response
