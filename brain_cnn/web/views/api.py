"""The HTTP API for programs: `POST /api/v1/predict`."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from brain_cnn.errors import ScanError
from brain_cnn.inference.answer import AnswerPart
from brain_cnn.render.answer_json import HEATMAPS, part_json
from brain_cnn.render.csv_table import csv_table
from brain_cnn.web.answer import answer_upload
from brain_cnn.web.problems import problem_of, problem_response
from brain_cnn.web.uploads import classifier, read_upload

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

FORMATS = ("json", "csv")


@blueprint.post("/predict")
def predict() -> Response:
    """The caller gets one result per file, in upload order.

    Files of one series are judged together: each result then holds the answer for the study.
    A file that cannot be judged has its problem object in its place; where it was the only
    one, the whole answer is that problem, with its status.
    """
    heatmap = argument("heatmap", ("", *HEATMAPS))
    kind = argument("format", FORMATS)
    upload = read_upload()
    start = time.perf_counter()
    answer = answer_upload(upload)
    parts = [answer.of_file(place) for place in range(len(upload.files))]
    if len(parts) == 1 and isinstance(parts[0], ScanError):
        return problem_response(problem_of(parts[0]))
    bundle = classifier().bundle
    if kind == "csv":
        table = csv_table(answer.series, answer.problems, bundle)
        return Response(table, content_type="text/csv; charset=utf-8")

    def result(part: AnswerPart | ScanError) -> dict[str, Any]:
        if isinstance(part, ScanError):
            return problem_of(part)
        return part_json(part, bundle, heatmap)

    results = [result(part) for part in parts]
    total = round((time.perf_counter() - start) * 1000, 2)
    for one in results:
        if "timing_ms" in one:
            one["timing_ms"]["total"] = total  # of the request
    return jsonify(results=results)


def argument(name: str, choices: tuple[str, ...]) -> str:
    """Return the parameter `name` of the address; the first choice where it is not there.

    Raises:
        BadRequest: it is none of `choices`.
    """
    value = request.args.get(name, choices[0])
    if value not in choices:
        named = ", ".join(choice for choice in choices if choice)
        raise BadRequest(f"{name} is {value[:40]!r}; it must be one of {named}.")
    return value
