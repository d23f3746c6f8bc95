"""A run that stops anywhere is resumed to the rows and weights of one that did not stop."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow

from brain_cnn.dataset.batches import PreparedData, prepare_all
from brain_cnn.errors import SettingsError
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.training.optimisation import make_repeatable
from brain_cnn.training.run_folder import RunFolder
from brain_cnn.training.settings import BASELINE
from brain_cnn.training.trainer import fit

SETTINGS = replace(BASELINE, epochs=3, epoch_images=8, batch=4, size=32, patience=9)
STOPPED_EPOCH = 1  # 0, 1, 2: one before and one after it


class Stopped(BaseException):
    """The machine goes off: nothing catches it."""


class FileOperations:
    """Counts the changes of files in one folder, and stops the run at one of them."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        self.stop_at: int | None = None

    def start(self, folder: Path, stop_at: int | None) -> None:
        self.seen, self.stop_at, self.folder = [], stop_at, str(folder)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None or event not in ("open", "os.rename", "os.remove"):
            return
        path, mode = arguments[0], arguments[1] if event == "open" else "w"
        if not isinstance(path, str | bytes | os.PathLike) or mode is None:
            return
        if not os.fsdecode(path).startswith(self.folder) or "r" in str(mode):
            return
        self.seen.append(f"{event} {Path(os.fsdecode(path)).name}")
        if self.stop_at == len(self.seen):
            self.folder = None
            raise Stopped


OPERATIONS = FileOperations()


@pytest.fixture(scope="module", autouse=True)
def watched_files() -> None:
    sys.addaudithook(OPERATIONS.hook)  # stays for the process; does nothing without a folder


@pytest.fixture(scope="module", autouse=True)
def eager() -> Iterator[None]:
    """Many tiny runs: compiling each would take longer than its steps."""
    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def data() -> PreparedData:
    labels = [label for label in LABELS for _ in range(2)]
    return prepare_all(
        [draw_phantom(label, seed) for seed, label in enumerate(labels)], labels, None, 32
    )


def _train(data: PreparedData, folder: Path, **more: Any) -> keras.Model:
    make_repeatable(0)
    everything = np.arange(len(data.labels))
    return fit(data, everything, everything, SETTINGS, RunFolder(folder), **more)


def _left_behind(folder: Path, model: keras.Model) -> tuple[list[Any], list[list[np.ndarray]]]:
    """Return the rows of the run without their times, and the weights of its networks."""
    rows = [{k: v for k, v in r.items() if k != "seconds"} for r in RunFolder(folder).rows()]
    saved = [
        keras.models.load_model(folder / f"{n}.keras", compile=False) for n in ("last", "best")
    ]
    return rows, [one.get_weights() for one in (model, *saved)]


def _watch(monkeypatch: pytest.MonkeyPatch, folder: Path, stop_at: int | None = None) -> None:
    """Count the file operations at the end of `STOPPED_EPOCH`, or stop at one of them."""
    whole, calls = RunFolder.end_epoch, []

    def end_epoch(self: RunFolder, *arguments: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) == STOPPED_EPOCH + 1:
            OPERATIONS.start(folder, stop_at)
        whole(self, *arguments, **options)
        OPERATIONS.folder = None

    monkeypatch.setattr(RunFolder, "end_epoch", end_epoch)


def test_a_run_stopped_at_any_file_operation_resumes_to_the_same_rows_and_weights(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _watch(patch, tmp_path / "whole")
        rows, weights = _left_behind(tmp_path / "whole", _train(data, tmp_path / "whole"))
    operations = list(OPERATIONS.seen)
    assert len(rows) == SETTINGS.epochs and len(operations) > 5
    for number, operation in enumerate(operations, 1):
        folder = tmp_path / f"stopped_{number}"
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            _watch(patch, folder, stop_at=number)
            _train(data, folder)
        again_rows, again = _left_behind(folder, _train(data, folder, resume=True))
        assert again_rows == rows, f"stopped before {operation}"
        for one, other in zip(again, weights, strict=True):
            assert all(map(np.array_equal, one, other)), f"stopped before {operation}"


def test_resuming_writes_results_curves_and_networks_again_from_the_checkpoint(
    data: PreparedData, tmp_path: Path
) -> None:
    rows, weights = _left_behind(tmp_path, _train(data, tmp_path))
    for name in ("last.keras", "best.keras", "accuracy_loss.png"):
        (tmp_path / name).unlink()
    (tmp_path / "results.csv").write_text("epoch,loss\n1,0.5\n")
    again_rows, again = _left_behind(tmp_path, _train(data, tmp_path, resume=True))
    assert again_rows == rows
    assert (tmp_path / "accuracy_loss.png").stat().st_size > 0
    for one, other in zip(again, weights, strict=True):
        assert all(map(np.array_equal, one, other))


def test_the_run_of_an_earlier_version_is_refused_in_a_sentence(
    data: PreparedData, tmp_path: Path
) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"epoch": 3, "best_epoch": 2, "steps": 9}))
    with pytest.raises(SettingsError, match="earlier version") as refused:
        _train(data, tmp_path, resume=True)
    assert str(tmp_path) in str(refused.value) and "--start-from" in str(refused.value)


def test_a_damaged_checkpoint_is_named(data: PreparedData, tmp_path: Path) -> None:
    _train(data, tmp_path)
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(SettingsError, match=r"checkpoint\.npz is damaged"):
        _train(data, tmp_path, resume=True)


def test_a_run_is_not_resumed_with_other_settings(data: PreparedData, tmp_path: Path) -> None:
    """Its settings.json would name settings that the first epochs did not have."""
    _train(data, tmp_path)
    before = (tmp_path / "settings.json").read_text()
    everything, other = np.arange(len(data.labels)), replace(SETTINGS, batch=2)
    with pytest.raises(SettingsError, match="batch 4 before, 2 now"):
        fit(data, everything, everything, other, RunFolder(tmp_path), resume=True)
    assert (tmp_path / "settings.json").read_text() == before
