"""What the command line prints of judged files: plain values, CSV, or a table for a person."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from brain_cnn.errors import ScanError
from brain_cnn.inference.answer import SeriesAnswer
from brain_cnn.inference.diagnosis import UNFAMILIAR
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.render.answer_json import scan_json, series_json, slice_json, study_json
from brain_cnn.render.fields import PREDICTION, values
from brain_cnn.render.words import prediction_of
from brain_cnn.scan import Scan, Slice, left_out_note

CSV_COLUMNS = (
    "file", "slice_count", "verdict", "label", "confidence", *LABELS, "prediction_set",
    "familiarity", "trust", "trust_limit", "error", "coverage", "headline", "verdict_reason",
)  # fmt: skip


def as_row(
    path: Path,
    result: StudyDiagnosis | ScanError,
    files: int = 1,
    others: Sequence[SeriesAnswer] = (),
) -> dict[str, Any]:
    """Return what is printed of one file or series, as plain values.

    Args:
        path: of the file, or of the first of a series.
        result: the answer for its main series, or why there is none.
        files: how many files were judged together.
        others: the other series that they hold.
    """
    if isinstance(result, ScanError):
        return {"file": str(path), "error": str(result), "code": result.code}
    notes = (*result.notes, *([left_out_note(len(others) + 1)] if others else []))
    slices = tuple(Slice(d.pixels) for d in result.slices)
    scan = Scan(slices, result.scan_format, notes, result.facts)
    row = {
        "file": str(path),
        "files": files,
        "slice_count": len(result.slices),
        **values(PREDICTION, prediction_of(result), result),
        "forced": result.forced,
        "scan": scan_json(scan),
        "study": study_json(result) if len(result.slices) > 1 else None,
        "slices": [slice_json(d, result) for d in result.slices],
    }
    if others:
        row["other_series"] = [series_json(one) for one in others]
    return row


def write_csv(rows: list[dict[str, Any]], out: TextIO) -> None:
    """Write one line per file, columns as `CSV_COLUMNS`."""
    writer = csv.DictWriter(out, CSV_COLUMNS, restval="", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        flat = row | {label: f"{p:.6f}" for label, p in row.get("probabilities", {}).items()}
        flat["prediction_set"] = " ".join(row.get("prediction_set", []))
        writer.writerow(flat)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print one line per file, for a person; an unfamiliar picture gets no class."""
    width = max([len(row["file"]) for row in rows] + [4])
    print(f"{'file':<{width}}  {'verdict':<10}  {'class':<10}  " + "  ".join(LABELS))
    for row in rows:
        name = f"{row['file']:<{width}}"
        if "error" in row:
            print(f"{name}  not read    {row['error']}")
            continue
        count, others = row["slice_count"], len(row.get("other_series", ()))
        many = f"  {count} slices" if count > 1 else ""
        many += f"  1 of {others + 1} series" if others else ""
        if row["verdict"] == UNFAMILIAR:
            print(f"{name}  unfamiliar  {row['headline']}: {row['verdict_reason']}{many}")
        else:
            shares = "  ".join(f"{row['probabilities'][n]:{len(n)}.3f}" for n in LABELS)
            print(f"{name}  {row['verdict']:<10}  {row['label']:<10}  {shares}{many}")
    print(DISCLAIMER)
