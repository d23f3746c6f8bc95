"""The sections of the model page about how often it is right.

Each function takes the whole record and returns one section, or None where nothing of it was
measured. A part that is missing leaves a row out or a dash, never a crash: the record of an
older or of somebody else's model has other parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brain_cnn.labels import LABELS
from brain_cnn.render.words import SHORT_NAMES
from brain_cnn.web.presenters.measured import part
from brain_cnn.web.presenters.model_section import (
    Cell,
    Metrics,
    Section,
    Table,
    number,
    sentence,
    share,
    size,
)


def four_numbers(metrics: Metrics) -> Section | None:
    """The numbers that must stand side by side."""
    tests: list[tuple[str, Callable[[str], Any], Callable[[str], Any]]] = [
        ("Official test (leaky)", _of("official", "accuracy"), _of("official")),
        ("Protocol test: unseen patients", _of("protocol", "accuracy"), _of("protocol")),
        *(
            (
                f"Other scanners, {words}",
                _of("external", "weightings", key, "balanced_accuracy"),
                _of("external", "weightings", key),
            )
            for key, words in (("t1 contrast", "T1 with contrast"), ("t1", "T1"), ("t2", "T2"))
        ),
        ("Protocol test, corrupted", _of("corrupted", "mean"), _of("corrupted")),
    ]
    rows = []
    for name, result, sample in tests:
        ours, baseline = (result(model)(metrics) for model in ("ours", "baseline"))
        if ours or baseline:
            count = sample("ours")(metrics) or sample("baseline")(metrics)
            rows.append((name, (share(ours), share(baseline), size(count))))
    if not rows:
        return None
    sentences = [
        "Accuracy; on other scanners the mean over glioma, meningioma and “none of these” of how "
        "many are found. Small: 95 % intervals, by resampling whole groups of patients. The "
        "baseline is the plain two-convolution network that such projects start from, trained "
        "on the same slices.",
        *(s for name in ("protocol", "official") if (s := part(metrics, name, "sentence"))),
    ]
    if part(metrics, "official", "ours"):
        sentences.append(
            "The number of the official test is that of a sister network, trained on the data "
            "set's own Training folder, whose weights are not shipped."
        )
    sentences.append(sentence(part(metrics, "external", "ours", "protocol")))
    head = ("Test", "This model", "Baseline", "Slices (groups)")
    table = Table("How often it is right, four kinds of test", head, tuple(rows))
    return Section("numbers", "Four numbers side by side", tuple(sentences), (table,))


def _of(*names: str) -> Callable[[str], Any]:
    """Return a function of a model's name that finds its part: first name, model, the rest."""
    first, *rest = names
    return lambda model: lambda metrics: part(metrics, first, model, *rest)


def classes(metrics: Metrics) -> Section | None:
    """Each class on unseen patients, and beside a published table on the leaky split."""
    test = part(metrics, "protocol", "ours")
    if not part(test, "per_class"):
        return None
    keys = ("precision", "recall", "f1")
    rows = [
        (SHORT_NAMES[label], (*(share(row.get(k)) for k in keys), number(row.get("auc")),
         Cell(str(row.get("support", "–")))))
        for label, row in test["per_class"].items() if label in SHORT_NAMES
    ]  # fmt: skip
    mean = (
        *(share(test.get(f"macro_{k}")) for k in keys),
        number(test.get("macro_auc")),
        size(test),
    )
    rows.append(("mean over classes", mean))
    head = ("Class", "Right when it says so (precision)", "Found (recall)", "F1", "AUC", "Slices")
    tables = [Table("Each class, protocol test", head, tuple(rows))]
    sentences = []
    if missed := test.get("tumour_called_notumor"):
        cell = share(missed)
        sentences.append(
            f"Tumours that it calls “none of these tumours”: {cell.value} ({cell.interval})."
        )
    reference, official = part(metrics, "official", "reference"), part(metrics, "official", "ours")
    if reference and part(official, "per_class"):
        rows = [
            (SHORT_NAMES[label], tuple(
                cell for k in keys
                for cell in (share(part(official, "per_class", label, k)),
                             share({"value": part(reference, label, k)}))
            ))
            for label in LABELS if label in reference
        ]  # fmt: skip
        pairs = ((n, f"{n}, published") for n in ("Precision", "Recall", "F1"))
        columns = ("Class", *(name for pair in pairs for name in pair))
        tables.append(
            Table(
                "Official test (leaky), beside a published two-convolution network", columns,
                tuple(rows),
            )
        )  # fmt: skip
    figures = ("protocol_ours_precision_recall", "protocol_ours_roc")
    return Section("classes", "Class by class", tuple(sentences), tuple(tables), figures)


def confusion(metrics: Metrics) -> Section | None:
    """What was called what."""
    counts = part(metrics, "protocol", "ours", "confusion")
    if not counts:
        return None
    rows = tuple(
        (SHORT_NAMES[label], tuple(Cell(str(count)) for count in row))
        for label, row in zip(LABELS, counts, strict=False)
    )
    head = ("It is", *(f"called {SHORT_NAMES[label]}" for label in LABELS))
    table = Table("Slices of the protocol test: a row for what it is", head, rows)
    return Section("confusion", "What is called what", (), (table,), ("protocol_ours_confusion",))
