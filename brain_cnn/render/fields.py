"""The one table of fields: what an answer has, what it means, and where it comes from.

JSON, CSV, Parquet and the OpenAPI schema are made of it. A field that is added to a record
below is in all of them that write the record; nothing else needs to change.

`take` gets two things: the prediction (of a slice or a study) and the study that it belongs to; of
a scan, the scan and None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from brain_cnn.inference.diagnosis import Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import LABELS
from brain_cnn.render.words import headline

COLUMN_KINDS = ("text", "whole", "number", "yes-no")
"""Kinds of a column in a table; the others are made of these."""

Columns = dict[str, tuple[str, str]]
"""Name of a column -> (its kind, its meaning)."""


@dataclass(frozen=True)
class Field:
    """One field of an answer.

    Attributes:
        name: in JSON, and of the column where there is one.
        kind: one of `COLUMN_KINDS`, or "label", "verdict", "labels" (a prediction set),
            "shares" (a number for each class), "texts", "wholes", "pair" (of numbers), "checks".
        meaning: in words; the unit of a number is in its name.
        take: (prediction, study) -> the value; see above.
        least, most: range of a number.
        empty: whether it may be null.
    """

    name: str
    kind: str
    meaning: str
    take: Callable[[Any, Any], Any]
    least: float | None = None
    most: float | None = None
    empty: bool = False


Record = tuple[Field, ...]


def _share(name: str, meaning: str, take: Callable[[Any, Any], Any], empty: bool = False) -> Field:
    return Field(name, "number", meaning, take, 0, 1, empty)


def _count(name: str, meaning: str, take: Callable[[Any, Any], Any], least: int = 0) -> Field:
    return Field(name, "whole", meaning, take, least)


def _fact(name: str) -> Callable[[Any, Any], Any]:
    return lambda scan, _: getattr(scan.facts, name) or None


def _listed(pair: Sequence[float] | None) -> list[float] | None:
    return None if pair is None else list(pair)


def _curve(prediction: Diagnosis, study: StudyDiagnosis) -> dict[str, float] | None:
    row = study.evidence[prediction.slice_index]
    if not row[0] >= 0:  # NaN, where too few neighbours are familiar
        return None
    return {name: float(share) for name, share in zip(LABELS, row, strict=True)}


_FIELDS: tuple[Field, ...] = (
    Field(
        "verdict", "verdict",
        "confident, uncertain or unfamiliar; look at it first", lambda d, s: d.verdict,
    ),
    Field("headline", "text", "the verdict in a few words for a person", lambda d, s: headline(d)),
    Field(
        "verdict_reason", "text",
        "why the verdict is what it is, in words for a person", lambda d, s: d.verdict_reason,
    ),
    Field(
        "label", "label",
        "the likeliest class; a guess where the verdict is unfamiliar", lambda d, s: d.label,
    ),
    _share("confidence", "its calibrated probability, 0 to 1", lambda d, s: d.confidence),
    Field(
        "probabilities", "shares",
        "calibrated probability of each class, 0 to 1; they sum to 1",
        lambda d, s: d.probabilities, 0, 1,
    ),
    Field(
        "prediction_set", "labels",
        "classes that come into question, likeliest first", lambda d, s: list(d.prediction_set),
    ),
    _share(
        "coverage",
        "target coverage of the prediction set, for example 0.95: the share of slices like those "
        "it was calibrated on whose true class is meant to be in their set, for each class",
        lambda d, s: d.coverage,
    ),
    Field(
        "familiar", "yes-no",
        "whether the picture is like those that the model knows", lambda d, s: d.familiar,
    ),
    _share("familiarity", "0 to 1, higher is more like what the model knows",
           lambda d, s: d.familiarity),
    Field(
        "reasons", "checks",
        "what was checked for the familiarity, and what of it failed",
        lambda d, s: [check.as_dict() for check in d.reasons],
    ),
    _share(
        "trust",
        "0 to 1, whether the label would hold on another scanner, by the model's own estimate; "
        "empty where it has none",
        lambda d, s: None if d.trust_limit is None else d.trust, empty=True,
    ),
    Field(
        "trust_limit", "number",
        "trust that confident needs: one class with less is uncertain; above 1 no trust is enough",
        lambda d, s: d.trust_limit, 0, empty=True,
    ),
    # Of a slice.
    _count("slice_index", "place of the slice in its series, from 0", lambda d, s: d.slice_index),
    _count("slice_count", "slices of the series", lambda d, s: len(s.slices), 1),
    Field(
        "position_mm", "number",
        "place along the normal of the series; empty where it is not known",
        lambda d, s: s.positions_mm[d.slice_index], empty=True,
    ),
    Field(
        "evidence", "shares",
        "the study's smoothed curve at this slice; empty where too few neighbours are familiar",
        _curve, 0, 1, True,
    ),
    # Of a study.
    _count("familiar_slices", "how many slices are familiar", lambda d, s: s.familiar_count),
    Field(
        "evidence_slices", "wholes",
        "slices that show a tumour, from 0", lambda d, s: list(s.evidence_slices), 0,
    ),
    _count("strongest_slice", "the slice with the strongest evidence, from 0",
           lambda d, s: s.strongest),
    _count("window", "slices that are smoothed over", lambda d, s: s.window, 1),
    Field("notes", "texts", "what a person should know of the reading", lambda d, s: list(d.notes)),
    Field("rule", "text", "how the answer is put together from the slices", lambda d, s: s.rule),
    Field(
        "forced", "yes-no",
        "judged on request although its header calls it no MRI", lambda d, s: s.forced,
    ),
    # Of the scan, as the study says it.
    Field("format", "text", "what the content of the file is", lambda d, s: s.scan_format),
    Field(
        "modality", "text", "of the DICOM header, where it is known",
        lambda d, s: s.facts.modality or None, empty=True,
    ),
    Field(
        "weighting", "text", "a guess from the header: T1, T2, PD, FLAIR",
        lambda d, s: s.facts.weighting or None, empty=True,
    ),
    Field(
        "plane", "text", "axial, coronal or sagittal, where it is known",
        lambda d, s: s.facts.plane or None, empty=True,
    ),
)  # fmt: skip

FIELDS: dict[str, Field] = {field.name: field for field in _FIELDS}


def record(*names: str) -> Record:
    """Return the fields of these names, in this order."""
    return tuple(FIELDS[name] for name in names)


PREDICTION = record(
    "label", "confidence", "probabilities", "prediction_set", "coverage", "familiar",
    "familiarity", "reasons", "trust", "trust_limit", "verdict", "headline", "verdict_reason",
)  # fmt: skip
"""The prediction of a slice, or of a study."""

SLICE = record(
    "slice_index", "position_mm", "verdict", "label", "confidence", "probabilities",
    "prediction_set", "familiar", "familiarity", "trust", "trust_limit", "evidence",
)  # fmt: skip
"""A slice in the list of all."""

STUDY = record(
    "verdict", "headline", "verdict_reason", "label", "confidence", "probabilities",
    "prediction_set", "coverage", "trust", "trust_limit", "slice_count", "familiar_slices",
    "evidence_slices", "strongest_slice", "window", "notes", "rule",
)  # fmt: skip
"""The answer for a whole series."""

SCAN: Record = (
    Field("format", "text", FIELDS["format"].meaning, lambda scan, _: scan.format),
    _count("slice_count", "slices that were read", lambda scan, _: len(scan.slices), 1),
    *(
        Field(name, "text", FIELDS[name].meaning, _fact(name), empty=True)
        for name in ("modality", "weighting", "plane")
    ),
    Field(
        "oblique", "yes-no", "tilted by more than 10 degrees from that plane",
        lambda scan, _: scan.facts.oblique,
    ),
    Field(
        "slice_thickness_mm", "number", "thickness of one slice, where it is known",
        lambda scan, _: scan.facts.slice_thickness_mm, empty=True,
    ),
    Field(
        "pixel_spacing_mm", "pair", "(row, column) spacing as stored, where it is known",
        lambda scan, _: _listed(scan.facts.pixel_spacing_mm), empty=True,
    ),
    Field("notes", "texts", FIELDS["notes"].meaning, lambda scan, _: list(scan.notes)),
)  # fmt: skip
"""What was read: of a header only this, and nothing of a person."""


def values(fields: Record, prediction: Any, study: StudyDiagnosis | None = None) -> dict[str, Any]:
    """Return the fields as they stand in JSON."""
    return {field.name: field.take(prediction, study) for field in fields}


def cells(
    fields: Record, prediction: Any, study: StudyDiagnosis | None = None, prefix: str = ""
) -> dict[str, Any]:
    """Return the fields as the cells of a row: plain values, None for what is empty."""
    row: dict[str, Any] = {}
    for field in fields:
        value, name = field.take(prediction, study), prefix + field.name
        if field.kind == "shares":
            row |= {_share_column(prefix, label): value[label] for label in LABELS}
        elif field.kind == "labels":
            row[name] = "+".join(value)
        elif field.kind == "checks":
            row[prefix + _FAILED] = "+".join(c["check"] for c in value if c["failed"]) or None
        elif field.kind == "texts":
            row[name] = " ".join(value) or None
        else:
            row[name] = value
    return row


def columns(fields: Iterable[Field], prefix: str = "", about: str = "") -> Columns:
    """Return the columns that `cells` fills; `about` begins the meaning of each."""
    found: Columns = {}
    for field in fields:
        name, kind, meaning = prefix + field.name, field.kind, about + field.meaning
        if kind == "shares":
            for label in LABELS:
                words = f"{about}calibrated probability of {label}, 0 to 1"
                found[_share_column(prefix, label)] = ("number", words)
        elif kind == "labels":
            found[name] = ("text", f"{meaning}, with + between them")
        elif kind == "checks":
            words = f"{about}checks of familiarity that failed, with + between them"
            found[prefix + _FAILED] = ("text", words)
        elif kind in COLUMN_KINDS:
            found[name] = (kind, meaning)
        else:
            found[name] = ("text", meaning)
    return found


_FAILED = "failed_checks"


def _share_column(prefix: str, label: str) -> str:
    return f"{prefix}p_{label}"
