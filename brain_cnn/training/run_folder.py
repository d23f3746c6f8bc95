"""One folder a training run: settings, results of every epoch, curves, checkpoints."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from keras.ops import convert_to_numpy as to_numpy
from numpy.typing import NDArray

Item = TypeVar("Item")
Weights = list[NDArray[Any]]


class RunFolder:
    """Paths and files of one run; every file is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.interrupted = False
        path.mkdir(parents=True, exist_ok=True)

    def write_text(self, name: str, text: str) -> None:
        """Write `text` to the file `name` of the run."""
        part = self.path / f"{name}.part"
        part.write_text(text)
        part.replace(self.path / name)

    def progress(self, items: Iterable[Item], total: int, epoch: int) -> Iterator[Item]:
        """Pass `items` on under a progress bar with the time left in this epoch."""
        from tqdm import tqdm

        # No bar where nobody watches: a log file gets the line of each epoch alone.
        bar = tqdm(items, total=total, desc=f"epoch {epoch + 1}", leave=False, disable=None)
        yield from bar

    def end_epoch(
        self,
        row: dict[str, Any],
        variables: list[Any],
        averaged: Any,
        average: Weights,
        state: dict[str, Any],
    ) -> None:
        """Save what the next epoch goes on from, then the row and the curves.

        Args:
            row: the epoch's line of `results.csv`.
            variables: the network's and the optimiser's, in their order.
            averaged: a network with the averaged weights, saved as `last.keras` for people.
            average: those weights.
        """
        self._save_model("last.keras", averaged)
        self._save_arrays("resume.npz", [to_numpy(variable) for variable in variables])
        self._save_arrays("average.npz", average)
        self._append(row)
        # Written last: it says that everything above belongs to this epoch.
        self.write_text("state.json", json.dumps(state) + "\n")
        self._draw_curves()

    def _append(self, row: dict[str, Any]) -> None:
        rows = [old for old in self.rows() if int(old["epoch"]) < row["epoch"]]
        part = self.path / "results.csv.part"
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows([*rows, row])
        part.replace(self.path / "results.csv")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `results.csv`, oldest first; empty before the first epoch."""
        path = self.path / "results.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _draw_curves(self) -> None:
        from brain_cnn.evaluation.figures import accuracy_loss_curves, save_figure

        save_figure(accuracy_loss_curves(self.rows()), self.path / "accuracy_loss")

    def load_state(self) -> dict[str, Any] | None:
        """Return the state of the last finished epoch, or None when there is none."""
        path = self.path / "state.json"
        return json.loads(path.read_text()) if path.exists() else None

    def restore(self, variables: list[Any]) -> Weights:
        """Give the network's and optimiser's variables the last epoch's state.

        Returns:
            The averaged weights of that epoch.
        """
        for variable, value in zip(variables, self._load_arrays("resume.npz"), strict=True):
            variable.assign(value)
        return self._load_arrays("average.npz")

    def save_best(self, averaged: Any, average: Weights) -> None:
        """Save the best epoch so far: `best.keras` for people, its weights for `load_best`."""
        self._save_model("best.keras", averaged)
        self._save_arrays("best.npz", average)

    def load_best(self, fallback: Weights) -> Weights:
        """Return the best epoch's averaged weights, or `fallback` when none was saved."""
        return self._load_arrays("best.npz") if (self.path / "best.npz").exists() else fallback

    def _save_model(self, name: str, model: Any) -> None:
        part = self.path / f"part.{name}"
        model.save(part)
        part.replace(self.path / name)

    def _save_arrays(self, name: str, arrays: Weights) -> None:
        part = self.path / f"{name}.part"
        with part.open("wb") as file:
            np.savez(file, *arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path / name)

    def _load_arrays(self, name: str) -> Weights:
        with np.load(self.path / name, allow_pickle=False) as arrays:
            return [arrays[f"arr_{place}"] for place in range(len(arrays.files))]
