"""The sections of the model page about how far it can be trusted.

As in `model_results`: what was not measured is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brain_cnn.labels import LABELS
from brain_cnn.render.words import SHORT_NAMES
from brain_cnn.web.presenters.measured import number_words, part
from brain_cnn.web.presenters.model_section import (
    NOTHING,
    Cell,
    Metrics,
    Section,
    Table,
    number,
    sentence,
    share,
    size,
)


def sureness(metrics: Metrics) -> Section | None:
    """Calibration, verdicts, and whether prediction sets reach their target coverage."""
    found = part(metrics, "sureness", "ours")
    if not found:
        return None
    verdicts = part(found, "verdicts")
    measures = [
        ("calibration error (ECE)", share(found.get("ece"))),
        ("the same of a perfectly calibrated model", share(found.get("ece_perfect"))),
        *((f"answered “{name}”", share(part(verdicts, name)))
          for name in ("confident", "uncertain", "unfamiliar")),
        ("right when confident", share(part(verdicts, "accuracy_of_confident"))),
    ]  # fmt: skip
    tables = [
        Table("Confidence on the protocol test", ("Measure", "Value"),
              tuple((name, (cell,)) for name, cell in measures if cell != NOTHING)),
    ]  # fmt: skip
    targets = part(found, "coverage") or {}
    if targets:
        parts = targets.values()
        names = [name for name in ("all", *LABELS) if any(name in p for p in parts)]
        rows = tuple(
            (SHORT_NAMES.get(name, "all slices"), tuple(share(part(p, name, "coverage"))
             for p in parts))
            for name in names
        )  # fmt: skip
        rows += (("labels in a set, mean", tuple(
            number(part(p, "all", "size"), 2) for p in parts)),)  # fmt: skip
        rows += tuple(
            (f"sets of {count}", tuple(share(part(p, "all", "sizes", str(count))) for p in parts))
            for count in range(1, len(LABELS) + 1)
            if all(part(p, "all", "sizes") for p in parts)
        )
        head = ("Class", *(f"target {float(name):.0%}".replace("%", " %") for name in targets))
        tables.append(Table("How often a prediction set holds the truth", head, rows))
    sentences = (
        f"{sentence(found.get('protocol'))} A prediction set aims at its target coverage for "
        "each class; what it reaches hangs on how few patients it was calibrated on.",
    )
    figures = ("reliability_ours", "selective_protocol")
    return Section("sureness", "How sure, and how rightly", sentences, tuple(tables), figures)


def refusal(metrics: Metrics) -> Section | None:
    """What is refused that is no brain MRI, and what should not have been."""
    found = part(metrics, "not_brain_mri")
    if not found:
        return None
    rows = [("no brain MRI: refused", found.get("refused"))]
    rows += [(f"{kind}: refused", row) for kind, row in found.get("refused_by_kind", {}).items()]
    rows.append(("protocol test: accepted", found.get("accepted")))
    table = Table(
        "Refusals", ("Pictures", "Share", "Pictures (groups)"),
        tuple((name, (share(row), size(row))) for name, row in rows if row),
    )  # fmt: skip
    return Section("refusal", "What it refuses", (sentence(found.get("protocol")),), (table,))


def elsewhere(metrics: Metrics) -> Section | None:
    """Other scanners and weightings, and lesions that are none of the classes."""
    found = part(metrics, "external", "ours")
    if not found:
        return None
    keys = ("balanced_accuracy", "tumour_called_notumor", "tumour_confidently_notumor",
            "answered", "accuracy_of_confident")  # fmt: skip
    rows = tuple(
        (name, (*(share(row.get(k)) for k in keys), size(row)))
        for name, row in (found.get("weightings") or {}).items()
    )
    head = ("Weighting", "Right, mean over classes", "Tumours called none", "The same, confidently",
            "Answered confidently", "Right when confident", "Slices (groups)")  # fmt: skip
    tables = [Table("Slices of other scanners", head, rows)]
    names = {
        "confidently_a_tumour": "confidently called one of the tumours",
        "confidently_notumor": "confidently called none of these",
        "unfamiliar": "refused",
    }
    lesions = part(found, "other_lesion") or {}
    rows = tuple(
        (words, (share(lesions[key]), size(lesions[key])))
        for key, words in names.items()
        if key in lesions
    )
    if rows:
        answers = ("Answer", "Share", "Slices (groups)")
        tables.append(Table("Lesions that are none of the classes", answers, rows))
    sentences = (
        f"{sentence(found.get('protocol'))} Labels that no radiologist checked.",
    )  # fmt: skip
    return Section(
        "elsewhere", "Other scanners and weightings", sentences, tuple(tables),
        ("selective_external",),
    )  # fmt: skip


def corrupted(metrics: Metrics) -> Section | None:
    """Accuracy on damaged slices."""
    found = part(metrics, "corrupted", "ours")
    if not part(found, "kinds"):
        return None
    rows = []
    for kind, row in found["kinds"].items():
        severities = row.get("severities") or [None]
        rows.append((kind, (share(row.get("mean")), share(severities[0]), share(severities[-1]))))
    rows.append(("all together", (share(found.get("mean")), NOTHING, NOTHING)))
    head = ("Damage", "Right, mean", "weakest", "strongest")
    table = Table("Accuracy on damaged slices", head, tuple(rows))
    return Section(
        "corrupted", "Damaged slices", (sentence(found.get("protocol")),), (table,),
        ("corrupted",),
    )  # fmt: skip


def heatmap(metrics: Metrics) -> Section | None:
    """Whether the heatmap lies on the tumour, and whether it is the reason."""
    place, reason = part(metrics, "localisation", "ours"), part(metrics, "faithfulness", "ours")
    curves, removed = part(reason, "deletion_insertion"), part(reason, "tumour_removed")
    random = part(reason, "randomisation")
    measures: Sequence[tuple[str, Cell, Any]] = (
        ("hottest place lies on the tumour", share(part(place, "pointing")), place),
        ("heat on the tumour, times that of a map without aim",
         number(part(place, "energy_ratio"), 1), place),
        ("empty maps", share(part(place, "empty")), place),
        ("probability while the hottest places go (lower is better)",
         share(part(curves, "deletion")), curves),
        ("the same in random order", share(part(curves, "deletion_random")), curves),
        ("probability while the hottest places come (higher is better)",
         share(part(curves, "insertion")), curves),
        ("the same in random order", share(part(curves, "insertion_random")), curves),
        ("likeness to the map of a network with random weights (0 is none)",
         number(part(random, "similarity_randomised")), random),
        ("tumour filled in: its probability fell", share(part(removed, "fell")), removed),
        ("tumour filled in: mean fall", share(part(removed, "drop")), removed),
        ("beside the tumour filled in: mean fall", share(part(removed, "sham_drop")), removed),
    )  # fmt: skip
    rows = tuple((name, (cell, size(of))) for name, cell, of in measures if cell != NOTHING)
    if not rows:
        return None
    table = Table("Grad-CAM, measured", ("Check", "Value", "Slices (groups)"), rows)
    sentences = ("On tumours of the validation part that have outlines drawn by radiologists.",)
    return Section(
        "heatmap", "Whether the heatmap tells the truth", sentences, (table,),
        ("deletion_insertion",),
    )  # fmt: skip


def shortcuts(metrics: Metrics) -> Section | None:
    """What a tree reaches that never sees the brain."""
    found = part(metrics, "shortcuts")
    before, after = part(found, "before"), part(found, "after")
    if not before or not after:
        return None
    rows = tuple(
        (name, (share(part(before, name, "accuracy")), share(part(after, name, "accuracy"))))
        for name in before
    )
    frequent = number_words({"value": found.get("most_frequent_class")}, 100.0, 1, " %")[0]
    sentences = (
        "A decision tree that never sees the brain, only the file's size, border and histogram: "
        "what it reaches is what the data set gives away. Always naming the most frequent class "
        f"is right in {frequent or '–'}.",
    )
    head = ("The tree sees", "Right, file as it is", "Right, as the network sees it")
    return Section(
        "shortcuts", "What the file alone betrays", sentences,
        (Table("Accuracy without a look at the brain", head, rows),),
    )  # fmt: skip
