"""An answer as one CSV: a row for each slice of each file, and one for each error.

Files are numbered in the order of the upload; their names are not known here. No cell can be
taken for a formula by a spreadsheet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from brain_cnn.errors import ScanError
from brain_cnn.inference.answer import SeriesAnswer
from brain_cnn.inference.bundle import Bundle
from brain_cnn.labels import DISCLAIMER
from brain_cnn.render.fields import cells, columns, record

_SLICE = record(
    "slice_index", "slice_count", "position_mm", "verdict", "label", "confidence",
    "probabilities", "prediction_set", "coverage", "familiar", "familiarity", "reasons", "trust",
    "trust_limit",
)  # fmt: skip
_STUDY = record("verdict", "label", "confidence", "probabilities", "trust")
# Later than the others, and after them: who reads a table by its places goes on doing so.
_SLICE_WORDS = record("headline", "verdict_reason")
_STUDY_WORDS = record("prediction_set", "coverage", "headline", "verdict_reason")
_PREFIX, _ABOUT = "study_", "of the whole series, empty where it has one slice: "

COLUMNS: dict[str, str] = {
    "file": "place of the file in the upload, from 0",
    "series": "place of the series among those that were found, from 0",
    **{name: meaning for name, (_, meaning) in columns(_SLICE).items()},
    **{name: meaning for name, (_, meaning) in columns(_STUDY, _PREFIX, _ABOUT).items()},
    **{name: meaning for name, (_, meaning) in columns(record("format")).items()},
    "error": "why there is no answer; the other columns are then empty",
    "model": "name and version",
    "model_sha256": "of the network's file",
    "disclaimer": "what the numbers are not for",
    **{name: meaning for name, (_, meaning) in columns(_SLICE_WORDS).items()},
    **{name: meaning for name, (_, meaning) in columns(_STUDY_WORDS, _PREFIX, _ABOUT).items()},
}
"""Name and meaning of each column, in order."""

# A spreadsheet takes a cell that starts like this for a formula, or drops the character.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def csv_table(
    answers: Sequence[SeriesAnswer], problems: Mapping[int, ScanError], bundle: Bundle
) -> str:
    """Return the table, with a line of heads; lines end as RFC 4180 says.

    Args:
        answers, problems: the two halves of an `Answer`.
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
        study = answer.study
        if isinstance(study, ScanError):
            kind = answer.series.scan.format
            for file in sorted(answer.series.files):
                yield {"file": file, "series": number, "format": kind, "error": _why(study)}
            continue
        of_study = cells(record("format"), study, study)
        if len(study.slices) > 1:
            of_study |= cells(_STUDY + _STUDY_WORDS, study, study, _PREFIX)
        for diagnosis, file in zip(study.slices, answer.series.sources, strict=True):
            own = cells(_SLICE + _SLICE_WORDS, diagnosis, study)
            yield {"file": file, "series": number, **own, **of_study}


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
