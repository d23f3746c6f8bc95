"""The one-page PDF: `POST /report` for the page's form, `POST /api/v1/report` for programs."""

from __future__ import annotations

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from brain_cnn.inference.answer import check_slice_index
from brain_cnn.web.answer import answer_upload
from brain_cnn.web.presenters.report_content import report_content
from brain_cnn.web.runtime.queue import engine_slot
from brain_cnn.web.security import require_same_origin
from brain_cnn.web.uploads import read_upload, series_index, slice_index

blueprint = Blueprint("report", __name__)

FILE_NAME = "brain-cnn-report.pdf"


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

    upload = read_upload()
    place, wanted, paper = slice_index(), series_index(), _paper()
    with engine_slot():
        answer, study = answer_upload(upload).main(wanted)
        if place is not None:
            check_slice_index(place, len(study.slices))
        pdf = draw_report(report_content(answer, study, place), paper)
    return Response(
        pdf,
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{FILE_NAME}"'},
    )


def _paper() -> str:
    from brain_cnn.render.report import PAPERS

    paper = request.form.get("paper", "a4").lower()
    if paper not in PAPERS:
        raise BadRequest(f"paper is {paper[:40]!r}; it must be one of {', '.join(PAPERS)}.")
    return paper
