"""The page: choose a slice, get the answer. Works without JavaScript."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, render_template, request

from brain_cnn.classifier import Progress
from brain_cnn.diagnosis import UNFAMILIAR, Diagnosis
from brain_cnn.errors import ScanError
from brain_cnn.labels import DESCRIPTIONS, DISCLAIMER, DISPLAY_NAMES, LABELS
from brain_cnn.render.overlay import overlay, png_data_uri, view_pixels
from brain_cnn.study import StudyDiagnosis
from brain_cnn.web.progress import stream_progress
from brain_cnn.web.security import require_same_origin
from brain_cnn.web.study_view import SHORT_NAMES, fact_words, other_series, study_view
from brain_cnn.web.uploads import classifier, reading_options, settings, uploaded_files

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def index() -> str:
    """The user gets a form for one slice, and what happens to it."""
    return render_template("index.html", **_common())


@blueprint.post("/")
def answer() -> Response:
    """The user gets the class, how sure it is, and where the model looked.

    With `?progress=1` (the page's script asks so) the answer is a stream of JSON lines: how
    many slices are judged, and at last the page.
    """
    require_same_origin()
    files, options = uploaded_files(), reading_options()
    if request.args.get("progress") == "1":
        return stream_progress(lambda report: _answer_page(files, options, report))
    return make_response(_answer_page(files, options, None))


def _answer_page(files: list[bytes], options: dict[str, Any], progress: Progress | None) -> str:
    """Return the page of the one slice, or of the main series and a list of the others.

    Raises:
        ScanError: there is no answer for any of the files.
    """
    answers, problems = classifier().classify_together(files, progress=progress, **options)
    judged = [answer for answer in answers if isinstance(answer.study, StudyDiagnosis)]
    if not judged:
        refused = [a.study for a in answers if isinstance(a.study, ScanError)]
        raise [*problems.values(), *refused][0]
    main = max(judged, key=lambda answer: len(answer.series.scan.slices))
    study = main.study
    assert isinstance(study, StudyDiagnosis)
    view = _common() | {
        "facts": fact_words(main.series.scan.facts),
        "forced": study.forced,
        "others": [other_series(answer) for answer in answers if answer is not main],
        "unread": [error.message for error in problems.values()],
    }
    if len(study.slices) == 1:
        return render_template("answer.html", **view, **_view(study.most_telling))
    return render_template(
        "study.html", **view, **study_view(study), **_view(study.most_telling, study)
    )


def render_error(status: int, sentence: str, hint: str = "") -> Response:
    """Return the form again, with what went wrong above it."""
    page = render_template("error.html", **_common(), sentence=sentence, hint=hint)
    response = make_response(page, status)
    return response


def verdict_words(diagnosis: Diagnosis | StudyDiagnosis) -> str:
    """Return the headline of an answer; it names no class for an unfamiliar picture."""
    if diagnosis.verdict == UNFAMILIAR:
        return "Not like the brain MRI that this model knows"
    if len(diagnosis.prediction_set) == 1:
        return DISPLAY_NAMES[diagnosis.label]
    if len(diagnosis.prediction_set) == len(LABELS):
        return "Uncertain: it could be any of the four classes"
    names = [SHORT_NAMES[label] for label in diagnosis.prediction_set]
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
        "max_request_mib": limits.max_request_mib,
        "max_request_bytes": limits.max_request_bytes,
        "max_files": limits.max_files,
        "model_name": bundle.name,
        "model_version": bundle.version,
        "model_id": bundle.sha256[:12],
    }


def _view(diagnosis: Diagnosis, study: StudyDiagnosis | None = None) -> dict:
    """Return what `answer.html` shows of a slice, or `study.html` of a study's main slice.

    The words and bars are those of the study where there is one; the pictures are the
    slice's. For an unfamiliar picture or study no class is named at all.
    """
    said: Diagnosis | StudyDiagnosis = study or diagnosis
    height, width = diagnosis.pixels.shape
    view = {
        "headline": verdict_words(said),
        "verdict": said.verdict,
        "slice_uri": png_data_uri(view_pixels(diagnosis)),
        "size": f"{width} × {height} pixels, {diagnosis.scan_format}",
        "notes": said.notes,
        "elapsed_ms": sum(diagnosis.timing_ms.values()) * (len(study.slices) if study else 1),
    }
    if said.verdict == UNFAMILIAR:
        failed = [check for check in diagnosis.reasons if check["failed"]]
        return view | {"familiar": False, "failed_checks": failed}
    ranked = sorted(LABELS, key=lambda label: -said.probabilities[label])
    return view | {
        "familiar": True,
        "label": said.label,
        "description": DESCRIPTIONS[said.label],
        "class_name": SHORT_NAMES[said.label],
        "confidence": said.confidence,
        "coverage": said.coverage,
        "set_names": [SHORT_NAMES[label] for label in said.prediction_set],
        "bars": [
            {
                "label": label,
                "name": SHORT_NAMES[label],
                "share": said.probabilities[label],
                "in_set": label in said.prediction_set,
            }
            for label in ranked
        ],
        "has_evidence": diagnosis.has_evidence(said.label),
        "overlay_uri": png_data_uri(overlay(diagnosis, said.label)),
    }
