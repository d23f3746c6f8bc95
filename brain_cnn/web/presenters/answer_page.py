"""The page of an answer: the main series, the curve of a study, and a list of all series."""

from __future__ import annotations

from typing import Any

from flask import render_template

from brain_cnn.errors import ScanError
from brain_cnn.inference.answer import Answer, MainAnswer, SeriesAnswer
from brain_cnn.inference.diagnosis import UNFAMILIAR
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import LABELS
from brain_cnn.render import words
from brain_cnn.render.location import evidence_place
from brain_cnn.render.overlay import overlay, png_data_uri, view_pixels
from brain_cnn.web.presenters.class_error import class_error
from brain_cnn.web.presenters.page import form_view
from brain_cnn.web.presenters.study_view import study_view


def answer_html(answer: Answer, main: MainAnswer, *, viewer: bool = False) -> str:
    """Return the page of the one slice, or of the main series and a list of all.

    Args:
        answer: to the upload.
        main: the series that the page is about.
        viewer: only what stands inside the page, with a canvas in the place of the pictures.
    """
    study = main.study
    view = form_view() | {
        "viewer": viewer,
        "facts": words.fact_words(main.answer.series.scan.facts),
        "forced_words": words.FORCED if study.forced else "",
        "series": [_series_line(one, one is main.answer) for one in answer.series],
        "unread": [error.message for error in answer.problems.values()],
        "slice_count": len(study.slices),
    }
    if len(study.slices) > 1:
        view |= study_view(study)
    view |= _prediction_view(study) | _picture_view(study, viewer=viewer)
    return render_template("_answer.html" if viewer else "answer.html", **view)


def _prediction_view(study: StudyDiagnosis) -> dict[str, Any]:
    """Return the words and bars of a study, or of its only slice.

    For an unfamiliar picture or study no class is named at all.
    """
    prediction = words.prediction_of(study)
    view: dict[str, Any] = {
        "badge": words.badge(study),
        "headline": words.headline(prediction),
        "lead": words.lead(prediction),
        "verdict": prediction.verdict,
        "notes": words.note_words(study),
        "elapsed_ms": sum(sum(d.timing_ms.values()) for d in study.slices),
    }
    if prediction.verdict == UNFAMILIAR:
        failed = [check for check in study.most_telling.reasons if check["failed"]]
        return view | {"familiar": False, "failed_checks": failed}
    ranked = sorted(LABELS, key=lambda label: -prediction.probabilities[label])
    alone = len(prediction.prediction_set) == 1
    return view | {
        "familiar": True,
        "label": prediction.label,
        "class_name": words.SHORT_NAMES[prediction.label],
        "confidence": prediction.confidence,
        "probability_words": words.probability_words(prediction),
        "set_names": words.set_names(prediction),
        "coverage_words": words.coverage_words(prediction),
        "bars": [
            {
                "label": label,
                "name": words.SHORT_NAMES[label],
                "share": prediction.probabilities[label],
                "in_set": label in prediction.prediction_set,
            }
            for label in ranked
        ],
        # Several labels speak for themselves: the headline and the set name them.
        "trust_reason": prediction.verdict_reason if alone else "",
        "measured": class_error(prediction.label),
    }


def _picture_view(study: StudyDiagnosis, *, viewer: bool) -> dict[str, Any]:
    """Return the pictures of the most telling slice, absent where a `viewer` draws them."""
    prediction, shown = words.prediction_of(study), study.most_telling
    height, width = shown.pixels.shape
    view: dict[str, Any] = {
        "slice_uri": "" if viewer else png_data_uri(view_pixels(shown)),
        "size": f"{width} × {height} pixels, {shown.scan_format}",
    }
    if prediction.verdict == UNFAMILIAR:
        return view
    return view | {
        "place": evidence_place(shown, prediction.label),
        "overlay_uri": "" if viewer else png_data_uri(overlay(shown, prediction.label)),
    }


def _series_line(answer: SeriesAnswer, shown: bool) -> dict[str, Any]:
    """Return a line about a series of the upload; `shown`: the page is about it."""
    scan = answer.series.scan
    what = ", ".join(value for _, value in words.fact_words(scan.facts)[:3])
    return {
        "slices": len(scan.slices),
        "what": what or scan.format,
        "shown": shown,
        "judged": not isinstance(answer.study, ScanError),
        "verdict": words.series_verdict(answer),
    }
