"""The page: choose a slice, get the answer. Works without JavaScript."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, make_response, render_template

from brain_cnn.errors import ScanError
from brain_cnn.inference.bundle import Bundle
from brain_cnn.inference.classifier import SeriesAnswer
from brain_cnn.inference.diagnosis import CONFIDENT, UNFAMILIAR, Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DESCRIPTIONS, DISCLAIMER, DISPLAY_NAMES, LABELS
from brain_cnn.render.location import evidence_place
from brain_cnn.render.overlay import overlay, png_data_uri, view_pixels
from brain_cnn.web.presenters.class_error import class_error
from brain_cnn.web.presenters.study_view import SHORT_NAMES, fact_words, series_line, study_view
from brain_cnn.web.security import require_same_origin
from brain_cnn.web.selection import main_answer, series_index
from brain_cnn.web.uploads import classifier, reading_options, settings, uploaded_files
from brain_cnn.web.views.samples import SAMPLES

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def index() -> str:
    """The user gets a form for one slice, and what happens to it."""
    return render_template("index.html", **_common())


@blueprint.post("/")
def answer() -> Response:
    """The user gets the class, how sure it is, and where the model looked."""
    require_same_origin()
    files, options, wanted = uploaded_files(), reading_options(), series_index()
    answers, problems = classifier().classify_together(files, **options)
    return make_response(answer_html(answers, problems, wanted))


def answer_html(
    answers: list[SeriesAnswer],
    problems: dict[int, ScanError],
    wanted: int | None = None,
    *,
    viewer: bool = False,
) -> str:
    """Return the page of the one slice, or of the main series and a list of all.

    Args:
        answers, problems: of `Classifier.classify_together`.
        wanted: the series that the page is about, from 0; None: the one with the most slices.
        viewer: only what stands inside the page, with a canvas in the place of the pictures.

    Raises:
        ScanError: there is no answer for any of the files.
    """
    main, study = main_answer(answers, problems, wanted)
    view = _common() | {
        "viewer": viewer,
        "facts": fact_words(main.series.scan.facts),
        "forced": study.forced,
        "series": [series_line(answer, answer is main) for answer in answers],
        "unread": [error.message for error in problems.values()],
        "slice_count": len(study.slices),
    }
    if len(study.slices) == 1:
        view |= _view(study.most_telling, viewer=viewer)
    else:
        view |= study_view(study) | _view(study.most_telling, study, viewer=viewer)
    return render_template("_answer.html" if viewer else "answer.html", **view)


def render_error(status: int, sentence: str, hint: str = "") -> Response:
    """Return the form again, with what went wrong above it."""
    page = render_template("error.html", **_common(), sentence=sentence, hint=hint)
    response = make_response(page, status)
    return response


def verdict_words(diagnosis: Diagnosis | StudyDiagnosis) -> str:
    """Return the headline of an answer; it names no class for an unfamiliar picture."""
    if diagnosis.verdict == UNFAMILIAR:
        return "Not like the brain MRI that this model knows"
    if diagnosis.verdict == CONFIDENT:
        return DISPLAY_NAMES[diagnosis.label]
    if len(diagnosis.prediction_set) == len(LABELS):
        return "Uncertain: it could be any of the four classes"
    names = [SHORT_NAMES[label] for label in diagnosis.prediction_set]
    if len(names) == 1:
        return f"Uncertain: perhaps {names[0]}"
    return f"Uncertain: {', '.join(names[:-1])} or {names[-1]}"


def percent(share: float) -> str:
    """Return a share of 1 for a person: one decimal, and never a certainty."""
    if share > 0.999:
        return "> 99.9 %"
    if share < 0.001:
        return "< 0.1 %"
    return f"{share * 100:.1f} %"


def _train_count(bundle: Bundle) -> int:
    """Return how many slices the model was trained on; 0 where its folder does not tell."""
    counts = bundle.info.get("data", {}).get("split_counts", {}).get("train", {})
    return sum(counts.values())


def _common() -> dict[str, Any]:
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


def _view(
    diagnosis: Diagnosis, study: StudyDiagnosis | None = None, *, viewer: bool = False
) -> dict[str, Any]:
    """Return what `_answer.html` shows of a slice, or of a study and its main slice.

    The words and bars are those of the study where there is one; the pictures are the
    slice's, and absent where a `viewer` draws them. For an unfamiliar picture or study no
    class is named at all.
    """
    said: Diagnosis | StudyDiagnosis = study or diagnosis
    height, width = diagnosis.pixels.shape
    view: dict[str, Any] = {
        "headline": verdict_words(said),
        "verdict": said.verdict,
        "slice_uri": "" if viewer else png_data_uri(view_pixels(diagnosis)),
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
        # Several labels speak for themselves: the headline and the set name them.
        "trust_reason": said.verdict_reason if len(said.prediction_set) == 1 else "",
        "place": evidence_place(diagnosis, said.label),
        "overlay_uri": "" if viewer else png_data_uri(overlay(diagnosis, said.label)),
        "measured": class_error(said.label),
    }
