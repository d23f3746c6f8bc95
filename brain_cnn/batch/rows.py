"""What is written of a file: one row of plain values, and on request one for each slice."""

from __future__ import annotations

from typing import Any

from brain_cnn.batch.walk import Item
from brain_cnn.errors import ScanError
from brain_cnn.inference.bundle import Bundle
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.render.study_json import trust_json

Row = dict[str, Any]

# name -> (kind, meaning). Kinds: "text", "whole", "number", "yes-no".
COLUMNS: dict[str, tuple[str, str]] = {
    "path": ("text", "the file, relative to the root; a member of a ZIP below the ZIP's name"),
    "format": ("text", "what its content is"),
    "slices": ("whole", "how many slices it holds"),
    "verdict": ("text", "confident, uncertain or unfamiliar; of the study for several slices"),
    "label": ("text", "the likeliest class; a guess where the verdict is unfamiliar"),
    "confidence": ("number", "its calibrated probability, 0 to 1"),
    **{f"p_{n}": ("number", f"calibrated probability of {n}, 0 to 1") for n in LABELS},
    "prediction_set": ("text", "classes that come into question, likeliest first, + between"),
    "coverage": ("number", "the promise of the prediction set"),
    "familiarity": ("number", "0 to 1, higher is more like what the model knows"),
    "failed_checks": ("text", "checks of familiarity that failed, + between"),
    "trust": ("number", "0 to 1, would the label hold on another scanner, as the model estimates"),
    "trust_limit": ("number", "trust that confident needs; a single class with less is uncertain"),
    "strongest_slice": ("whole", "the slice with the strongest evidence, from 0"),
    "familiar_slices": ("whole", "how many slices are familiar"),
    "modality": ("text", "of the DICOM header, where it is said"),
    "weighting": ("text", "guess from the header: T1, T2, PD, FLAIR"),
    "plane": ("text", "axial, coronal or sagittal, where it is known"),
    "forced": ("yes-no", "judged on request although its header calls it no MRI"),
    "notes": ("text", "what a person should know of the reading"),
    "error_code": ("text", "why there is no answer, for programs; empty where there is one"),
    "error": ("text", "the same in a sentence"),
    "model": ("text", "name and version of the model"),
    "disclaimer": ("text", "what the numbers are not for"),
}
"""Columns of the table of files, in order."""

SLICE_COLUMNS: dict[str, tuple[str, str]] = {
    "path": COLUMNS["path"],
    "slice_index": ("whole", "place in the file, from 0"),
    "position_mm": ("number", "place along the normal, where it is known"),
    **{name: COLUMNS[name] for name in ("verdict", "label", "confidence")},
    **{f"p_{n}": COLUMNS[f"p_{n}"] for n in LABELS},
    **{name: COLUMNS[name] for name in ("prediction_set", "familiarity", "failed_checks")},
    **{name: COLUMNS[name] for name in ("trust", "trust_limit")},
    "disclaimer": COLUMNS["disclaimer"],
}
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
    telling = result.most_telling
    facts = result.facts
    return row | {
        "format": result.scan_format,
        "slices": len(result.slices),
        "verdict": result.verdict,
        "label": result.label,
        "confidence": result.confidence,
        **{f"p_{name}": result.probabilities[name] for name in LABELS},
        "prediction_set": "+".join(result.prediction_set),
        "coverage": result.coverage,
        "familiarity": telling.familiarity,
        "failed_checks": _failed(telling.reasons),
        **trust_json(result),
        "strongest_slice": result.strongest,
        "familiar_slices": result.familiar_count,
        "modality": facts.modality or None,
        "weighting": facts.weighting or None,
        "plane": facts.plane or None,
        "forced": result.forced,
        "notes": " ".join(result.notes) or None,
    }


def slice_rows(item: Item, result: StudyDiagnosis | ScanError) -> list[Row]:
    """Return a row for each slice of a file; none where there is no answer."""
    if isinstance(result, ScanError):
        return []
    return [
        {
            "path": item.path,
            "slice_index": one.slice_index,
            "position_mm": position,
            "verdict": one.verdict,
            "label": one.label,
            "confidence": one.confidence,
            **{f"p_{name}": one.probabilities[name] for name in LABELS},
            "prediction_set": "+".join(one.prediction_set),
            "familiarity": one.familiarity,
            "failed_checks": _failed(one.reasons),
            **trust_json(one),
            "disclaimer": DISCLAIMER,
        }
        for one, position in zip(result.slices, result.positions_mm, strict=True)
    ]


def _failed(reasons: tuple[dict[str, Any], ...]) -> str | None:
    return "+".join(check["check"] for check in reasons if check["failed"]) or None
