"""What every page with the form shows, the page of an error among them."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, make_response, render_template

from brain_cnn.inference.bundle import Bundle
from brain_cnn.labels import DISCLAIMER
from brain_cnn.web.samples import SAMPLES
from brain_cnn.web.uploads import classifier, settings


def form_view() -> dict[str, Any]:
    """Return what the form, the samples and the foot of the page need."""
    limits = settings()
    bundle = classifier().bundle
    return {
        "disclaimer": DISCLAIMER,
        "max_file_mib": limits.max_file_mib,
        "max_file_bytes": limits.scan_limits.max_bytes,
        "max_request_mib": limits.max_request_mib,
        "max_request_bytes": limits.max_request_bytes,
        "max_files": limits.max_files,
        "model_name": bundle.name,
        "model_version": bundle.version,
        "model_id": bundle.sha256[:12],
        "train_count": _train_count(bundle),
        "samples": SAMPLES,
        "has_report": "report.page_report" in current_app.view_functions,
    }


def render_error(status: int, sentence: str, hint: str = "") -> Response:
    """Return the form again, with what went wrong above it."""
    page = render_template("error.html", **form_view(), sentence=sentence, hint=hint)
    return make_response(page, status)


def _train_count(bundle: Bundle) -> int:
    """Return how many slices the model was trained on; 0 where its folder does not tell."""
    counts = bundle.info.get("data", {}).get("split_counts", {}).get("train", {})
    return sum(counts.values())
