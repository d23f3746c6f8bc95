"""The generated regions that come from the program itself: settings, API and example output.

Each function takes the whole record of `metrics.json`, which it does not need, and returns
one region; `write_docs.py` puts it into the documents.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from brain_cnn.evaluation.tables import table
from brain_cnn.inference.classifier import load_classifier
from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.overlay import encode_png
from brain_cnn.render.words import VERDICTS
from brain_cnn.web import create_app
from brain_cnn.web.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ("glioma", 3)
"""Label and seed of the drawn head that the examples call slice.png."""

_SHOWN = ("label", "confidence", "probabilities", "prediction_set", "verdict")
Metrics = dict[str, Any]


def settings_table(_: Metrics) -> str:
    """Every setting of the server: its variable, its default, and its docstring."""
    meanings = attribute_docs(Settings)
    rows = []
    for field in fields(Settings):
        default = "empty" if field.default == "" else f"`{field.default}`"
        words = meanings[field.name]
        rows.append([f"`{PREFIX}{field.name.upper()}`", default, words[:1].upper() + words[1:]])
    return table(["variable", "default", "meaning"], rows)


def attribute_docs(owner: type) -> dict[str, str]:
    """Return name -> text of the `Attributes:` section of a class's docstring."""
    section = (owner.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.split(r"^ {8}(?=\w+:)", section, flags=re.MULTILINE)
    pairs = (entry.partition(":") for entry in entries if entry.strip())
    return {name: " ".join(text.split()) for name, _, text in pairs}


def verdicts(_: Metrics) -> str:
    """The three verdicts, in the words of the page and the report."""
    rows = [[name, words.badge, words.when, words.shown] for name, words in VERDICTS.items()]
    return table(["verdict", "shown as", "when", "what you see"], rows)


def python_output(_: Metrics) -> str:
    """What the Python example of the README prints."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("slice.png").write_bytes(_slice_png())
        model = os.environ.pop(f"{PREFIX}MODEL", None)  # the example shows the shipped model
        try:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(example, {})
        finally:
            if model is not None:
                os.environ[f"{PREFIX}MODEL"] = model
    return f"```text\n{printed.getvalue().strip()}\n```"


def curl_output(_: Metrics) -> str:
    """The first fields of what the API answers."""
    result = _answer()["results"][0]
    shown = ",\n              ".join(f'"{name}": {json.dumps(result[name])}' for name in _SHOWN)
    return f'```text\n{{"results": [{{{shown}, ...}}]}}\n```'


def api_answer(_: Metrics) -> str:
    """The whole answer of the API."""
    return f"```json\n{json.dumps(_answer(), indent=1)}\n```"


def api_routes(_: Metrics) -> str:
    """Every route of the API, its parameters and statuses, from the OpenAPI document."""
    pieces = []
    for path, methods in _document()["paths"].items():
        for method, operation in methods.items():
            pieces += _route(f"{method.upper()} {path}", operation)
    return "\n\n".join(pieces)


def api_shapes(_: Metrics) -> str:
    """Every object in the answers, field by field, from the OpenAPI document."""
    pieces = []
    for name, schema in _document()["components"]["schemas"].items():
        words = schema.get("description", "")
        pieces += [f"### {name}", *([words] if words else []), _fields(schema)]
    return "\n\n".join(pieces)


REFERENCE_REGIONS: dict[str, Callable[[Metrics], str]] = {
    "settings": settings_table,
    "verdicts": verdicts,
    "python-output": python_output,
    "curl-output": curl_output,
    "api-answer": api_answer,
    "api-routes": api_routes,
    "api-shapes": api_shapes,
}


def _slice_png() -> bytes:
    return encode_png(draw_phantom(*EXAMPLE))


@cache
def _client() -> Any:
    app = create_app(Settings(), load_classifier(ROOT / "models" / "brain_cnn"))
    logging.disable(logging.INFO)  # one line a request is of no use here
    return app.test_client()


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = _client().get("/api/v1/openapi.json").json
    return document


@cache
def _answer() -> dict[str, Any]:
    form = {"file": (io.BytesIO(_slice_png()), "slice.png")}
    answer = _rounded(_client().post("/api/v1/predict", data=form).json)
    for result in answer["results"]:
        result["timing_ms"] = dict.fromkeys(result["timing_ms"], 1.0)  # differs each time
    assert isinstance(answer, dict)
    return answer


def _rounded(value: Any) -> Any:
    """Return `value` with two digits: engines and processors differ in the last ones."""
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def _route(name: str, operation: dict[str, Any]) -> list[str]:
    pieces = [f"### `{name}`", operation["summary"]]
    if "description" in operation:
        pieces.append(" ".join(operation["description"].split()))
    rows = [
        [f"`{one['name']}`", "address", _kind(one["schema"]), one["description"]]
        for one in operation["parameters"]
    ]
    if "requestBody" in operation:
        form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        rows += [
            [f"`{field}`", "form", _kind(schema), schema.get("description", "")]
            for field, schema in form["properties"].items()
        ]
    if rows:
        pieces.append(table(["parameter", "in", "kind", "meaning"], rows))
    answers = [
        [f"`{status}`", ", ".join(f"`{kind}`" for kind in one["content"]), one["description"]]
        for status, one in operation["responses"].items()
    ]
    return [*pieces, table(["status", "content", "meaning"], answers)]


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        [f"`{name}`", _kind(field) + ("" if name in required else " (optional)"),
         field.get("description", "")]
        for name, field in schema.get("properties", {}).items()
    ]  # fmt: skip
    return table(["field", "kind", "meaning"], rows)


def _kind(schema: dict[str, Any]) -> str:
    """Return the kind of a field in a word or two."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value)
    if schema.get("format") == "binary":
        return "file"
    return str(schema.get("type", "any"))
