"""`GET /model`: the model card as a person can read it, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, render_template
from werkzeug.exceptions import NotFound

from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.published import PUBLISHED
from brain_cnn.render.words import SHORT_NAMES
from brain_cnn.web.presenters import model_results, model_trust
from brain_cnn.web.presenters.measured import LIMITS, measured, part
from brain_cnn.web.presenters.model_section import Cell, Metrics, Section, Table
from brain_cnn.web.uploads import classifier

blueprint = Blueprint("model", __name__)

SECTIONS: tuple[tuple[str, Callable[[Metrics], Section | None]], ...] = (
    ("Four numbers side by side", model_results.four_numbers),
    ("Class by class", model_results.classes),
    ("What is called what", model_results.confusion),
    ("How sure, and how rightly", model_trust.sureness),
    ("What it refuses", model_trust.refusal),
    ("Other scanners and weightings", model_trust.elsewhere),
    ("Damaged slices", model_trust.corrupted),
    ("Whether the heatmap tells the truth", model_trust.heatmap),
    ("What the file alone betrays", model_trust.shortcuts),
)
"""In the order of the page; the title says what is missing where a function returns None."""

FIGURES: dict[str, str] = {
    "protocol_ours_precision_recall": "Precision against recall of each class, protocol test",
    "protocol_ours_roc": "ROC curve of each class, protocol test",
    "protocol_ours_confusion": "Confusion matrix of the protocol test, as in the table above",
    "reliability_ours": "Confidence against how often it is right, protocol test",
    "selective_protocol": "Accuracy against the share of slices that are answered, protocol test",
    "selective_external": "Accuracy against the share of slices that are answered, other scanners",
    "corrupted": "Accuracy against the severity of each kind of damage",
    "deletion_insertion": "Probability while the hottest places are taken away, and brought back",
    "protocol_ours_accuracy_loss": "Accuracy and loss of each epoch of the training",
}
"""Stem -> what it shows. No other file of the folder is served."""

SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""For a figure alone: Matplotlib writes its styles into it; no script may run."""


@blueprint.get("/model")
def model_page() -> str:
    """The user reads how often the model is right, where it fails, and what it is made of."""
    metrics, bundle = measured(), classifier().bundle
    sections = [(title, make(metrics)) for title, make in SECTIONS]
    return render_template(
        "model.html",
        disclaimer=DISCLAIMER,
        model_name=bundle.name,
        model_version=bundle.version,
        model_id=bundle.sha256[:12],
        sha256=bundle.sha256,
        created=bundle.info.get("created"),
        parameters=part(metrics, "protocol", "ours", "parameters"),
        input_size=bundle.input_size,
        sections=[section for _, section in sections if section is not None],
        missing=[title for title, section in sections if section is None],
        published=PUBLISHED,
        figures={stem: words for stem, words in FIGURES.items() if _figure(stem).is_file()},
        limits=LIMITS,
        slices=_training_table(bundle.info),
        release=part(bundle.info, "data", "release_words"),
        versions=part(bundle.info, "versions") or {},
    )


@blueprint.get("/model/figures/<stem>.svg")
def figure(stem: str) -> Response:
    """The user sees one of `FIGURES`."""
    if stem not in FIGURES:
        raise NotFound(f"There is no figure {stem[:40]!r}.")
    try:
        data = _figure(stem).read_bytes()
    except OSError:
        raise NotFound(f"The figure {stem!r} does not come with this model.") from None
    return Response(
        data, content_type="image/svg+xml", headers={"Content-Security-Policy": SVG_POLICY}
    )


def _figure(stem: str) -> Path:
    return classifier().bundle.path / "figures" / f"{stem}.svg"


def _training_table(info: dict[str, Any]) -> Table | None:
    """Return how many slices of each class there were to train, choose and test."""
    counts = part(info, "data", "split_counts")
    names = {"train": "to train", "val": "to choose", "test": "to test"}
    if not isinstance(counts, dict) or not all(name in counts for name in names):
        return None
    rows = tuple(
        (SHORT_NAMES[label], tuple(Cell(str(counts[name].get(label, 0))) for name in names))
        for label in LABELS
    )
    total = tuple(Cell(str(sum(counts[name].values()))) for name in names)
    return Table(
        "Distinct slices, no patient in two columns",
        ("Class", *names.values()),
        (*rows, ("all", total)),
    )
