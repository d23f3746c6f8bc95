"""The one-page PDF: `POST /report` for the page's form, `POST /api/v1/report` for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from brain_cnn.inference.classifier import SeriesAnswer
from brain_cnn.inference.diagnosis import UNFAMILIAR, Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DESCRIPTIONS, LABELS
from brain_cnn.render.overlay import overlay, view_pixels
from brain_cnn.web.presenters.measured import LIMITS, model_facts
from brain_cnn.web.presenters.study_view import SHORT_NAMES, fact_words, ranges
from brain_cnn.web.runtime.queue import engine_slot
from brain_cnn.web.security import require_same_origin
from brain_cnn.web.selection import check_slice_index, main_answer, series_index, slice_index
from brain_cnn.web.uploads import classifier, reading_options, uploaded_files
from brain_cnn.web.views.pages import percent, verdict_words

if TYPE_CHECKING:
    from brain_cnn.render.report import ProbabilityRow, ReportContent

blueprint = Blueprint("report", __name__)

FILE_NAME = "brain-cnn-report.pdf"

_BADGES = {"confident": "Confident", "uncertain": "Uncertain", UNFAMILIAR: "Refused"}
# Longest side of the pictures: sharp on paper, and a small file.
_PICTURE_SIDE = 512


@blueprint.post("/report")
def page_report() -> Response:
    """The user gets the report of what was uploaded, as a file to keep."""
    require_same_origin()
    return _report()


@blueprint.post("/api/v1/report")
def api_report() -> Response:
    """The caller gets a PDF of one page about the main series of an upload.

    Multipart form fields:
        file: the upload, one file or the files of one series, as for `/api/v1/predict`.
        slice_index: which slice is shown, from 0; the most telling one where it is left out.
        series: which series of the upload, from 0; that with the most slices if left out.
        paper: "a4" (default) or "letter".
        force, plane: as for `/api/v1/predict`.

    Answer: `application/pdf`, an attachment. No file name and nothing of a patient is in it;
    the same upload gives the same bytes.

    Errors: 400 a malformed field, 422 a slice that is not there; those of `/api/v1/predict`.
    """
    return _report()


def _report() -> Response:
    # Imported where it is needed, as the readers are: most answers want no PDF.
    from brain_cnn.render.report import draw_report

    files, options = uploaded_files(), reading_options()
    place, wanted, paper = slice_index(), series_index(), _paper()
    with engine_slot():
        answers, problems = classifier().classify_together(files, **options)
        answer, study = main_answer(answers, problems, wanted)
        if place is not None:
            check_slice_index(place, len(study.slices))
        pdf = draw_report(report_content(answer, study, place), paper)
    return Response(
        pdf,
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{FILE_NAME}"'},
    )


def report_content(
    answer: SeriesAnswer, study: StudyDiagnosis, place: int | None = None
) -> ReportContent:
    """Return what the report says of a study, or of its one slice.

    Args:
        answer, study: what was said of the series.
        place: the slice that is shown; None: the most telling one.
    """
    from brain_cnn.render.report import Curve, ReportContent

    shown = study.most_telling if place is None else study.slices[place]
    many = len(study.slices) > 1
    said: Diagnosis | StudyDiagnosis = study if many else shown
    named = said.verdict != UNFAMILIAR
    # Where the slice itself is refused, its picture names no class either.
    mapped = named and shown.familiar
    which = f"Slice {shown.slice_index + 1} of {len(study.slices)}" if many else "The slice"
    if many and place is None:
        which += ", the most telling" if named else ""
    return ReportContent(
        badge=_BADGES[said.verdict] + (f", study of {len(study.slices)} slices" if many else ""),
        headline=verdict_words(said),
        sentences=tuple(_sentences(said, study, shown)),
        slice_pixels=view_pixels(shown, _PICTURE_SIDE),
        slice_words=f"{which}, as it was judged.",
        overlay_pixels=overlay(shown, said.label, _PICTURE_SIDE) if mapped else None,
        overlay_words=_overlay_words(shown, said.label) if mapped else "",
        columns=("Study", "This slice") if many and mapped else ("Probability",),
        rows=tuple(_rows(said, shown if many and mapped else None)) if named else (),
        checks=tuple(
            (
                check["sentence"],
                _number(check["value"]),
                _number(check["limit"]),
                "failed" if check["failed"] else "passed",
            )
            for check in shown.reasons
        ),
        curve=Curve(
            tuple(SHORT_NAMES[label] for label in LABELS), study.evidence, shown.slice_index
        )
        if many and named
        else None,
        scan=tuple(_scan_facts(answer, study, shown)),
        model=tuple(model_facts(said.label if named else None)),
        limits=LIMITS,
    )


def _sentences(
    said: Diagnosis | StudyDiagnosis, study: StudyDiagnosis, shown: Diagnosis
) -> list[str]:
    many = len(study.slices) > 1
    if said.verdict == UNFAMILIAR:
        sentences = ["The model names no class, because an answer would be a guess."]
        if many:
            sentences.append(
                f"{study.familiar_count} of {len(study.slices)} slices are like those that the "
                "model knows: too few neighbours of each other."
            )
        # The study's own notes are about the classes.
        return sentences + _notes(shown.notes, study.forced)
    names = " or ".join(SHORT_NAMES[label] for label in said.prediction_set)
    sentences = [
        DESCRIPTIONS[said.label],
        f"Probability {percent(said.confidence)}. Prediction set: {names}; sets like this "
        f"hold the truth in {said.coverage * 100:.0f} % of slices like those the model was "
        "calibrated on.",
        said.verdict_reason,
    ]
    if many:
        found = ranges(study.evidence_slices)
        sentences.append(
            f"Slices that show evidence of a tumour: {found}."
            if found
            else "No slice shows evidence that rules out “none of these tumours”."
        )
        sentences[-1] += (
            f" {study.familiar_count} of {len(study.slices)} slices are like those that the "
            "model knows."
        )
        if not shown.familiar:
            sentences.append("The slice that is shown is not like those; it is not judged alone.")
    return sentences + _notes(study.notes, study.forced)


def _notes(notes: tuple[str, ...], forced: bool) -> list[str]:
    on_request = ["The header says that this is no MRI; it was judged on request."]
    return [*notes, *(on_request if forced else [])]


def _rows(said: Diagnosis | StudyDiagnosis, alone: Diagnosis | None) -> list[ProbabilityRow]:
    """Return a row for each class, likeliest first; `alone` adds the cell of the slice."""
    from brain_cnn.render.report import ProbabilityRow

    rows = []
    for label in sorted(LABELS, key=lambda label: -said.probabilities[label]):
        cells = [percent(said.probabilities[label])]
        if alone is not None:
            cells.append(percent(alone.probabilities[label]))
        rows.append(
            ProbabilityRow(
                SHORT_NAMES[label],
                said.probabilities[label],
                tuple(cells),
                label in said.prediction_set,
            )
        )
    return rows


def _overlay_words(shown: Diagnosis, label: str) -> str:
    name = SHORT_NAMES[label]
    if not shown.has_evidence(label):
        return f"No positive evidence for {name} in this slice."
    return f"Evidence for {name} (Grad-CAM): violet is weak, yellow is strong."


def _scan_facts(
    answer: SeriesAnswer, study: StudyDiagnosis, shown: Diagnosis
) -> list[tuple[str, str]]:
    height, width = shown.pixels.shape
    size = f"{width} × {height} pixels, {study.scan_format}"
    facts = [("Size", size + (f", {len(study.slices)} slices" if len(study.slices) > 1 else ""))]
    return facts + fact_words(answer.series.scan.facts)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _paper() -> str:
    from brain_cnn.render.report import PAPERS

    paper = request.form.get("paper", "a4").lower()
    if paper not in PAPERS:
        raise BadRequest(f"paper is {paper[:40]!r}; it must be one of {', '.join(PAPERS)}.")
    return paper
