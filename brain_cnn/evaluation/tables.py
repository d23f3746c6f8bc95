"""The generated regions about trust: Markdown tables from sections of `metrics.json`.

Each function takes the whole record and returns one region, or `NOT_MEASURED`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brain_cnn.evaluation.metrics import format_interval
from brain_cnn.published import PUBLISHED

NOT_MEASURED = "Not measured yet."
Metrics = dict[str, Any]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    # A pipe would end the cell.
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _models(part: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(model, part[model]) for model in ("ours", "baseline") if model in part]


def _size(record: dict[str, Any]) -> str:
    groups = record.get("groups")
    return f"{record['n']} ({'no groups' if groups is None else groups})"


def _cell(metric: dict[str, Any] | None, digits: int = 3) -> str:
    return "-" if metric is None else format_interval(metric, digits)


def four_numbers(metrics: Metrics) -> str:
    """The numbers that must stand side by side, with those that others published."""
    rows = []
    for model in ("ours", "baseline"):
        external = metrics.get("external", {}).get(model, {}).get("weightings", {})
        cells = [
            metrics.get("official", {}).get(model, {}).get("accuracy"),
            metrics.get("protocol", {}).get(model, {}).get("accuracy"),
            *(external.get(w, {}).get("balanced_accuracy") for w in ("t1 contrast", "t1", "t2")),
            metrics.get("corrupted", {}).get(model, {}).get("mean"),
        ]
        if any(cell is not None for cell in cells):
            rows.append([model, *(_cell(cell) for cell in cells)])
    if not rows:
        return NOT_MEASURED
    rows += [[name, official, split, "-", "-", "-", "-"] for name, official, split in PUBLISHED]
    head = [
        "network", "official test (leaky)", "protocol test (patient-disjoint)",
        "other scanners, T1 contrast", "other scanners, T1", "other scanners, T2",
        "corrupted protocol test",
    ]  # fmt: skip
    return (
        table(head, rows)
        + "\n\nAccuracy; on other scanners balanced accuracy over glioma, meningioma and notumor "
        "(development, used for choosing). Published numbers are their authors', on their own "
        "splits, without intervals."
    )


def uncertainty(metrics: Metrics) -> str:
    """Calibration, prediction sets and verdicts on the protocol test."""
    models = _models(metrics.get("sureness", {}))
    if not models:
        return NOT_MEASURED
    head = ["network", "ECE", "ECE of a perfectly calibrated one", "confident", "uncertain",
            "unfamiliar", "accuracy of the confident", "slices (groups)"]  # fmt: skip
    rows = [
        [model, _cell(part["ece"]), _cell(part["ece_perfect"])]
        + [
            _cell(part.get("verdicts", {}).get(v))
            for v in ("confident", "uncertain", "unfamiliar", "accuracy_of_confident")
        ]
        + [_size(part)]
        for model, part in models
    ]
    pieces = [f"{models[0][1]['protocol']}.", table(head, rows)]
    for model, part in models:
        if "coverage" in part:
            pieces += [f"Prediction sets, {model}:", _sets(part["coverage"])]
    return "\n\n".join(pieces)


def _sets(coverage: Metrics) -> str:
    """Return the table of one network's prediction sets, by target coverage and class."""
    rows = []
    for target, classes in coverage.items():
        for name, row in classes.items():
            floor = "-" if row.get("floor") is None else f"{row['floor']:.3f}"
            groups = "-" if row.get("val_groups") is None else str(row["val_groups"])
            shares = [f"{row['sizes'][str(n)]['value']:.3f}" for n in range(1, 5)]
            held, size = _cell(row["coverage"]), _cell(row["size"], 2)
            rows.append([target, name, groups, floor, held, size, *shares, _size(row)])
    head = [
        "target coverage", "class", "val groups", "sure to reach", "holds the truth",
        "labels in the set", "sets of 1", "of 2", "of 3", "of 4", "slices (groups)",
    ]  # fmt: skip
    return table(head, rows)


def selective(metrics: Metrics) -> str:
    """Accuracy against the share answered, on the test and on other scanners."""
    columns = {}
    for model, part in _models(metrics.get("sureness", {})):
        columns[f"protocol test, {model}"] = part["selective"]
    for model, part in _models(metrics.get("external", {})):
        for name, row in part["weightings"].items():
            columns[f"other scanners {name}, {model}"] = row["selective"]
    if not columns:
        return NOT_MEASURED
    shares = [row["share"] for row in next(iter(columns.values()))]
    rows = [[name, *(_cell(row["accuracy"]) for row in curve)] for name, curve in columns.items()]
    return table(["accuracy when this share is answered", *(f"{s:.0%}" for s in shares)], rows)


