"""Write what is measured, and what the program says of itself, into the documents.

    python scripts/write_docs.py            # fill the generated regions
    python scripts/write_docs.py --check    # only say whether they are up to date

The numbers come from `metrics.json`; settings, API and the examples' output come from the
program (`reference_docs.py`). A generated region lies between `<!-- BEGIN GENERATED name -->` and
`<!-- END GENERATED name -->`; what stands between them is replaced. Nobody types a number
into a document by hand, so no document can disagree with the measurement.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reference_docs import REFERENCE_REGIONS

from brain_cnn.errors import BrainCnnError
from brain_cnn.evaluation.metrics import format_interval, sample_sentence
from brain_cnn.evaluation.tables import NOT_MEASURED, TRUST_REGIONS
from brain_cnn.evaluation.tables import table as _table

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = ROOT / "models" / "brain_cnn"
DOCUMENTS = (
    ROOT / "README.md",
    BUNDLE / "MODEL_CARD.md",
    *(ROOT / "docs" / name for name in ("results.md", "settings.md", "api.md", "verdict.md")),
)

_REGION = re.compile(
    r"(?P<begin><!-- BEGIN GENERATED (?P<name>[\w-]+) -->\n)(?P<body>.*?)"
    r"(?P<end><!-- END GENERATED (?P=name) -->)",
    re.DOTALL,
)
_MARK = re.compile(r"<!-- (BEGIN|END) GENERATED ")
Metrics = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 when `--check` finds a difference, 2 on an error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    parser.add_argument("--metrics", type=Path, default=BUNDLE / "metrics.json")
    parser.add_argument("documents", nargs="*", type=Path, default=list(DOCUMENTS))
    args = parser.parse_args(arguments)
    try:
        metrics = json.loads(args.metrics.read_text(encoding="utf-8"))
        bundle_json = args.metrics.parent / "bundle.json"
        if "training" not in metrics and bundle_json.is_file():
            metrics["training"] = json.loads(bundle_json.read_text(encoding="utf-8"))["training"]
        stale = []
        for document in args.documents:
            old = document.read_text(encoding="utf-8")
            new = fill_regions(old, metrics)
            if new != old:
                stale.append(document.name)
                if not args.check:
                    document.write_text(new, encoding="utf-8")
    except (OSError, json.JSONDecodeError, BrainCnnError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if stale and args.check:
        print(f"Out of date: {', '.join(stale)}. Run python scripts/write_docs.py.")
        return 1
    print(f"Written: {', '.join(stale)}." if stale else "Up to date.")
    return 0


def fill_regions(text: str, metrics: Metrics) -> str:
    """Return `text` with every generated region written anew from `metrics`.

    Raises:
        BrainCnnError: an unknown region, or marks that do not pair.
    """

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in REGIONS:
            raise BrainCnnError(
                "unknown-region", f"No generated region is called {name!r}.",
                f"There are {', '.join(REGIONS)}.",
            )  # fmt: skip
        return f"{match['begin']}{REGIONS[name](metrics).strip()}\n{match['end']}"

    filled, count = _REGION.subn(fill, text)
    if len(_MARK.findall(filled)) != 2 * count:
        raise BrainCnnError(
            "unpaired-region",
            "A BEGIN GENERATED or END GENERATED mark has no partner of the same name.",
            "Give each region both marks, each on a line of its own.",
        )
    return filled


def summary(metrics: Metrics) -> str:
    """One row a split and model: what a reader wants to know first."""
    rows = []
    for split in ("protocol", "official"):
        part = metrics.get(split)
        if part is None:
            continue
        name = f"{split} (leaky)" if part["leaky"] else split
        for model in _models(part):
            result = part[model]
            rows.append(
                [name, model]
                + [format_interval(result[key], 3) for key in ("accuracy", "macro_f1", "macro_auc")]
                + [format_interval(result["tumour_called_notumor"], 3)]
                + [f"{result['n']} ({_group_count(result)})"]
            )
    if not rows:
        return NOT_MEASURED
    head = [
        "test split", "model", "accuracy", "macro F1", "macro AUC",
        "tumours called `notumor`", "images (groups)",
    ]  # fmt: skip
    notes = [
        f"*{split}*: {metrics[split]['sentence']}" for split in metrics if _is_split(metrics, split)
    ]
    return (
        _table(head, rows)
        + "\n\nIn parentheses: 95 % bootstrap intervals over whole groups (patients, or "
        + "look-alike images where the patient is unknown).\n\n"
        + "\n\n".join(notes)
    )


def split_tables(split: str) -> Callable[[Metrics], str]:
    """Return the writer of one split's tables: a table of the classes for each model."""

    def write(metrics: Metrics) -> str:
        part = metrics.get(split)
        if part is None:
            return NOT_MEASURED
        pieces = [part["sentence"]]
        if part["leaky"]:
            pieces[0] = f"**Leaky split, for comparison only.** {pieces[0]}"
        pieces += [_class_table(model, part[model]) for model in _models(part)]
        if part.get("reference"):
            rows = [
                [label, *(f"{numbers[key]:.4f}" for key in ("precision", "recall", "f1"))]
                for label, numbers in part["reference"].items()
            ]
            pieces.append(
                "Published reference (its authors' numbers, same leaky split):\n\n"
                + _table(["class", "precision", "recall", "F1"], rows)
            )
        return "\n\n".join(pieces)

    return write


