"""Errors as RFC 9457 problem objects for programs, and as a sentence for people."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES

from brain_cnn.errors import ScanError
from brain_cnn.web.presenters.page import render_error
from brain_cnn.web.runtime.trace import current_trace
from brain_cnn.web.security import drain_body

API_PREFIX = "/api/"

_PROGRAM_ENDPOINTS = frozenset({"ops.healthz", "ops.readyz", "ops.metrics", "view.view"})

# Werkzeug writes its own sentences for developers.
_SENTENCES = {
    400: "The request is not a form that we can read.",
    404: "There is nothing at this address.",
    405: "This address does not take this kind of request.",
    500: "Something went wrong on the server. It kept nothing of your file. Please try again.",
}


def problem(status: int, detail: str, *, code: str, hint: str = "") -> dict[str, Any]:
    """Return an RFC 9457 problem object with our two extension members."""
    body = {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return body | ({"hint": hint} if hint else {})


def problem_of(error: ScanError) -> dict[str, Any]:
    """Return the problem object of a file that cannot be judged."""
    return problem(error.status, error.message, code=error.code, hint=error.hint)


def problem_response(body: dict[str, Any]) -> Response:
    """Return `body` as `application/problem+json` with its own status and the request's id."""
    trace = current_trace()
    trace.refusal = body["code"]
    body = body | {"request_id": trace.id}
    return Response(
        json.dumps(body) + "\n", status=body["status"], content_type="application/problem+json"
    )


def handle_errors(app: Flask) -> None:
    """Answer every error with a problem object under `/api/`, with a page elsewhere."""
    app.register_error_handler(ScanError, _on_scan_error)
    app.register_error_handler(HTTPException, answer_http_error)


def _on_scan_error(error: ScanError) -> Any:
    return _answer(problem_of(error))


def answer_http_error(error: HTTPException) -> Any:
    """Answer an error that has a status; its headers `Allow`, `Retry-After` and so on are kept."""
    status = error.code or 500
    if status < 400:
        return error
    sentence = _SENTENCES.get(status, str(error.description))
    # Errors that we raise ourselves carry our own sentence.
    ours = error.description != type(error).description and not isinstance(
        error, InternalServerError
    )
    if ours and error.description:
        sentence = str(error.description)
    drain_body()
    if isinstance(error, RequestEntityTooLarge) and not ours:
        limit = current_app.extensions["brain_cnn.settings"].max_request_mib
        sentence = f"The upload is too large: the limit is {limit} MiB in one request."
    code = HTTP_STATUS_CODES.get(status, "error").lower().replace(" ", "-")
    response = _answer(problem(status, sentence, code=getattr(error, "code_name", code)))
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    if status == 401:
        # A browser shows its window for a password only if it is asked for `Basic`.
        for_people = not _for_programs()
        response.headers["WWW-Authenticate"] = 'Basic realm="Brain CNN"' if for_people else "Bearer"
    return response


def _answer(body: dict[str, Any]) -> Response:
    if _for_programs():
        return problem_response(body)
    current_trace().refusal = body["code"]
    return render_error(body["status"], body["detail"], body.get("hint", ""))


def _for_programs() -> bool:
    """Whether a program asks: the API and what operators' programs read, or no page is wanted."""
    if request.path.startswith(API_PREFIX) or request.endpoint in _PROGRAM_ENDPOINTS:
        return True
    wanted = request.accept_mimetypes
    return not wanted.accept_html and wanted.accept_json
