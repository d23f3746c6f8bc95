"""What the command line prints of judged files: plain values, CSV, or a table for a person."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

from brain_cnn.errors import ScanError
from brain_cnn.inference.diagnosis import UNFAMILIAR
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.render.study_json import scan_json, slice_json, study_json, trust_json
from brain_cnn.scan import Scan, Slice

CSV_COLUMNS = (
    "file",
    "slice_count",
    "verdict",
    "label",
    "confidence",
    *LABELS,
    "prediction_set",
    "familiarity",
    "trust",
    "trust_limit",
    "error",
)


def as_row(path: Path, result: StudyDiagnosis | ScanError, files: int = 1) -> dict[str, Any]:
    """Return what is printed of one file or series, as plain values."""
    if isinstance(result, ScanError):
        return {"file": str(path), "error": str(result), "code": result.code}
    telling = result.most_telling
    scan = Scan(
        tuple(Slice(d.pixels) for d in result.slices),
        result.scan_format,
        result.notes,
        result.facts,
    )
    return {
        "file": str(path),
        "files": files,
        "slice_count": len(result.slices),
        "verdict": result.verdict,
        "verdict_reason": result.verdict_reason,
        "label": result.label,
        "confidence": result.confidence,
        "probabilities": result.probabilities,
        "prediction_set": list(result.prediction_set),
        "coverage": result.coverage,
        "familiar": result.familiar,
        "familiarity": telling.familiarity,
        "reasons": list(telling.reasons),
        **trust_json(result),
        "forced": result.forced,
        "scan": scan_json(scan),
        "study": study_json(result) if len(result.slices) > 1 else None,
        "slices": [slice_json(d, result) for d in result.slices],
    }


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
        elif row["verdict"] == UNFAMILIAR:
            failed = [check["sentence"] for check in row["reasons"] if check["failed"]]
            why = " ".join(failed) or "Too few neighbouring slices are like those of the training."
            print(f"{name}  unfamiliar  {why}")
        else:
            shares = "  ".join(f"{row['probabilities'][n]:{len(n)}.3f}" for n in LABELS)
            many = f"  {row['slice_count']} slices" if row["slice_count"] > 1 else ""
            print(f"{name}  {row['verdict']:<10}  {row['label']:<10}  {shares}{many}")
    print(DISCLAIMER)
