"""The shapes of the API's answers as JSON Schema (2020-12), in one place.

`openapi.py` puts them into the document, and the tests hold real answers against them.
"""

from __future__ import annotations

from typing import Any

from brain_cnn.inference.diagnosis import CONFIDENT, UNCERTAIN, UNFAMILIAR
from brain_cnn.labels import LABELS

Schema = dict[str, Any]


def text(description: str = "", **more: Any) -> Schema:
    """Return the schema of a string."""
    return _described("string", description, more)


def number(description: str = "", **more: Any) -> Schema:
    """Return the schema of a number."""
    return _described("number", description, more)


def whole(description: str = "", **more: Any) -> Schema:
    """Return the schema of a whole number."""
    return _described("integer", description, more)


def yes_no(description: str = "") -> Schema:
    """Return the schema of a truth value."""
    return _described("boolean", description, {})


def array(items: Schema, description: str = "", **more: Any) -> Schema:
    """Return the schema of a list."""
    return _described("array", description, {"items": items} | more)


def either(*schemas: Schema, description: str = "") -> Schema:
    """Return the schema of what fits one of `schemas`."""
    return {"anyOf": list(schemas)} | ({"description": description} if description else {})


def ref(name: str) -> Schema:
    """Return a reference to a schema of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def shape(description: str, fields: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object that has all `fields` but the optional ones."""
    return {
        "type": "object",
        "description": description,
        "properties": fields,
        "required": [name for name in fields if name not in optional],
    }


def _described(kind: str, description: str, more: dict[str, Any]) -> Schema:
    return {"type": kind} | ({"description": description} if description else {}) | more


NULL: Schema = {"type": "null"}
SHARE = number(minimum=0, maximum=1)
LABEL = text(enum=list(LABELS))
LABEL_SET = array(
    LABEL, "Labels that hold the truth with the promised coverage.", minItems=1, uniqueItems=True
)
VERDICT = text("Look at it first.", enum=[CONFIDENT, UNCERTAIN, UNFAMILIAR])
_TRUST: dict[str, Schema] = {
    "trust": either(
        SHARE,
        NULL,
        description="Whether the label would hold on another scanner, by the model's own "
        "estimate; null where it has none. One label in the set and a trust below trust_limit "
        "is uncertain.",
    ),
    "trust_limit": either(
        number(minimum=0),
        NULL,
        description="Trust that confident needs; above 1 no trust is enough.",
    ),
}
_WHY = {"verdict_reason": text("Why the verdict is what it is, in words for a person.")}
DISCLAIMER = text("For research and education only.")


def per_label(values: Schema, description: str = "") -> Schema:
    """Return the schema of an object with a value for each class."""
    return shape(description, dict.fromkeys(LABELS, values))


def _said(about: str) -> dict[str, Schema]:
    """Return the fields that are said of a slice."""
    return {
        "label": LABEL | {"description": f"Likeliest class {about}; filled when unfamiliar too."},
        "confidence": SHARE | {"description": "Its calibrated probability."},
        "probabilities": per_label(SHARE, "Calibrated; they sum to 1."),
        "prediction_set": LABEL_SET,
        "familiar": yes_no("Whether the picture is like those that the model learned from."),
        "familiarity": SHARE | {"description": "Higher is more like them."},
        **_TRUST,
        "verdict": VERDICT,
    }


_COVERAGE = {"coverage": number("Promise of the prediction set.", minimum=0, maximum=1)}
_REASONS = {"reasons": array(ref("Check"), "What was looked at, and what of it failed.")}
_TIMING = {
    "type": "object",
    "description": "Milliseconds by stage; total is that of the request.",
    "additionalProperties": number(minimum=0),
}
_SERIES = {
    "scan": ref("Scan"),
    "study": ref("Study"),
    "code": text("Why there is no answer for it."),
    "detail": text(),
}
_HEAT_GRID = {
    "box": shape(
        "Where the grid lies on the slice, in its pixels.",
        {"top": number(), "left": number(), "side": number()},
    ),
    "shape": array(whole(minimum=1), "Height and width of the slice.", minItems=2, maxItems=2),
    "grids": per_label(array(array(SHARE)), "Heat of each class, by rows."),
}

