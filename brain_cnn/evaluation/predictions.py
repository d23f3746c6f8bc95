"""Predictions on disk: one CSV row an image, from which every published table follows.

Tables are computed from what is read back (`evaluate_file`), never from the numbers in
memory: the six decimals of the file then give exactly the published metrics.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brain_cnn.errors import DatasetError
from brain_cnn.evaluation.bootstrap import RESAMPLES
from brain_cnn.evaluation.metrics import evaluate_predictions
from brain_cnn.labels import LABELS, label_index

COLUMNS = ("path", "label", "group", *LABELS)


class PredictionTable(NamedTuple):
    """What a prediction CSV holds, in the order that `write_predictions` takes.

    Attributes:
        paths: N image paths relative to the data root.
        true: int64 (N,), positions in `LABELS`.
        probabilities: float64 (N, 4).
        groups: N group names, or None where no image has one.
    """

    paths: list[str]
    true: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    groups: list[str] | None


def write_predictions(
    path: Path | str,
    paths: Sequence[str],
    true_labels: Sequence[str] | Sequence[int] | NDArray[Any],
    probabilities: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None,
) -> None:
    """Write the CSV `path`, its folder too: probabilities with six decimals.

    Args:
        path: file to write (replaced where it exists).
        paths: N image paths relative to the data root.
        true_labels: N labels, by name or by position in `LABELS`.
        probabilities: float (N, 4).
        groups: N group names (bootstrap units), or None.

    Raises:
        ValueError: lengths that differ.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    count = len(paths)
    if len(true_labels) != count or scores.shape != (count, len(LABELS)):
        raise ValueError(f"{count} paths, {len(true_labels)} labels, probabilities {scores.shape}")
    if groups is not None and len(groups) != count:
        raise ValueError(f"{count} paths, {len(groups)} groups")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i in range(count):
            label = true_labels[i]
            name = label if isinstance(label, str) else LABELS[int(label)]
            group = "" if groups is None else str(groups[i])
            writer.writerow([paths[i], name, group, *(f"{p:.6f}" for p in scores[i])])


def read_predictions(path: Path | str) -> PredictionTable:
    """Read what `write_predictions` wrote.

    Raises:
        DatasetError: the file is missing or empty, or has other columns, an unknown label, a value
            that is not a number, or groups for some of its images only.
    """
    source = Path(path)
    if not source.is_file():
        raise DatasetError(
            "predictions-missing",
            f"There is no predictions file called {source.name}.",
            "Run scripts/train.py or scripts/evaluate.py to make it.",
        )
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise _damaged(source, f"has the columns {reader.fieldnames}, not {list(COLUMNS)}")
        rows = list(reader)
    if not rows:
        raise _damaged(source, "has no rows")
    unknown = sorted({row["label"] for row in rows} - set(LABELS))
    if unknown:
        raise _damaged(source, f"has the unknown label {unknown[0]!r}")
    try:
        scores = np.array([[float(row[label]) for label in LABELS] for row in rows])
    except (TypeError, ValueError) as error:
        raise _damaged(source, f"has a probability that is not a number ({error})") from error
    groups = [row["group"] for row in rows]
    if any(groups) and not all(groups):
        raise _damaged(source, f"has no group for {groups.count('')} of {len(groups)} images")
    return PredictionTable(
        [row["path"] for row in rows],
        np.array([label_index(row["label"]) for row in rows], dtype=np.int64),
        scores,
        groups if all(groups) else None,
    )


def evaluate_file(path: Path | str, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Return `evaluate_predictions` of a prediction CSV: the way every table is made."""
    _, true, probabilities, groups = read_predictions(path)
    return evaluate_predictions(true, probabilities, groups, resamples=resamples, seed=seed)


def _damaged(path: Path, what: str) -> DatasetError:
    return DatasetError(
        "predictions-damaged",
        f"The predictions file {path.name} {what}.",
        "Make it again with scripts/evaluate.py.",
    )