def external(metrics: Metrics) -> str:
    """Other scanners, by weighting."""
    models = _models(metrics.get("external", {}))
    if not models:
        return NOT_MEASURED
    head = ["network", "weighting", "balanced accuracy", "tumours called `notumor`",
            "the same, confidently", "answered (confident)", "accuracy of the confident",
            "slices (groups)"]  # fmt: skip
    keys = ("balanced_accuracy", "tumour_called_notumor", "tumour_confidently_notumor",
            "answered", "accuracy_of_confident")  # fmt: skip
    rows = [
        [model, name, *(_cell(row.get(key)) for key in keys), _size(row)]
        for model, part in models
        for name, row in part["weightings"].items()
    ]
    other = [
        [model, *(_cell(part["other_lesion"].get(k)) for k in
                  ("confidently_a_tumour", "confidently_notumor", "unfamiliar")),
         _size(part["other_lesion"]["unfamiliar"])]
        for model, part in models
    ]  # fmt: skip
    return (
        f"{models[0][1]['protocol']}.\n\n{table(head, rows)}\n\n"
        "Lesions that are none of the classes:\n\n"
        + table(["network", "confidently one of the tumours", "confidently `notumor`",
                 "unfamiliar", "slices (groups)"], other)
    )  # fmt: skip


def external_patients(metrics: Metrics) -> str:
    """Other scanners whose patients are known, by class and weighting."""
    models = _models(metrics.get("external2", {}))
    if not models:
        return NOT_MEASURED
    head = ["class", "weighting", "recall", "called `notumor`", "confident",
            "accuracy of the confident", "unfamiliar", "peak on the tumour",
            "slices (patients)"]  # fmt: skip
    keys = ("recall", "called_notumor", "confident", "accuracy_of_confident", "unfamiliar",
            "pointing")  # fmt: skip
    rows = [
        [row["class"], row["weighting"], *(_cell(row[key]) for key in keys), _size(row["recall"])]
        for row in models[0][1]["rows"]
    ]
    return f"{models[0][1]['protocol']}.\n\n{table(head, rows)}"


def refusal(metrics: Metrics) -> str:
    """What is no brain MRI, and how much of it is refused."""
    part = metrics.get("not_brain_mri")
    if not part:
        return NOT_MEASURED
    rows = [["refused", _cell(part["refused"]), str(part["refused"]["n"])]]
    rows += [
        [f"refused, {kind}", _cell(row), str(row["n"])]
        for kind, row in part["refused_by_kind"].items()
    ]
    rows.append(["protocol test accepted", _cell(part["accepted"]), _size(part["accepted"])])
    rows.append(["AUROC of the familiarity", _cell(part["auroc"]), f"{part['auroc']['m']}"])
    return f"{part['protocol']}.\n\n" + table(["measure", "value", "pictures"], rows)


def corrupted(metrics: Metrics) -> str:
    """Accuracy on corrupted slices, by kind and severity."""
    models = _models(metrics.get("corrupted", {}))
    if not models:
        return NOT_MEASURED
    rows = []
    for model, part in models:
        for kind, row in part["kinds"].items():
            values = [f"{v['value']:.3f}" for v in row["severities"]]
            rows.append([model, kind, *values, _cell(row["mean"])])
        rows.append([model, "all", *[""] * 5, _cell(part["mean"])])
    head = ["network", "corruption", *(f"severity {i}" for i in range(1, 6)), "mean"]
    return f"{models[0][1]['protocol']}; n = {_size(models[0][1])}.\n\n" + table(head, rows)


def faithfulness(metrics: Metrics) -> str:
    """Whether the heatmaps are the network's reasons."""
    models = _models(metrics.get("faithfulness", {}))
    if not models:
        return NOT_MEASURED
    names = {
        "deletion": ("deletion_insertion", "deletion, area (lower is better)"),
        "deletion_random": ("deletion_insertion", "deletion in random order"),
        "insertion": ("deletion_insertion", "insertion, area (higher is better)"),
        "insertion_random": ("deletion_insertion", "insertion in random order"),
        "similarity_randomised": ("randomisation", "map's rank correlation, random weights"),
        "similarity_noise": ("randomisation", "the same, a little noise on the slice"),
        "fell": ("tumour_removed", "tumour removed: its probability fell"),
        "drop": ("tumour_removed", "tumour removed: mean fall"),
        "sham_drop": ("tumour_removed", "fill beside the tumour: mean fall"),
        "more_than_sham": ("tumour_removed", "removing did more than the fill beside it"),
    }
    rows = []
    for key, (section, words) in names.items():
        cells = [_cell(part[section].get(key)) for _, part in models]
        rows.append([words, *cells, _size(models[0][1][section])])
    head = ["check", *(model for model, _ in models), "slices (groups)"]
    return f"{models[0][1]['protocol']}.\n\n" + table(head, rows)


def shortcuts(metrics: Metrics) -> str:
    """What the file alone betrays."""
    part = metrics.get("shortcuts")
    if not part:
        return NOT_MEASURED
    rows = [
        [kind, *(_cell(part[when][kind][key]) for when in ("before", "after")
                 for key in ("accuracy", "balanced_accuracy"))]
        for kind in part["before"]
    ]  # fmt: skip
    head = ["decision tree sees", "accuracy before `prepare`", "balanced", "after", "balanced"]
    frequent = f"Always naming the most frequent class: {part['most_frequent_class']:.3f}"
    sample = _size(next(iter(part["before"].values())))
    return f"{part['protocol']}; n = {sample}. {frequent}.\n\n" + table(head, rows)


TRUST_REGIONS: dict[str, Callable[[Metrics], str]] = {
    "four-numbers": four_numbers,
    "sureness": uncertainty,
    "selective": selective,
    "external": external,
    "external2": external_patients,
    "refusal": refusal,
    "corrupted": corrupted,
    "faithfulness": faithfulness,
    "shortcuts": shortcuts,
}
