"""Tables of rows on disk: Parquet, CSV and JSON Lines, each written completely or not at all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from brain_cnn.batch.rows import Row
from brain_cnn.errors import SettingsError
from brain_cnn.labels import DISCLAIMER

Columns = Mapping[str, tuple[str, str]]

# A spreadsheet takes a cell that starts like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "./")
UNFINISHED = ".part"
"""Ending of a file that is being written; one that is found later is of a run that died."""


def write_table(path: Path, rows: Sequence[Row], columns: Columns) -> None:
    """Write a table under another name, and rename it when it is on the disk."""
    unfinished = path.with_name(path.name + UNFINISHED)
    _WRITERS[path.suffix](unfinished, rows, columns)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def read_table(path: Path, columns: Columns) -> Iterator[Row]:
    """Yield the rows of a table as they were written."""
    yield from _READERS[path.suffix](path, columns)


def check_format(name: str) -> None:
    """Refuse a format that cannot be written here.

    Raises:
        SettingsError: Parquet without `pyarrow`.
    """
    if name == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise SettingsError(
                "no-pyarrow",
                "Parquet needs the package pyarrow, which is not installed.",
                "Install requirements-cluster.txt, or choose --format csv or jsonl.",
            ) from error


def _write_parquet(path: Path, rows: Sequence[Row], columns: Columns) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "text": pa.string(),
        "whole": pa.int32(),
        "number": pa.float64(),
        "yes-no": pa.bool_(),
    }
    fields = [
        pa.field(name, kinds[kind], metadata={"is": meaning})
        for name, (kind, meaning) in columns.items()
    ]
    schema = pa.schema(fields, metadata={"disclaimer": DISCLAIMER})
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path, compression="zstd")


def _read_parquet(path: Path, columns: Columns) -> Iterator[Row]:
    import pyarrow.parquet as pq

    yield from pq.read_table(path, columns=list(columns)).to_pylist()


def _write_csv(path: Path, rows: Sequence[Row], columns: Columns) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\r\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(name, row[name]) for name in columns})


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return repr(value)
    # The same file by another spelling, and no formula; `_read_csv` takes it away again.
    return f"./{value}" if name == "path" and value.startswith(_FORMULA) else value


_FROM_CELL: dict[str, Callable[[str], Any]] = {
    "text": str,
    "whole": int,
    "number": float,
    "yes-no": lambda cell: cell == "yes",
}


def _read_csv(path: Path, columns: Columns) -> Iterator[Row]:
    csv.field_size_limit(1 << 24)
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            row = {}
            for name, (kind, _) in columns.items():
                cell = line[name]
                row[name] = _FROM_CELL[kind](cell) if cell else None
            if row["path"] is not None:
                row["path"] = row["path"].removeprefix("./")
            yield row


def _write_jsonl(path: Path, rows: Sequence[Row], columns: Columns) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({name: row[name] for name in columns}) + "\n")


def _read_jsonl(path: Path, columns: Columns) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield {name: row[name] for name in columns}


_WRITERS = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
_READERS = {".parquet": _read_parquet, ".csv": _read_csv, ".jsonl": _read_jsonl}
FORMATS = tuple(suffix[1:] for suffix in _WRITERS)
"""What `--format` takes."""
