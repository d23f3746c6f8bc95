"""One folder a training run: a checkpoint, and what people read that follows from it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from brain_cnn.training.checkpoint import Checkpoint, Row, replace_file

Item = TypeVar("Item")


class RunFolder:
    """Paths and files of one run; every file is written whole or not at all.

    `checkpoint.npz` alone is the state of the run. `results.csv`, the curves, `last.keras` and
    `best.keras` follow from it and are written after it; `--resume` writes them again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.interrupted = False
        path.mkdir(parents=True, exist_ok=True)

    def write_text(self, name: str, text: str) -> None:
        """Write `text` to the file `name` of the run."""
        replace_file(self.path / name, lambda file: file.write(text.encode()))

    def progress(self, items: Iterable[Item], total: int, epoch: int) -> Iterator[Item]:
        """Pass `items` on under a progress bar with the time left in this epoch."""
        from tqdm import tqdm

        # No bar where nobody watches: a log file gets the line of each epoch alone.
        bar = tqdm(items, total=total, desc=f"epoch {epoch + 1}", leave=False, disable=None)
        yield from bar

    def end_epoch(self, checkpoint: Checkpoint, last: Any, best: Any | None) -> None:
        """Save what the next epoch goes on from, then what follows from it.

        Args:
            checkpoint: replaces the one of the epoch before.
            last: a network with the averaged weights, saved as `last.keras`.
            best: the network to use, saved as `best.keras`; None leaves the file alone.
        """
        checkpoint.save(self.path)
        self.write_derived(checkpoint.rows, last, best)

    def write_derived(self, rows: list[Row], last: Any, best: Any | None) -> None:
        """Write what follows from a checkpoint: results, curves and networks for people."""
        self._write_rows(rows)
        self._save_model("last.keras", last)
        if best is not None:
            self._save_model("best.keras", best)
        self._draw_curves()

    def load(self) -> Checkpoint | None:
        """Return the checkpoint of the last finished epoch, or None where there is none.

        Raises:
            SettingsError: it cannot be resumed; see `Checkpoint.load`.
        """
        return Checkpoint.load(self.path)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `results.csv`, oldest first; empty before the first epoch."""
        path = self.path / "results.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _write_rows(self, rows: list[Row]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        self.write_text("results.csv", text.getvalue())

    def _draw_curves(self) -> None:
        from brain_cnn.evaluation.figures import accuracy_loss_curves, save_figure

        save_figure(accuracy_loss_curves(self.rows()), self.path / "accuracy_loss")

    def _save_model(self, name: str, model: Any) -> None:
        part = self.path / f"part.{name}"
        model.save(part)
        part.replace(self.path / name)
