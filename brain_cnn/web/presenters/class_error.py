"""How often the model was right about the class that an answer names: beside the answer."""

from __future__ import annotations

from typing import Any

from brain_cnn.labels import LABELS
from brain_cnn.web.presenters.measured import measured, part, percent_interval


def class_error(label: str) -> dict[str, Any] | None:
    """Return measurements on patients that the model never saw, in words and numbers.

    Returns:
        `called`, `called_n`: of the test slices that it called so, the share that were so, and
        how many it called so; `found`, `found_n`: of those that are so, the share that it
        called so; `n`, `groups`: the whole test; `elsewhere`, `elsewhere_n`: contrast T1 of
        other scanners, all classes weighed equally ("" where that was not measured).
        None where the model folder has no measurements, as after a training of one's own.
    """
    metrics = measured()
    ours = part(metrics, "protocol", "ours")
    row = part(ours, "per_class", label)
    confusion = part(ours, "confusion")
    called, found = percent_interval(part(row, "precision")), percent_interval(part(row, "recall"))
    if not (called and found and confusion):
        return None
    elsewhere = part(metrics, "external", "ours", "weightings", "t1 contrast")
    return {
        "called": called,
        "called_n": sum(line[LABELS.index(label)] for line in confusion),
        "found": found,
        "found_n": part(row, "support"),
        "n": part(ours, "n"),
        "groups": part(ours, "groups"),
        "elsewhere": percent_interval(part(elsewhere, "balanced_accuracy")),
        "elsewhere_n": part(elsewhere, "n"),
    }
