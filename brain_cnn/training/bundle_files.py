"""A trained network -> a bundle: weights for each engine, calibration, and where it came from."""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from brain_cnn import __version__
from brain_cnn.dataset.batches import PreparedData
from brain_cnn.dataset.labelled import LabelledData
from brain_cnn.dataset.report import DataReport
from brain_cnn.inference.bundle import BundleOrigin, write_bundle_json
from brain_cnn.training.export.engine_files import MIN_IMAGES, export_all
from brain_cnn.training.pipeline import Trained
from brain_cnn.training.settings import TrainSettings, settings_as_json

_PACKAGES = (
    "tensorflow", "keras", "numpy", "opencv-python-headless", "pillow", "ncnn", "onnx", "tf2onnx",
)  # fmt: skip


@dataclass(frozen=True)
class MadeFrom:
    """What a bundle was made from.

    Attributes:
        name: what the model calls itself.
        settings: those of the training.
        report: of the data set.
        start_from: the network that the training began with; its run's settings are kept too.
    """

    name: str
    settings: TrainSettings
    report: DataReport
    start_from: Path | None = None


def write_bundle(
    trained: Trained, data: LabelledData, prepared: PreparedData, made: MadeFrom, out: Path
) -> None:
    """Write weights for each engine, calibration and `bundle.json` into `out`, the last one last.

    Raises:
        BundleError: the engines differ; nothing in `out` was replaced then.
    """
    staging = out.with_name(out.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    sample = data.split.val[:: max(1, len(data.split.val) // 128)]
    if len(sample) < MIN_IMAGES:
        sample = np.concatenate([sample, data.split.train[:MIN_IMAGES]])
    tensors = prepared.images[sample].astype(np.float32)[..., None] / 255.0
    files = export_all(trained.model, staging, tensors) + trained.calibration.save(staging)
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        (staging / file).replace(out / file)
    staging.rmdir()
    record = _training_record(made, data) | {"notumor_shift": trained.notumor_shift}
    origin = BundleOrigin(record, made.report.as_dict(), package_versions())
    write_bundle_json(
        out,
        name=made.name,
        version=__version__,
        input_size=made.settings.size,
        files=files,
        origin=origin,
    )


def _training_record(made: MadeFrom, data: LabelledData) -> dict[str, Any]:
    """Return the settings for `bundle.json`, with those of the network started from."""
    record: dict[str, Any] = json.loads(settings_as_json(made.settings))
    record |= {"split": data.split.name}
    if made.start_from is not None:
        record["started_from"] = _earlier_settings(made.start_from)
    return record


def _earlier_settings(network: Path) -> dict[str, Any]:
    settings = network.parent / "settings.json"
    return json.loads(settings.read_text()) if settings.exists() else {}


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a training."""
    versions = {"python": platform.python_version(), "brain-cnn": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions
