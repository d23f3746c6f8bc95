"""What the page shows of a study: the curve, the slices with evidence, the header's facts."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from brain_cnn.errors import ScanError
from brain_cnn.inference.classifier import SeriesAnswer
from brain_cnn.inference.diagnosis import UNFAMILIAR
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import LABELS
from brain_cnn.scan import ScanFacts
from brain_cnn.scan.modality import modality_words

# What the labels are called inside a sentence.
SHORT_NAMES = {
    "glioma": "glioma",
    "meningioma": "meningioma",
    "notumor": "none of these tumours",
    "pituitary": "pituitary tumour",
}

# The curve's canvas; the picture is stretched to the width of the page.
_WIDTH, _HEIGHT = 600.0, 160.0


def study_view(study: StudyDiagnosis) -> dict[str, Any]:
    """Return what `study.html` needs beside the view of its main slice."""
    view: dict[str, Any] = {
        "slice_count": len(study.slices),
        "familiar_count": study.familiar_count,
        "strongest": study.strongest + 1,  # people count from 1
        "rule": study.rule,
    }
    if study.verdict == UNFAMILIAR:
        return view
    return view | {
        "evidence_ranges": ranges(study.evidence_slices),
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


def ranges(places: tuple[int, ...]) -> str:
    """Return slice numbers from 1 as people write them: "12–19, 23"."""
    parts = []
    for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        numbers = [place + 1 for _, place in run]
        first, last = numbers[0], numbers[-1]
        parts.append(str(first) if first == last else f"{first}–{last}")
    return ", ".join(parts)


def fact_words(facts: ScanFacts) -> list[tuple[str, str]]:
    """Return what the header says, as pairs of a name and a value."""
    words = []
    if facts.modality:
        words.append(
            ("Kind", modality_words(facts.modality).removeprefix("an ").removeprefix("a "))
        )
    if facts.weighting:
        words.append(("Weighting (a guess)", facts.weighting))
    if facts.plane:
        words.append(("Plane", facts.plane + (", oblique" if facts.oblique else "")))
    if facts.slice_thickness_mm:
        words.append(("Slice thickness", f"{facts.slice_thickness_mm:.3g} mm"))
    return words


def series_line(answer: SeriesAnswer, shown: bool) -> dict[str, Any]:
    """Return a line about a series of the upload; `shown`: the page is about it."""
    scan = answer.series.scan
    what = ", ".join(value for _, value in fact_words(scan.facts)[:3])
    line: dict[str, Any] = {
        "slices": len(scan.slices),
        "what": what or scan.format,
        "shown": shown,
        "judged": not isinstance(answer.study, ScanError),
    }
    if isinstance(answer.study, ScanError):
        return line | {"verdict": answer.study.message}
    if answer.study.verdict == UNFAMILIAR:
        return line | {"verdict": "refused: not like the brain MRI that this model knows"}
    names = " or ".join(SHORT_NAMES[label] for label in answer.study.prediction_set)
    return line | {"verdict": f"{answer.study.verdict}: {names}"}