def localisation(metrics: Metrics) -> str:
    """Whether the heatmap lies on the tumour."""
    part = metrics.get("localisation")
    if not part:
        return NOT_MEASURED
    rows = []
    # One result, or one a model.
    for model, result in {"ours": part}.items() if "pointing" in part else part.items():
        if isinstance(result, dict) and "pointing" in result:
            rows.append(
                [
                    model,
                    format_interval(result["pointing"], 3),
                    format_interval(result["energy_ratio"], 1),
                    format_interval(result["empty"], 3),
                    f"{result['n']} ({_group_count(result)})",
                ]
            )
    if not rows:
        return NOT_MEASURED
    head = ["model", "peak on the tumour", "energy ratio", "empty maps", "val tumours (groups)"]
    return _table(head, rows)


def elsewhere(metrics: Metrics) -> str:
    """How good the network is on other scanners, in one sentence."""
    weightings = metrics.get("external", {}).get("ours", {}).get("weightings", {})
    found = [
        f"{name.replace('t1', 'T1').replace('t2', 'T2')} "
        f"{format_interval(row['balanced_accuracy'], 3)}"
        for name, row in weightings.items()
        if name != "all"
    ]
    if not found:
        return NOT_MEASURED
    return (
        f"On other scanners the network is clearly worse. Its balanced accuracy over glioma, "
        f"meningioma and notumor there: {', '.join(found)} (slices that helped to choose the "
        f"network)."
    )


def training(metrics: Metrics) -> str:
    """How the shipped weights were made, as the training script recorded it."""
    rows = _flat(metrics.get("training") or {})
    if not rows:
        return NOT_MEASURED
    return _table(["setting", "value"], [[f"`{key}`", value] for key, value in rows])


REGIONS: dict[str, Callable[[Metrics], str]] = {
    "summary": summary,
    "protocol": split_tables("protocol"),
    "official": split_tables("official"),
    "localisation": localisation,
    "training": training,
    "elsewhere": elsewhere,
    **TRUST_REGIONS,
    **REFERENCE_REGIONS,
}


def _class_table(model: str, result: dict[str, Any]) -> str:
    rows = [
        [label]
        + [format_interval(row[key], 3) for key in ("precision", "recall", "f1", "auc")]
        + [str(row["support"])]
        for label, row in result["per_class"].items()
    ]
    macro = [format_interval(result[f"macro_{k}"], 3) for k in ("precision", "recall", "f1", "auc")]
    rows.append(["macro average", *macro, str(result["n"])])
    head = ["class", "precision", "recall", "F1", "AUC", "support"]
    size = f" ({result['parameters']:,} parameters)" if "parameters" in result else ""
    return (
        f"**{model}**{size}: accuracy {format_interval(result['accuracy'], 3)}, "
        f"calibration error (ECE) {format_interval(result['ece'], 3)}; "
        f"{sample_sentence(result)}\n\n{_table(head, rows)}"
    )


def _models(part: dict[str, Any]) -> list[str]:
    return [model for model in ("ours", "baseline") if model in part]


def _is_split(metrics: Metrics, name: str) -> bool:
    return isinstance(metrics[name], dict) and "sentence" in metrics[name]


def _group_count(result: dict[str, Any]) -> str:
    return "no groups" if result["groups"] is None else str(result["groups"])


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in record.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "-" if value is None else str(value)))
    return rows


if __name__ == "__main__":
    sys.exit(main())
