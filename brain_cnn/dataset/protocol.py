"""The CSV of a protocol split: one row an image."""

from __future__ import annotations

import csv
from pathlib import Path

from brain_cnn.errors import DatasetError

COLUMNS = (
    "path",
    "class",
    "copy_group",
    "representative",
    "similarity_group",
    "label_conflict",
    "protocol_split",
)
"""What the CSV must have; `suspect` is read where it is there."""


def read_protocol(csv_path: Path) -> dict[str, dict[str, str]]:
    """Return path -> row of a CSV with the columns `COLUMNS`.

    Raises:
        DatasetError: it cannot be read or lacks a column.
    """
    try:
        with csv_path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = {row["path"]: row for row in reader} if "path" in columns else {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            "protocol-unreadable", f"The protocol {csv_path} cannot be read: {error}."
        ) from error
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise DatasetError(
            "protocol-columns",
            f"The protocol lacks the column {', '.join(missing)}.",
            f"It needs {', '.join(COLUMNS)}.",
        )
    return rows
