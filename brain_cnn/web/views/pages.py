"""The page: choose a slice, get the answer. Works without JavaScript."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template

from brain_cnn.web.answer import answer_upload
from brain_cnn.web.presenters.answer_page import answer_html
from brain_cnn.web.presenters.page import form_view
from brain_cnn.web.security import require_same_origin
from brain_cnn.web.uploads import read_upload, series_index

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def index() -> str:
    """The user gets a form for one slice, and what happens to it."""
    return render_template("index.html", **form_view())


@blueprint.post("/")
def answer() -> Response:
    """The user gets the class, how sure it is, and where the model looked."""
    require_same_origin()
    upload, wanted = read_upload(), series_index()
    judged = answer_upload(upload)
    return make_response(answer_html(judged, judged.main(wanted)))
