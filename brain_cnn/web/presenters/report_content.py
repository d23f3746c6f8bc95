"""What the one-page PDF says of a study, or of its one slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain_cnn.inference.answer import SeriesAnswer
from brain_cnn.inference.diagnosis import UNFAMILIAR, Diagnosis, Prediction
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import LABELS
from brain_cnn.ood.gate import Check
from brain_cnn.render import words
from brain_cnn.render.overlay import overlay, view_pixels
from brain_cnn.render.words import SHORT_NAMES, percent
from brain_cnn.web.presenters.measured import LIMITS, model_facts

if TYPE_CHECKING:
    from brain_cnn.render.report import Curve, ProbabilityRow, ReportContent

# Longest side of the pictures: sharp on paper, and a small file.
_PICTURE_SIDE = 512


def report_content(
    answer: SeriesAnswer, study: StudyDiagnosis, place: int | None = None
) -> ReportContent:
    """Return what the report says of a study, or of its one slice.

    Args:
        answer, study: the answer for the series.
        place: the slice that is shown; None: the most telling one.
    """
    # Imported where it is needed, as the readers are: most answers want no PDF.
    from brain_cnn.render.report import ReportContent

    shown = study.most_telling if place is None else study.slices[place]
    many = len(study.slices) > 1
    prediction = words.prediction_of(study)
    named = prediction.verdict != UNFAMILIAR
    # Where the slice itself is refused, its picture names no class either.
    mapped = named and shown.familiar
    which = f"Slice {shown.slice_index + 1} of {len(study.slices)}" if many else "The slice"
    if many and place is None:
        which += ", the most telling" if named else ""
    return ReportContent(
        badge=words.badge(study),
        headline=words.headline(prediction),
        sentences=tuple(_sentences(prediction, study, shown)),
        slice_pixels=view_pixels(shown, _PICTURE_SIDE),
        slice_words=f"{which}, as it was judged.",
        overlay_pixels=overlay(shown, prediction.label, _PICTURE_SIDE) if mapped else None,
        overlay_words=_overlay_words(shown, prediction.label) if mapped else "",
        columns=("Study", "This slice") if many and mapped else ("Probability",),
        rows=tuple(_rows(prediction, shown if many and mapped else None)) if named else (),
        checks=tuple(_check(check) for check in shown.reasons),
        curve=_curve(study, shown) if many and named else None,
        scan=tuple(_scan_facts(answer, study, shown)),
        model=tuple(model_facts(prediction.label if named else None)),
        limits=LIMITS,
    )


def _sentences(prediction: Prediction, study: StudyDiagnosis, shown: Diagnosis) -> list[str]:
    many = len(study.slices) > 1
    sentences = [words.lead(prediction)]
    if prediction.verdict == UNFAMILIAR:
        sentences += [words.familiar_words(study)] if many else []
    else:
        sentences += [
            f"{percent(prediction.confidence)} {words.probability_words(prediction)}.",
            f"Prediction set: {words.set_names(prediction)}. {words.coverage_words(prediction)}",
            prediction.verdict_reason,
        ]
        if many:
            sentences.append(f"{words.evidence_words(study)} {words.familiar_words(study)}")
        if many and not shown.familiar:
            sentences.append("The slice that is shown is not like those; it is not judged alone.")
    return [*sentences, *words.note_words(study), *([words.FORCED] if study.forced else [])]


def _rows(prediction: Prediction, alone: Diagnosis | None) -> list[ProbabilityRow]:
    """Return a row for each class, likeliest first; `alone` adds the cell of the slice."""
    from brain_cnn.render.report import ProbabilityRow

    rows = []
    for label in sorted(LABELS, key=lambda label: -prediction.probabilities[label]):
        share = prediction.probabilities[label]
        cells = [percent(share)]
        if alone is not None:
            cells.append(percent(alone.probabilities[label]))
        in_set = label in prediction.prediction_set
        rows.append(ProbabilityRow(SHORT_NAMES[label], share, tuple(cells), in_set))
    return rows


def _curve(study: StudyDiagnosis, shown: Diagnosis) -> Curve:
    from brain_cnn.render.report import Curve

    names = tuple(SHORT_NAMES[label] for label in LABELS)
    return Curve(names, study.evidence, shown.slice_index)


def _check(check: Check) -> tuple[str, str, str, str]:
    return (
        check.sentence,
        _number(check.value),
        _number(check.limit),
        "failed" if check.failed else "passed",
    )


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
    return facts + words.fact_words(answer.series.scan.facts)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
