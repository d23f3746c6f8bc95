"""The HTTP API for programs: `POST /api/v1/predict`."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from brain_cnn.errors import ScanError
from brain_cnn.inference.classifier import SeriesAnswer
from brain_cnn.inference.diagnosis import Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DISCLAIMER, LABELS, NOTUMOR
from brain_cnn.render.csv_table import csv_table
from brain_cnn.render.overlay import overlay, png_data_uri
from brain_cnn.render.study_json import (
    said_json,
    scan_json,
    series_json,
    slice_json,
    study_json,
)
from brain_cnn.web.problems import problem_of, problem_response
from brain_cnn.web.uploads import classifier, reading_options, uploaded_files

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

HEATMAPS = ("png", "raw")
FORMATS = ("json", "csv")


@blueprint.post("/predict")
def predict() -> Response:
    """The caller gets one result per file, in upload order.

    Files of one series are judged together: each result then holds the answer for the study.
    A file that cannot be judged has its problem object in its place; where it was the only
    one, the whole answer is that problem, with its status.
    """
    _argument("heatmap", ("", *HEATMAPS))
    kind = _argument("format", FORMATS)
    options = reading_options()
    files = uploaded_files()
    start = time.perf_counter()
    answers, problems = classifier().classify_together(files, **options)
    results = [
        problem_of(problems[place]) if place in problems else file_json(answers, place)
        for place in range(len(files))
    ]
    if len(results) == 1 and "status" in results[0]:
        return problem_response(results[0])
    if kind == "csv":
        table = csv_table(answers, problems, classifier().bundle)
        return Response(table, content_type="text/csv; charset=utf-8")
    total = round((time.perf_counter() - start) * 1000, 2)
    for result in results:
        if "timing_ms" in result:
            result["timing_ms"]["total"] = total  # of the request
    return jsonify(results=results)


def _argument(name: str, choices: tuple[str, ...]) -> str:
    """Return the parameter `name` of the address; the first choice where it is not there.

    Raises:
        BadRequest: it is none of `choices`.
    """
    value = request.args.get(name, choices[0])
    if value not in choices:
        named = ", ".join(choice for choice in choices if choice)
        raise BadRequest(f"{name} is {value[:40]!r}; it must be one of {named}.")
    return value


def file_json(answers: list[SeriesAnswer], place: int) -> dict[str, Any]:
    """Return the JSON object of one file: its slices, and the series that they belong to."""
    own = [answer for answer in answers if place in answer.series.sources]
    judged = [answer for answer in own if isinstance(answer.study, StudyDiagnosis)]
    if not judged:
        error = own[0].study
        assert isinstance(error, ScanError)
        return problem_of(error)
    main = max(judged, key=lambda answer: len(answer.series.scan.slices))
    study = main.study
    assert isinstance(study, StudyDiagnosis)
    slices = [d for d, s in zip(study.slices, main.series.sources, strict=True) if s == place]
    if len(slices) == len(study.slices):
        telling = study.most_telling
    else:
        telling = min(slices, key=lambda d: (not d.familiar, d.probabilities[NOTUMOR]))
    result = diagnosis_json(telling)
    result["forced"] = study.forced
    result["scan"] = scan_json(main.series.scan)
    result["study"] = study_json(study) if len(study.slices) > 1 else None
    result["slices"] = [slice_json(d, study) for d in slices]
    others = [answer for answer in own if answer is not main]
    if others:
        result["other_series"] = [series_json(answer) for answer in others]
    return result


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the JSON object of one diagnosis, as documented in the README."""
    bundle = classifier().bundle
    result: dict[str, Any] = {
        **said_json(diagnosis),
        "slice_index": diagnosis.slice_index,
        "slice_count": diagnosis.slice_count,
        "notes": list(diagnosis.notes),
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "timing_ms": dict(diagnosis.timing_ms),
        "disclaimer": DISCLAIMER,
    }
    heatmap = request.args.get("heatmap", "")
    if heatmap == "png":
        result["heatmap"] = {"label": diagnosis.label, "png": png_data_uri(overlay(diagnosis))}
    elif heatmap == "raw":
        top, left, side = diagnosis.prepared.box
        result["heatmap"] = {
            # Where the grid lies on the slice, in its pixels.
            "box": {"top": top, "left": left, "side": side},
            "shape": list(diagnosis.pixels.shape),
            "grids": {
                label: diagnosis.heat[..., place].round(4).tolist()
                for place, label in enumerate(LABELS)
            },
        }
    return result
