"""What would spoil a run, said in one table before its first epoch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from brain_cnn.dataset.labelled import LabelledData, true_labels
from brain_cnn.errors import DatasetError, SettingsError
from brain_cnn.labels import LABELS
from brain_cnn.training.export.engine_files import MIN_IMAGES

# Checkpoints with the optimiser's state, two networks, and the bundle with its engines.
_DISK_BYTES = 256 * 1024 * 1024
_PARTS = ("train", "val", "test")
_LEAST = {"train": 2, "val": 1}  # images of each class


def check_training_data(data: LabelledData, *, exports: bool) -> str:
    """Return the table of images by class and part.

    Args:
        data: the data set and its split.
        exports: whether a bundle will be written, which takes more images.

    Raises:
        DatasetError: what the data cannot support, all of it, with the table.
    """
    counts = {
        part: np.bincount(true_labels(data, getattr(data.split, part)), minlength=len(LABELS))
        for part in _PARTS
    }
    lines = ["images      " + "".join(f"{part:>8}" for part in _PARTS)]
    faults = []
    for place, label in enumerate(LABELS):
        row = {part: int(counts[part][place]) for part in _PARTS}
        lines.append(f"{label:<12}" + "".join(f"{row[part]:>8}" for part in _PARTS))
        for part, least in _LEAST.items():
            if row[part] < least:
                some = "no image" if row[part] == 0 else "one image"
                faults.append(f"{label} has {some} in the {part} part, at least {least} needed")
        if not row["test"]:
            lines.append(f"  {label} has no image in the test part: it will not be measured")
    total = int(counts["train"].sum())
    if exports and total < MIN_IMAGES:
        faults.append(f"the train part has {total} images, a bundle needs {MIN_IMAGES}")
    if data.unreadable:
        lines.append(f"Unreadable and left out: {len(data.unreadable)}")
    table = "\n".join(lines)
    if faults:
        raise DatasetError(
            "cannot-train",
            f"The data cannot support this training: {'; '.join(faults)}.\n{table}\n",
            "Add images, or choose another split.",
        )
    return table


def check_disk(run_dir: Path, out: Path) -> None:
    """Refuse to start where the run would fill the disk or cannot write.

    Raises:
        SettingsError: a folder cannot be written, or has too little space.
    """
    for folder in (run_dir, out):
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            trial = folder / ".trial"
            trial.write_bytes(b"")
            trial.unlink()
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise SettingsError(
                "unwritable",
                f"{folder} cannot be written ({error.strerror}).",
                f"Choose another folder, or give the rights to write in {existing}.",
            ) from error
        if free < _DISK_BYTES:
            raise SettingsError(
                "disk-full",
                f"The disk of {folder} has {free:,} bytes free; a run needs {_DISK_BYTES:,}.",
                "Free some space, or choose another folder.",
            )
