"""Many answers as one CSV: a row for each slice of each file, and one for each error.

Files are numbered in the order of the upload; their names are not known here. No cell can be
taken for a formula by a spreadsheet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from brain_cnn.errors import ScanError
from brain_cnn.inference.bundle import Bundle
from brain_cnn.inference.classifier import SeriesAnswer
from brain_cnn.inference.diagnosis import Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.render.study_json import trust_json

COLUMNS: dict[str, str] = {
    "file": "place of the file in the upload, from 0",
    "series": "place of the series among those that were found, from 0",
    "slice_index": "place of the slice in its series, from 0",
    "slice_count": "slices of the series",
    "position_mm": "place along the normal of the series; empty where it is not known",
    "verdict": "of the slice: confident, uncertain or unfamiliar",
    "label": "the likeliest class of the slice; a guess where the verdict is unfamiliar",
    "confidence": "its calibrated probability, 0 to 1",
    **{f"p_{label}": f"calibrated probability of {label}, 0 to 1" for label in LABELS},
    "prediction_set": "classes that come into question, likeliest first, with + between them",
    "coverage": "the promise of the prediction set, for example 0.95",
    "familiar": "yes or no: is the slice like those that the model knows",
    "familiarity": "0 to 1, higher is more like them",
    "failed_checks": "checks of familiarity that failed, with + between them",
    "trust": "0 to 1, whether the label would hold on another scanner, by the model's own "
    "estimate; empty where it has none",
    "trust_limit": "trust that confident needs; a single class with less is uncertain",
    "study_verdict": "of the whole series; empty where it has one slice",
    "study_label": "the likeliest class of the series; a guess where its verdict is unfamiliar",
    "study_confidence": "its probability, 0 to 1",
    **{f"study_p_{label}": f"probability of {label} for the series" for label in LABELS},
    "study_trust": "trust of the series, as of a slice; its limit is trust_limit",
    "format": "what the content of the file is",
    "error": "why there is no answer; the other columns are then empty",
    "model": "name and version",
    "model_sha256": "of the network's file",
    "disclaimer": "what the numbers are not for",
}
"""Name and meaning of each column, in order."""

# A spreadsheet takes a cell that starts like this for a formula, or drops the character.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def csv_table(
    answers: Sequence[SeriesAnswer], problems: Mapping[int, ScanError], bundle: Bundle
) -> str:
    """Return the table, with a line of heads; lines end as RFC 4180 says.

    Args:
        answers, problems: what `Classifier.classify_together` returned.
        bundle: the model that answered.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), restval="", lineterminator="\r\n")
    writer.writeheader()
    always = {
        "model": f"{bundle.name} {bundle.version}",
        "model_sha256": bundle.sha256,
        "disclaimer": DISCLAIMER,
    }
    rows = [*_rows(answers), *({"file": p, "error": _why(e)} for p, e in problems.items())]
    rows.sort(key=lambda row: (row["file"], row.get("series", -1), row.get("slice_index", -1)))
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in (row | always).items()})
    return text.getvalue()


def _rows(answers: Sequence[SeriesAnswer]) -> Iterator[dict[str, Any]]:
    for number, answer in enumerate(answers):
        study, scan = answer.study, answer.series.scan
        if isinstance(study, ScanError):
            for file in sorted(set(answer.series.sources)):
                yield {"file": file, "series": number, "format": scan.format, "error": _why(study)}
            continue
        of_study = _study_cells(study) if len(study.slices) > 1 else {}
        for diagnosis, file in zip(study.slices, answer.series.sources, strict=True):
            yield {
                "file": file,
                "series": number,
                "position_mm": study.positions_mm[diagnosis.slice_index],
                "format": scan.format,
                **_slice_cells(diagnosis),
                **of_study,
            }


def _slice_cells(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "slice_index": diagnosis.slice_index,
        "slice_count": diagnosis.slice_count,
        "verdict": diagnosis.verdict,
        "label": diagnosis.label,
        "confidence": diagnosis.confidence,
        **{f"p_{label}": diagnosis.probabilities[label] for label in LABELS},
        "prediction_set": "+".join(diagnosis.prediction_set),
        "coverage": diagnosis.coverage,
        "familiar": diagnosis.familiar,
        "familiarity": diagnosis.familiarity,
        "failed_checks": "+".join(c["check"] for c in diagnosis.reasons if c["failed"]),
        **trust_json(diagnosis),
    }


def _study_cells(study: StudyDiagnosis) -> dict[str, Any]:
    return {
        "study_verdict": study.verdict,
        "study_label": study.label,
        "study_confidence": study.confidence,
        **{f"study_p_{label}": study.probabilities[label] for label in LABELS},
        "study_trust": trust_json(study)["trust"],
    }


def _why(error: ScanError) -> str:
    return f"{error.code}: {error.message}"


def _cell(value: Any) -> str:
    """Return a value as text that a spreadsheet shows as it is."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return repr(value)  # all digits: the table equals the JSON
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
