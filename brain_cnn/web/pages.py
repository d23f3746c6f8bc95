"""The page: choose a slice, get the answer. Works without JavaScript."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template

from brain_cnn.diagnosis import UNFAMILIAR, Diagnosis
from brain_cnn.labels import DESCRIPTIONS, DISCLAIMER, DISPLAY_NAMES, LABELS
from brain_cnn.render.overlay import overlay, png_data_uri, view_pixels
from brain_cnn.web.security import require_same_origin
from brain_cnn.web.uploads import classifier, settings, uploaded_files

blueprint = Blueprint("pages", __name__)

# What the sets' labels are called inside a sentence.
_SHORT_NAMES = {
    "glioma": "glioma",
    "meningioma": "meningioma",
    "notumor": "none of these tumours",
    "pituitary": "pituitary tumour",
}


@blueprint.get("/")
def index() -> str:
    """The user gets a form for one slice, and what happens to it."""
    return render_template("index.html", **_common())


@blueprint.post("/")
def answer() -> Response:
    """The user gets the class, how sure it is, and where the model looked."""
    require_same_origin()
    diagnosis = classifier().classify(uploaded_files()[0])
    return make_response(render_template("answer.html", **_common(), **_view(diagnosis)))


def render_error(status: int, sentence: str, hint: str = "") -> Response:
    """Return the form again, with what went wrong above it."""
    page = render_template("error.html", **_common(), sentence=sentence, hint=hint)
    response = make_response(page, status)
    return response


def verdict_words(diagnosis: Diagnosis) -> str:
    """Return the headline of an answer; it names no class for an unfamiliar picture."""
    if diagnosis.verdict == UNFAMILIAR:
        return "Not like the brain MRI that this model knows"
    if len(diagnosis.prediction_set) == 1:
        return DISPLAY_NAMES[diagnosis.label]
    if len(diagnosis.prediction_set) == len(LABELS):
        return "Uncertain: it could be any of the four classes"
    names = [_SHORT_NAMES[label] for label in diagnosis.prediction_set]
    return f"Uncertain: {', '.join(names[:-1])} or {names[-1]}"


def percent(share: float) -> str:
    """Return a share of 1 for a person: one decimal, and never a certainty."""
    if share > 0.999:
        return "> 99.9 %"
    if share < 0.001:
        return "< 0.1 %"
    return f"{share * 100:.1f} %"


def _common() -> dict:
    limits = settings()
    bundle = classifier().bundle
    return {
        "disclaimer": DISCLAIMER,
        "max_file_mib": limits.max_file_mib,
        "max_file_bytes": limits.scan_limits.max_bytes,
        "model_name": bundle.name,
        "model_version": bundle.version,
        "model_id": bundle.sha256[:12],
    }


def _view(diagnosis: Diagnosis) -> dict:
    """Return what `answer.html` shows; for an unfamiliar picture, no class at all."""
    height, width = diagnosis.pixels.shape
    view = {
        "headline": verdict_words(diagnosis),
        "verdict": diagnosis.verdict,
        "slice_uri": png_data_uri(view_pixels(diagnosis)),
        "size": f"{width} × {height} pixels, {diagnosis.scan_format}",
        "notes": diagnosis.notes,
        "elapsed_ms": sum(diagnosis.timing_ms.values()),
    }
    if diagnosis.verdict == UNFAMILIAR:
        failed = [check for check in diagnosis.reasons if check["failed"]]
        return view | {"familiar": False, "failed_checks": failed}
    ranked = sorted(LABELS, key=lambda label: -diagnosis.probabilities[label])
    return view | {
        "familiar": True,
        "label": diagnosis.label,
        "description": DESCRIPTIONS[diagnosis.label],
        "class_name": _SHORT_NAMES[diagnosis.label],
        "confidence": diagnosis.confidence,
        "coverage": diagnosis.coverage,
        "set_names": [_SHORT_NAMES[label] for label in diagnosis.prediction_set],
        "bars": [
            {
                "label": label,
                "name": _SHORT_NAMES[label],
                "share": diagnosis.probabilities[label],
                "in_set": label in diagnosis.prediction_set,
            }
            for label in ranked
        ],
        "has_evidence": diagnosis.has_evidence(diagnosis.label),
        "overlay_uri": png_data_uri(overlay(diagnosis)),
    }
