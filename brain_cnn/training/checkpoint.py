"""All that the next epoch of a training goes on from, in one file that is replaced once."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import SettingsError

Weights = list[NDArray[Any]]
Row = dict[str, float]
"""One epoch's line of `results.csv`."""

NAME = "checkpoint.npz"
# Three files, replaced one after the other: a stop in between left a state of no epoch.
_EARLIER = "state.json"


@dataclass(frozen=True)
class Best:
    """The epoch whose weights are used.

    Attributes:
        epoch: 0, 1, ...
        loss: its cross-entropy on val, nats.
        weights: its averaged weights.
    """

    epoch: int
    loss: float
    weights: Weights


@dataclass(frozen=True)
class Checkpoint:
    """A training after a finished epoch.

    Attributes:
        settings: those of the run, as JSON holds them.
        rows: one for each finished epoch, oldest first.
        variables: of the network and its optimiser, in their order.
        average: the averaged weights.
        steps: how many steps they were averaged over.
        best: None before there is one.
    """

    settings: dict[str, Any]
    rows: list[Row]
    variables: Weights
    average: Weights
    steps: int
    best: Best | None

    @property
    def epoch(self) -> int:
        """The last finished epoch: 0, 1, ..."""
        return len(self.rows) - 1

    def save(self, folder: Path) -> None:
        """Replace the checkpoint in `folder`: a crash leaves the old one or the new one."""
        best = None if self.best is None else {"epoch": self.best.epoch, "loss": self.best.loss}
        state = {"settings": self.settings, "rows": self.rows, "steps": self.steps, "best": best}
        arrays: dict[str, Any] = {
            **_numbered("variable", self.variables),
            **_numbered("average", self.average),
            **_numbered("best", [] if self.best is None else self.best.weights),
        }
        text = json.dumps(state)
        replace_file(folder / NAME, lambda file: np.savez(file, state=np.array(text), **arrays))

    @classmethod
    def load(cls, folder: Path) -> Checkpoint | None:
        """Return the checkpoint in `folder`, or None where no epoch was finished.

        Raises:
            SettingsError: it is damaged, or an earlier version of this program made it.
        """
        path = folder / NAME
        if not path.exists():
            if (folder / _EARLIER).exists():
                raise SettingsError(
                    "old-run",
                    f"{folder} holds the checkpoint of an earlier version, which this version "
                    "cannot resume.",
                    "Start a new run in another --run-dir; --start-from takes the old run's "
                    "best.keras.",
                )
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                state = json.loads(str(arrays["state"]))
                best = state.pop("best")
                return cls(
                    **state,
                    variables=_collected("variable", arrays),
                    average=_collected("average", arrays),
                    best=None if best is None else Best(**best, weights=_collected("best", arrays)),
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise SettingsError(
                "bad-checkpoint",
                f"{path} is damaged ({error}).",
                "Start a new run in another --run-dir.",
            ) from error


def run_exists(folder: Path) -> bool:
    """Return whether `folder` holds a run of at least one epoch, of this version or an earlier."""
    return (folder / NAME).exists() or (folder / _EARLIER).exists()


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file whole or not at all, even where the machine stops in between."""
    part = path.with_name(f"part.{path.name}")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    # The new name is kept by the folder: it must reach the disk too.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _numbered(name: str, arrays: Weights) -> dict[str, NDArray[Any]]:
    return {f"{name}_{place}": array for place, array in enumerate(arrays)}


def _collected(name: str, arrays: Any) -> Weights:
    count = sum(key.startswith(f"{name}_") for key in arrays.files)
    return [arrays[f"{name}_{place}"] for place in range(count)]
