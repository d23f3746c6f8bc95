"""Judge files from the command line.

    python scripts/predict.py slice.png more/                 a table
    python scripts/predict.py --json slice.png                JSON, as the HTTP API answers
    python scripts/predict.py --csv --overlays out/ folder/   CSV, and the overlays as PNG

Exit status: 0 every file was judged (a refused, unfamiliar picture is an answer too), 1 at
least one file could not be read, 2 wrong use, 3 the model cannot be loaded.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.classifier import Classifier, load_classifier
from brain_cnn.diagnosis import UNFAMILIAR, Diagnosis
from brain_cnn.engine import ENGINES
from brain_cnn.errors import BrainCnnError, ScanError
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.render.overlay import encode_png, overlay

CSV_COLUMNS = (
    "file",
    "verdict",
    "label",
    "confidence",
    *LABELS,
    "prediction_set",
    "familiarity",
    "error",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        model = load_classifier(options.model, options.engine, options.coverage)
    except BrainCnnError as error:
        print(f"predict: {error}", file=sys.stderr)
        return 3
    if options.overlays:
        options.overlays.mkdir(parents=True, exist_ok=True)
    rows = []
    failed = False
    for place, path in enumerate(find_files(options.inputs)):
        result = judge(model, path)
        failed |= not isinstance(result, Diagnosis)
        if options.overlays and isinstance(result, Diagnosis):
            # Numbered, since two folders may hold files of one name.
            target = options.overlays / f"{place:05d}_{path.stem}_{result.label}.png"
            target.write_bytes(encode_png(overlay(result)))
        rows.append(as_row(path, result))
    if options.json:
        print(json.dumps({"results": rows, "disclaimer": DISCLAIMER}, indent=2))
    elif options.csv:
        write_csv(rows, sys.stdout)
    else:
        print_table(rows)
    return 1 if failed else 0


def find_files(inputs: list[Path]) -> Iterator[Path]:
    """Yield the files named, and those in the folders named, sorted; hidden ones are left out."""
    for item in inputs:
        if not item.is_dir():
            yield item
            continue
        for path in sorted(item.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(item).parts)
            if path.is_file() and not hidden:
                yield path


def judge(model: Classifier, path: Path) -> Diagnosis | ScanError:
    """Return the diagnosis of a file, or what is wrong with it."""
    try:
        return model.classify(path.read_bytes())
    except ScanError as error:
        return error
    except OSError as error:
        return ScanError("unreadable", f"The file cannot be opened ({error.strerror}).")


def as_row(path: Path, result: Diagnosis | ScanError) -> dict[str, Any]:
    """Return what is printed of one file, as plain values."""
    if isinstance(result, ScanError):
        return {"file": str(path), "error": str(result), "code": result.code}
    return {
        "file": str(path),
        "verdict": result.verdict,
        "label": result.label,
        "confidence": result.confidence,
        "probabilities": result.probabilities,
        "prediction_set": list(result.prediction_set),
        "coverage": result.coverage,
        "familiar": result.familiar,
        "familiarity": result.familiarity,
        "reasons": list(result.reasons),
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
            failed = " ".join(check["sentence"] for check in row["reasons"] if check["failed"])
            print(f"{name}  unfamiliar  {failed}")
        else:
            shares = "  ".join(f"{row['probabilities'][n]:{len(n)}.3f}" for n in LABELS)
            print(f"{name}  {row['verdict']:<10}  {row['label']:<10}  {shares}")
    print(DISCLAIMER)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Judge brain MRI slices. " + DISCLAIMER, allow_abbrev=False
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FILE|FOLDER")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    parser.add_argument("--overlays", type=Path, metavar="DIR", help="save Grad-CAM overlays")
    parser.add_argument("--model", type=Path, help="model folder (default: the shipped one)")
    parser.add_argument("--engine", choices=ENGINES, default="onnx")
    parser.add_argument("--coverage", type=float, default=0.95, help="of the prediction sets")
    return parser


if __name__ == "__main__":
    sys.exit(main())
