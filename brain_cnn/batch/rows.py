"""What is written of a file: one row of plain values, and on request one for each slice."""

from __future__ import annotations

from typing import Any

from brain_cnn.batch.walk import Item
from brain_cnn.errors import ScanError
from brain_cnn.inference.bundle import Bundle
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DISCLAIMER
from brain_cnn.render.fields import Columns, cells, columns, record
from brain_cnn.render.words import prediction_of

Row = dict[str, Any]

# Of the study where a file has several slices; the table of slices has each of them.
_FORMAT = record("format")
_PREDICTION = record(
    "verdict", "label", "confidence", "probabilities", "prediction_set", "coverage",
    "familiarity", "reasons", "trust", "trust_limit",
)  # fmt: skip
_STUDY = record(
    "strongest_slice", "familiar_slices", "modality", "weighting", "plane", "forced", "notes"
)
_SLICE = record(
    "slice_index", "position_mm", "verdict", "label", "confidence", "probabilities",
    "prediction_set", "familiarity", "reasons", "trust", "trust_limit",
)  # fmt: skip
_PATH = ("text", "the file, relative to the root; a member of a ZIP below the ZIP's name")
_DISCLAIMER = ("text", "what the numbers are not for")

COLUMNS: Columns = {
    "path": _PATH,
    **columns(_FORMAT),
    "slices": ("whole", "how many slices it holds"),
    **columns(_PREDICTION + _STUDY),
    "error_code": ("text", "why there is no answer, for programs; empty where there is one"),
    "error": ("text", "the same in a sentence"),
    "model": ("text", "name and version of the model"),
    "disclaimer": _DISCLAIMER,
}
"""Columns of the table of files, in order."""

SLICE_COLUMNS: Columns = {"path": _PATH, **columns(_SLICE), "disclaimer": _DISCLAIMER}
"""Columns of the table of slices."""


def row_of(item: Item, result: StudyDiagnosis | ScanError, bundle: Bundle) -> Row:
    """Return the row of a file; what does not apply is None."""
    row: Row = dict.fromkeys(COLUMNS)
    row |= {
        "path": item.path,
        "model": f"{bundle.name} {bundle.version}",
        "disclaimer": DISCLAIMER,
    }
    if isinstance(result, ScanError):
        return row | {"error_code": result.code, "error": str(result)}
    row |= {"slices": len(result.slices)}
    row |= cells(_PREDICTION, prediction_of(result), result)
    return row | cells(_FORMAT + _STUDY, result, result)


def slice_rows(item: Item, result: StudyDiagnosis | ScanError) -> list[Row]:
    """Return a row for each slice of a file; none where there is no answer."""
    if isinstance(result, ScanError):
        return []
    always = {"path": item.path, "disclaimer": DISCLAIMER}
    return [always | cells(_SLICE, one, result) for one in result.slices]
