"""A study as plain values, for the HTTP API and the command line alike."""

from __future__ import annotations

from typing import Any

from brain_cnn.errors import ScanError
from brain_cnn.inference.classifier import SeriesAnswer
from brain_cnn.inference.diagnosis import Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import LABELS
from brain_cnn.scan import Scan


def scan_json(scan: Scan) -> dict[str, Any]:
    """Return what was read, with the facts of the header; empty facts are null."""
    facts = scan.facts
    spacing = facts.pixel_spacing_mm
    return {
        "format": scan.format,
        "slice_count": len(scan.slices),
        "modality": facts.modality or None,
        "weighting": facts.weighting or None,
        "plane": facts.plane or None,
        "oblique": facts.oblique,
        "slice_thickness_mm": facts.slice_thickness_mm,
        "pixel_spacing_mm": None if spacing is None else list(spacing),
        "notes": list(scan.notes),
    }


def trust_json(said: Diagnosis | StudyDiagnosis) -> dict[str, float | None]:
    """Return `trust` and `trust_limit`, both null where the model has no trust."""
    limit = said.trust_limit
    return {"trust": None if limit is None else said.trust, "trust_limit": limit}


def study_json(study: StudyDiagnosis) -> dict[str, Any]:
    """Return the answer for a whole series or volume."""
    return {
        "verdict": study.verdict,
        "verdict_reason": study.verdict_reason,
        "label": study.label,
        "confidence": study.confidence,
        "probabilities": study.probabilities,
        "prediction_set": list(study.prediction_set),
        "coverage": study.coverage,
        **trust_json(study),
        "slice_count": len(study.slices),
        "familiar_slices": study.familiar_count,
        "evidence_slices": list(study.evidence_slices),
        "strongest_slice": study.strongest,
        "window": study.window,
        "notes": list(study.notes),
        "rule": study.rule,
    }


def slice_json(diagnosis: Diagnosis, study: StudyDiagnosis) -> dict[str, Any]:
    """Return one slice; `evidence` is the study's smoothed curve at it, null where it has none."""
    place = diagnosis.slice_index
    curve = study.evidence[place]
    known = bool(curve[0] >= 0)  # NaN is not
    return {
        "slice_index": place,
        "position_mm": study.positions_mm[place],
        "verdict": diagnosis.verdict,
        "label": diagnosis.label,
        "confidence": diagnosis.confidence,
        "probabilities": diagnosis.probabilities,
        "prediction_set": list(diagnosis.prediction_set),
        "familiar": diagnosis.familiar,
        "familiarity": diagnosis.familiarity,
        **trust_json(diagnosis),
        "evidence": {n: float(p) for n, p in zip(LABELS, curve, strict=True)} if known else None,
    }


def series_json(answer: SeriesAnswer) -> dict[str, Any]:
    """Return a series that an answer is not about: its scan, and its study or its error."""
    result: dict[str, Any] = {"scan": scan_json(answer.series.scan)}
    if isinstance(answer.study, ScanError):
        return result | {"code": answer.study.code, "detail": answer.study.message}
    return result | {"study": study_json(answer.study)}


def said_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return what is said of one slice, without its pictures."""
    return {
        "label": diagnosis.label,
        "confidence": diagnosis.confidence,
        "probabilities": diagnosis.probabilities,
        "prediction_set": list(diagnosis.prediction_set),
        "coverage": diagnosis.coverage,
        "familiar": diagnosis.familiar,
        "familiarity": diagnosis.familiarity,
        "reasons": list(diagnosis.reasons),
        **trust_json(diagnosis),
        "verdict": diagnosis.verdict,
        "verdict_reason": diagnosis.verdict_reason,
    }