SCHEMAS: dict[str, Schema] = {
    "Answer": shape(
        "One result for each file, in upload order.",
        {"results": array(either(ref("Result"), ref("Problem")), minItems=1)},
    ),
    "Result": shape(
        "What is said of one file: of its most telling slice, of each slice, of its study.",
        _said("of the most telling slice")
        | _COVERAGE
        | _REASONS
        | _WHY
        | {
            "slice_index": whole("Which slice, from 0.", minimum=0),
            "slice_count": whole("Slices of the series.", minimum=1),
            "notes": array(text(), "What a person should know about the reading."),
            "model": ref("Model"),
            "timing_ms": _TIMING,
            "disclaimer": DISCLAIMER,
            "forced": yes_no("The header says that this is no MRI; it was judged on request."),
            "scan": ref("Scan"),
            "study": either(ref("Study"), NULL, description="Null for a single slice."),
            "slices": array(ref("Slice"), minItems=1),
            "heatmap": either(ref("HeatmapPicture"), ref("HeatmapGrids")),
            "other_series": array(shape("Another series.", _SERIES, tuple(_SERIES)[1:])),
        },
        optional=("heatmap", "other_series"),
    ),
    "Slice": shape(
        "One slice.",
        {
            "slice_index": whole(minimum=0),
            "position_mm": either(number(), NULL, description="Along the series' normal."),
        }
        | _said("of the slice")
        | {"evidence": either(per_label(SHARE, "The study's smoothed curve at this slice."), NULL)},
    ),
    "Study": shape(
        "The answer for a whole series or volume.",
        {
            "verdict": VERDICT,
            **_WHY,
            "label": LABEL,
            "confidence": SHARE,
            "probabilities": per_label(SHARE),
            "prediction_set": LABEL_SET,
            **_COVERAGE,
            **_TRUST,
            "slice_count": whole(minimum=1),
            "familiar_slices": whole(minimum=0),
            "evidence_slices": array(whole(minimum=0), "Slices that show a tumour."),
            "strongest_slice": whole(minimum=0),
            "window": whole("Slices that are smoothed over.", minimum=1),
            "notes": array(text()),
            "rule": text("How the answer is put together from the slices."),
        },
    ),
    "Scan": shape(
        "What was read. Of a header only this; nothing of a person.",
        {
            "format": text(),
            "slice_count": whole(minimum=1),
            "modality": either(text(), NULL),
            "weighting": either(text(), NULL, description="A guess."),
            "plane": either(text(), NULL),
            "oblique": yes_no(),
            "slice_thickness_mm": either(number(), NULL),
            "pixel_spacing_mm": either(array(number(), minItems=2, maxItems=2), NULL),
            "notes": array(text()),
        },
    ),
    "Check": shape(
        "One check of familiarity.",
        {
            "check": text(),
            "value": either(number(), NULL),
            "limit": either(number(), NULL),
            "failed": yes_no(),
            "sentence": text(),
        },
    ),
    "Model": shape("Which model answered.", {n: text() for n in ("name", "version", "sha256")}),
    "HeatmapPicture": shape(
        "Grad-CAM of the label over the slice.",
        {"label": LABEL, "png": text("A data URI.", pattern="^data:image/png;base64,")},
    ),
    "HeatmapGrids": shape("Grad-CAM of each class on the network's grid.", _HEAT_GRID),
    "Said": shape(
        "What is said of one slice.", _said("of the slice") | _COVERAGE | _REASONS | _WHY
    ),
    "Counterfactual": shape(
        "The same slice as it is and without a region.",
        {
            "slice_index": whole(minimum=0),
            "region_pixels": whole(minimum=1),
            "region_share": SHARE | {"description": "Of the head."},
            "before": ref("Said"),
            "after": ref("Said"),
            "change": per_label(number(minimum=-1, maximum=1), "After minus before."),
            "filled_png": text(
                "The slice as it was judged again, a data URI.", pattern="^data:image/png;base64,"
            ),
            "model": ref("Model"),
            "timing_ms": _TIMING,
            "disclaimer": DISCLAIMER,
        },
    ),
    "Problem": shape(
        "RFC 9457.",
        {
            "type": text(const="about:blank"),
            "title": text(),
            "status": whole(minimum=400, maximum=599),
            "detail": text("One sentence: what was wrong, with the value."),
            "code": text("Stable name of the cause.", pattern="^[a-z0-9-]+$"),
            "hint": text("What to do."),
            "request_id": text("As in the header X-Request-ID; absent inside a list of results."),
        },
        optional=("hint", "request_id"),
    ),
}
