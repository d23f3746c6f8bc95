"""An answer as plain values, for the HTTP API, the viewer and the command line alike."""

from __future__ import annotations

from typing import Any

from brain_cnn.errors import ScanError
from brain_cnn.inference.answer import AnswerPart, SeriesAnswer
from brain_cnn.inference.bundle import Bundle
from brain_cnn.inference.diagnosis import Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.render.fields import PREDICTION, SCAN, SLICE, STUDY, values
from brain_cnn.render.overlay import overlay, png_data_uri
from brain_cnn.scan import Scan

HEATMAPS = ("png", "raw")
"""How a heatmap may be added to a result."""


def part_json(part: AnswerPart, bundle: Bundle, heatmap: str = "") -> dict[str, Any]:
    """Return the result for one file or one series.

    Args:
        part: what it is about.
        bundle: the model that answered.
        heatmap: one of `HEATMAPS`, or "" for none.
    """
    telling, study = part.telling, part.study
    result: dict[str, Any] = {
        **values(PREDICTION, telling, study),
        "slice_index": telling.slice_index,
        "slice_count": telling.slice_count,
        "notes": list(telling.notes),
        "model": model_json(bundle),
        "timing_ms": dict(telling.timing_ms),
        "disclaimer": DISCLAIMER,
        "forced": study.forced,
        "scan": scan_json(part.main.series.scan),
        "study": study_json(study) if len(study.slices) > 1 else None,
        "slices": [slice_json(diagnosis, study) for diagnosis in part.slices],
    }
    if part.others:
        result["other_series"] = [series_json(other) for other in part.others]
    if heatmap:
        result["heatmap"] = heatmap_json(telling, heatmap)
    return result


def prediction_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the prediction of one slice, without its pictures."""
    return values(PREDICTION, diagnosis)


def slice_json(diagnosis: Diagnosis, study: StudyDiagnosis) -> dict[str, Any]:
    """Return one slice of a study."""
    return values(SLICE, diagnosis, study)


def study_json(study: StudyDiagnosis) -> dict[str, Any]:
    """Return the answer for a whole series or volume."""
    return values(STUDY, study, study)


def scan_json(scan: Scan) -> dict[str, Any]:
    """Return what was read, with the facts of the header; empty facts are null."""
    return values(SCAN, scan)


def series_json(answer: SeriesAnswer) -> dict[str, Any]:
    """Return a series that a result is not about: its scan, and its study or its error."""
    result: dict[str, Any] = {"scan": scan_json(answer.series.scan)}
    if isinstance(answer.study, ScanError):
        return result | {"code": answer.study.code, "detail": answer.study.message}
    return result | {"study": study_json(answer.study)}


def model_json(bundle: Bundle) -> dict[str, str]:
    """Return which model answered."""
    return {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256}


def heatmap_json(diagnosis: Diagnosis, kind: str) -> dict[str, Any]:
    """Return the Grad-CAM of a slice.

    Args:
        diagnosis: of the slice.
        kind: "png", the overlay of its label as a data URI; "raw", the grid of each class.
    """
    if kind == "png":
        return {"label": diagnosis.label, "png": png_data_uri(overlay(diagnosis))}
    top, left, side = diagnosis.prepared.box
    return {
        # Where the grid lies on the slice, in its pixels.
        "box": {"top": top, "left": left, "side": side},
        "shape": list(diagnosis.pixels.shape),
        "grids": {
            label: diagnosis.heat[..., place].round(4).tolist()
            for place, label in enumerate(LABELS)
        },
    }
