"""What the page shows of a study: the curve, and the slices with evidence."""

from __future__ import annotations

from typing import Any

from brain_cnn.inference.diagnosis import UNFAMILIAR
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import LABELS
from brain_cnn.render.words import SHORT_NAMES, evidence_words, familiar_words

# The curve's canvas; the picture is stretched to the width of the page.
_WIDTH, _HEIGHT = 600.0, 160.0


def study_view(study: StudyDiagnosis) -> dict[str, Any]:
    """Return what `study.html` needs beside the view of its main slice."""
    view: dict[str, Any] = {
        "familiar_words": familiar_words(study),
        "strongest": study.strongest + 1,  # people count from 1
        "rule": study.rule,
    }
    if study.verdict == UNFAMILIAR:
        return view
    return view | {
        "evidence_words": evidence_words(study),
        "curves": [
            {"label": label, "name": SHORT_NAMES[label], "lines": curve(study, place)}
            for place, label in enumerate(LABELS)
        ],
        "curve_width": _WIDTH,
        "curve_height": _HEIGHT,
        "strongest_x": _x(study.strongest, len(study.slices)),
        "rows": [
            {
                "number": d.slice_index + 1,
                "verdict": d.verdict,
                "shares": [d.probabilities[label] for label in LABELS] if d.familiar else None,
            }
            for d in study.slices
        ],
        "column_names": [SHORT_NAMES[label] for label in LABELS],
    }


def curve(study: StudyDiagnosis, label: int) -> list[str]:
    """Return the points of one class's smoothed curve, a string for each unbroken piece."""
    pieces: list[list[str]] = [[]]
    for place, share in enumerate(study.evidence[:, label]):
        if share >= 0:  # NaN, where too few neighbours are familiar, is not
            x, y = _x(place, len(study.slices)), (1.0 - share) * _HEIGHT
            pieces[-1].append(f"{x:.1f},{y:.1f}")
        elif pieces[-1]:
            pieces.append([])
    return [" ".join(piece) for piece in pieces if piece]


def _x(place: int, count: int) -> float:
    return (place + 0.5) * _WIDTH / count
