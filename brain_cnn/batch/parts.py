"""The folder of results: finished parts, what they were made with, and which files they hold.

`part-000000.parquet` holds the rows of the first stretch of the walk, and so on: read in the
order of their names, the parts are the whole in the order of the walk. A part is written
whole or not at all, so a run that is killed costs the rows of unfinished parts, which the
next run makes again, and no other.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain_cnn.batch.formats import FORMATS, UNFINISHED, read_table, write_table
from brain_cnn.batch.rows import COLUMNS, SLICE_COLUMNS, Row
from brain_cnn.batch.walk import Key, key_of
from brain_cnn.errors import SettingsError
from brain_cnn.labels import DISCLAIMER

_ABOUT = "scoring.json"
_LOCK = ".lock"
_PART = re.compile(rf"part-(\d{{6,}})(?:-(\d+))?\.({'|'.join(FORMATS)})")
_SEEN = {name: COLUMNS[name] for name in ("path", "error_code", "slices")}


@dataclass(frozen=True)
class Part:
    """A finished part: the stretch of the walk that its rows come from.

    Attributes:
        name: file name. first, last: keys of its first and last row.
        files, errors, slices: counts of its rows, of those with an error, and of slices.
    """

    name: str
    first: Key
    last: Key
    files: int
    errors: int
    slices: int


class Results:
    """An open folder of results; one run at a time.

    Args:
        folder: made where it is absent.
        form: "parquet", "csv" or "jsonl".
        settings: what the rows depend on; they must be the same in every run.

    Raises:
        SettingsError: another run is at work in the folder, its rows were made with other
            settings, or it holds something else.
    """

    def __init__(self, folder: Path, form: str, settings: dict[str, Any]) -> None:
        self.folder = folder
        self._form = form
        self._lock = _locked(folder)
        try:
            self._check_settings({"format": form, **settings})
            self._clean()
            self.parts = sorted(
                (found for path in self._files() if (found := _look_into(path)) is not None),
                key=lambda part: (part.first, part.name),
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another run in."""
        os.close(self._lock)

    def write(self, chunk: int, rows: Sequence[Row], slices: Sequence[Row] | None) -> None:
        """Write the part of a chunk. Its rows count from the moment that it has its name.

        Args:
            chunk: its place in the walk, from 0.
            rows: at least one.
            slices: rows of its slices; None where they were not asked for.
        """
        name = f"part-{chunk:06d}"
        again = 0
        # Files that were added to the archive since get a part of their own.
        while (self.folder / f"{name}.{self._form}").exists():
            again += 1
            name = f"part-{chunk:06d}-{again}"
        if slices is not None:
            path = self.folder / f"{name.replace('part', 'slices', 1)}.{self._form}"
            write_table(path, slices, SLICE_COLUMNS)
        write_table(self.folder / f"{name}.{self._form}", rows, COLUMNS)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new names too
        finally:
            os.close(folder)

    def done(self) -> Done:
        """Return what tells the files that have their row from those that wait for one."""
        return Done(self.folder, self.parts)

    def _files(self) -> list[Path]:
        return [path for path in sorted(self.folder.iterdir()) if _PART.fullmatch(path.name)]

    def _check_settings(self, settings: dict[str, Any]) -> None:
        path = self.folder / _ABOUT
        if path.exists():
            try:
                about = json.loads(path.read_text(encoding="utf-8"))
                found = about["settings"]
                columns = [*about["columns"], *about["slice_columns"]]
            except (ValueError, KeyError, TypeError) as error:
                raise SettingsError(
                    "bad-results",
                    f"{path} is damaged.",
                    "Give another folder with --out.",
                ) from error
            for name, value in settings.items():
                if found.get(name) != value:
                    raise SettingsError(
                        "other-results",
                        f"The results in {self.folder} were made with {name} "
                        f"{found.get(name)!r}, this run has {value!r}.",
                        "Use the same options, or give another folder with --out.",
                    )
            if columns != [*COLUMNS, *SLICE_COLUMNS]:
                raise SettingsError(
                    "other-results",
                    f"The results in {self.folder} have other columns than this version writes.",
                    "Continue with the version that began them, or give another folder with --out.",
                )
            return
        others = [p.name for p in self.folder.iterdir() if p.name != _LOCK]
        if any(not name.endswith(UNFINISHED) for name in others):
            raise SettingsError(
                "not-results",
                f"{self.folder} holds files that are no results of this command.",
                "Give a new or an empty folder with --out.",
            )
        about = {
            "disclaimer": DISCLAIMER,
            "settings": settings,
            "columns": {name: meaning for name, (_, meaning) in COLUMNS.items()},
            "slice_columns": {name: meaning for name, (_, meaning) in SLICE_COLUMNS.items()},
        }
        unfinished = path.with_name(path.name + UNFINISHED)
        unfinished.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)

    def _clean(self) -> None:
        """Remove what a run that died left: unfinished parts, and slices without their part."""
        for path in self.folder.iterdir():
            lone = (
                path.name.startswith("slices-")
                and not (self.folder / path.name.replace("slices", "part", 1)).exists()
            )
            if path.name.endswith(UNFINISHED) or lone:
                path.unlink()


class Done:
    """Answers which files have their row, asked in the order of the walk.

    Holds the paths of the parts around the place of the walk, not those of all parts.
    """

    def __init__(self, folder: Path, parts: Sequence[Part]) -> None:
        self._folder = folder
        self._coming = list(parts)[::-1]
        self._around: list[tuple[Key, set[str]]] = []  # (last key, paths)

    def has(self, path: str) -> bool:
        """Whether a file has its row. `path` must not lie before that of the last call."""
        key = key_of(path)
        self._around = [(last, paths) for last, paths in self._around if last >= key]
        while self._coming and self._coming[-1].first <= key:
            part = self._coming.pop()
            if part.last >= key:
                rows = read_table(self._folder / part.name, {"path": COLUMNS["path"]})
                self._around.append((part.last, {row["path"] for row in rows}))
        return any(path in paths for _, paths in self._around)


def read_rows(folder: Path) -> Iterator[Row]:
    """Yield all rows of a folder of results, part by part, in the order of the walk."""
    parts = [(found, p) for p in folder.iterdir() if (found := _PART.fullmatch(p.name))]
    for _, path in sorted(parts, key=lambda one: (int(one[0][1]), int(one[0][2] or 0))):
        yield from read_table(path, COLUMNS)


def _look_into(path: Path) -> Part | None:
    rows = list(read_table(path, _SEEN))
    if not rows:
        return None
    return Part(
        path.name,
        key_of(rows[0]["path"]),
        key_of(rows[-1]["path"]),
        len(rows),
        sum(row["error_code"] is not None for row in rows),
        sum(row["slices"] or 0 for row in rows),
    )


def _locked(folder: Path) -> int:
    """Return an open lock of the folder; it goes with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.close(lock)
        raise SettingsError(
            "results-in-use",
            f"Another run is writing to {folder}.",
            "Wait for it, or give another folder with --out.",
        ) from error
    return lock
