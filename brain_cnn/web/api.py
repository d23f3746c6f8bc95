"""The HTTP API for programs: `POST /api/v1/predict`."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from brain_cnn.diagnosis import Diagnosis
from brain_cnn.errors import ScanError
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.render.overlay import overlay, png_data_uri
from brain_cnn.web.problems import problem_of, problem_response
from brain_cnn.web.uploads import classifier, uploaded_files

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

HEATMAPS = ("png", "raw")


@blueprint.post("/predict")
def predict() -> Response:
    """The caller gets one result per file, in upload order.

    A file that cannot be judged has its problem object in its place; where it was the only
    one, the whole answer is that problem, with its status.
    """
    heatmap = request.args.get("heatmap", "")
    if heatmap and heatmap not in HEATMAPS:
        raise BadRequest(f"heatmap is {heatmap[:40]!r}; it must be one of {', '.join(HEATMAPS)}.")
    files = uploaded_files()
    results: list[dict[str, Any]] = []
    for data in files:
        start = time.perf_counter()
        try:
            result = diagnosis_json(classifier().classify(data))
        except ScanError as error:
            if len(files) == 1:
                return problem_response(problem_of(error))
            results.append(problem_of(error))
            continue
        results.append(result)
        result["timing_ms"]["total"] = round((time.perf_counter() - start) * 1000, 2)
    return jsonify(results=results)


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the JSON object of one diagnosis, as documented in the README."""
    bundle = classifier().bundle
    result: dict[str, Any] = {
        "label": diagnosis.label,
        "confidence": diagnosis.confidence,
        "probabilities": diagnosis.probabilities,
        "prediction_set": list(diagnosis.prediction_set),
        "coverage": diagnosis.coverage,
        "familiar": diagnosis.familiar,
        "familiarity": diagnosis.familiarity,
        "reasons": list(diagnosis.reasons),
        "verdict": diagnosis.verdict,
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
