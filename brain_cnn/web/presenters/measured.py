"""What was measured of the served model, in words: from the bundle's `metrics.json` alone.

The file is not needed to serve. What is missing in it is left out, and nothing is invented.
"""

from __future__ import annotations

import json
from typing import Any

from flask import current_app

from brain_cnn.inference.bundle import Bundle
from brain_cnn.labels import LABELS
from brain_cnn.render.words import SHORT_NAMES
from brain_cnn.web.uploads import classifier

EXTENSION = "brain_cnn.measured"

LIMITS = (
    "It knows three tumours and “none of these”. It does not look for other lesions, bleeding, "
    "stroke, or early or small tumours: “none of these tumours” never means healthy.",
    "It learned the tumour classes from contrast-enhanced T1 slices of few hospitals. On other "
    "scanners and weightings it is right much less often.",
    "Confidence and prediction sets hold only for slices like those of its calibration.",
    "The heatmap shows what the network used. It is not the outline of a tumour, and no evidence "
    "that the network is right.",
)
"""Limits that every exported page states."""


def measured() -> dict[str, Any]:
    """Return the bundle's `metrics.json`; empty where it is missing or no JSON object."""
    if EXTENSION not in current_app.extensions:
        current_app.extensions[EXTENSION] = _read(classifier().bundle)
    result: dict[str, Any] = current_app.extensions[EXTENSION]
    return result


def _read(bundle: Bundle) -> dict[str, Any]:
    try:
        record = json.loads((bundle.path / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def part(record: Any, *names: str) -> Any:
    """Return what lies at the end of `names` in nested dicts; None where a step is missing."""
    for name in names:
        record = record.get(name) if isinstance(record, dict) else None
    return record


def percent_interval(metric: Any) -> str:
    """Return "93.2 % (86.5–97.5 %)" of {"value", "low", "high"}; "" where there is no value."""
    value, interval = number_words(metric, 100.0, 1, " %")
    return f"{value} ({interval})" if interval else value


def number_words(metric: Any, factor: float, digits: int, unit: str) -> tuple[str, str]:
    """Return ("93.2 %", "86.5–97.5 %") of {"value", "low", "high"}; "" for what is missing."""
    value = part(metric, "value")
    if not _is_number(value):
        return "", ""
    low, high = part(metric, "low"), part(metric, "high")
    interval = ""
    if _is_number(low) and _is_number(high):
        interval = f"{low * factor:.{digits}f}–{high * factor:.{digits}f}{unit}"
    return f"{value * factor:.{digits}f}{unit}", interval


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def sample_words(record: Any) -> str:
    """Return "530 slices of 92 groups" of {"n", "groups"}; "" where `n` is missing."""
    count, groups = part(record, "n"), part(record, "groups")
    if count is None:
        return ""
    return f"{count} slices" + (f" of {groups} groups" if groups is not None else "")


def model_facts(label: str | None = None) -> list[tuple[str, str]]:
    """Return (name, value) of the model, its training data and its measured errors.

    Args:
        label: the class that an answer names, whose own numbers are added; None for none.
    """
    bundle, metrics = classifier().bundle, measured()
    created = bundle.info.get("created")
    facts = [
        (
            "Model",
            f"{bundle.name} {bundle.version}"
            + (f" of {created}" if created else "")
            + f", weights {bundle.sha256[:12]}",
        )
    ]
    trained = _training_words(bundle)
    if trained:
        facts.append(("Learned from", trained))
    test = part(metrics, "protocol", "ours")
    accuracy = percent_interval(part(test, "accuracy"))
    if accuracy:
        facts.append(("Right, unseen patients", f"{accuracy} of {sample_words(test)}"))
    row = part(test, "per_class", label) if label else None
    found, right = percent_interval(part(row, "recall")), percent_interval(part(row, "precision"))
    if label and found and right:
        facts.append(
            (
                f"For {SHORT_NAMES[label]}",
                f"finds {found} of them; right in {right} of the times it says so",
            )
        )
    elsewhere = part(metrics, "external", "ours", "weightings", "t1 contrast")
    balanced = percent_interval(part(elsewhere, "balanced_accuracy"))
    if balanced:
        facts.append(
            (
                "Right, other scanners",
                f"{balanced} of {sample_words(elsewhere)}, contrast-enhanced T1, mean over classes",
            )
        )
    if accuracy or balanced:
        facts.append(("In parentheses", "95 % intervals, by resampling whole groups of patients"))
    return facts


def _training_words(bundle: Bundle) -> str:
    counts = part(bundle.info, "data", "split_counts", "train")
    release = part(bundle.info, "data", "release_words")
    if not isinstance(counts, dict) or not release:
        return ""
    each = ", ".join(f"{counts[label]} {SHORT_NAMES[label]}" for label in LABELS if label in counts)
    return f"{sum(counts.values())} slices ({each}) of {release}"
