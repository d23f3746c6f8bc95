"""The model folder: what is in it, how it is written, and the checks before it is used.

brain_cnn.keras  brain_cnn.onnx  brain_cnn.ncnn.*    the network, for each engine
calibration.json  familiarity.npz                   both lines are listed in
bundle.json     labels in order, input size, preprocessing version, SHA-256 of each file
metrics.json  predictions/  figures/  MODEL_CARD.md                  not needed to serve
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from brain_cnn.errors import BundleError
from brain_cnn.inference.calibration import Calibration
from brain_cnn.labels import LABELS
from brain_cnn.preprocess import PREPROCESS_VERSION
from brain_cnn.resources import resource

BUNDLE_FORMAT = 1
"""Raised when bundle.json changes so that an older program would read it wrongly."""

ONNX_NAME = "brain_cnn.onnx"
KERAS_NAME = "brain_cnn.keras"
NCNN_NAMES = ("brain_cnn.ncnn.param", "brain_cnn.ncnn.bin")
MODEL_ENV = "BRAIN_CNN_MODEL"

SHIPPED_BUNDLE = resource("models/brain_cnn")

_NEEDED = (ONNX_NAME, KERAS_NAME, "calibration.json")
_RESTORE = "Restore the model folder from the repository, or train again (make train)."


@dataclass(frozen=True)
class Bundle:
    """A model folder that passed every check.

    Attributes:
        path: the folder.
        labels: class names in the order of the network's outputs; always `LABELS`.
        input_size: side of the network's input, pixels.
        preprocess_version: the `prepare` it was trained with; always ours.
        onnx_path, keras_path: the same network for these two engines.
        ncnn_paths: graph and weights for ncnn; None in a bundle without them.
        calibration: temperature, prediction sets and the familiarity gate.
        info: everything in bundle.json.
        name, version: what the model calls itself.
        sha256: of the ONNX file, hex; identifies the weights.
        fingerprint: SHA-256, hex, over the checksums of all listed files: another one where
            the network of any engine or the calibration is another.
    """

    path: Path
    labels: tuple[str, ...]
    input_size: int
    preprocess_version: int
    onnx_path: Path
    keras_path: Path
    ncnn_paths: tuple[Path, Path] | None
    calibration: Calibration
    info: dict[str, Any]
    name: str
    version: str
    sha256: str
    fingerprint: str


def load_bundle(path: Path | None = None, calibration: Calibration | None = None) -> Bundle:
    """Check a model folder and return it.

    Args:
        path: the folder; None means `BRAIN_CNN_MODEL`, else the bundle shipped with the
            package.
        calibration: this one in place of the folder's, which is to be fitted again.

    Raises:
        BundleError: the folder, bundle.json or a listed file is missing, a checksum, the
            labels, the preprocessing version or the input size does not fit. The message
            says which, and what to do.
    """
    if path is None:
        path = Path(os.environ.get(MODEL_ENV) or SHIPPED_BUNDLE)
    info = _read_info(path)
    _check_versions(info)
    _check_files(path, info["files"])
    return Bundle(
        path=path,
        labels=LABELS,
        input_size=info["input_size"],
        preprocess_version=info["preprocess_version"],
        onnx_path=path / ONNX_NAME,
        keras_path=path / KERAS_NAME,
        ncnn_paths=_ncnn_paths(path, info["files"]),
        calibration=Calibration.load(path) if calibration is None else calibration,
        info=info,
        name=str(info["name"]),
        version=str(info["version"]),
        sha256=info["files"][ONNX_NAME],
        fingerprint=hashlib.sha256(json.dumps(info["files"], sort_keys=True).encode()).hexdigest(),
    )


@dataclass(frozen=True)
class BundleOrigin:
    """What a bundle was made from, as bundle.json keeps it.

    Attributes:
        training: settings of the run. data: fingerprint and split. versions: of packages.
    """

    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def write_bundle_json(
    path: Path,
    *,
    name: str,
    version: str,
    input_size: int,
    files: list[str],
    origin: BundleOrigin,
) -> None:
    """Write bundle.json into `path`, last of all its files.

    Args:
        path: the folder, which already holds every one of `files`.
        name, version: what the model calls itself.
        input_size: side of the network's input, pixels.
        files: names inside `path` whose SHA-256 is recorded and checked at every load.
        origin: what it was made from.

    Raises:
        BundleError: a file is missing, or one that every bundle needs is not listed.
    """
    for needed in (*_NEEDED, *files):
        if needed not in files or not (path / needed).is_file():
            raise BundleError("bundle-incomplete", f"The bundle lacks the file {needed}.")
    info = {
        "format": BUNDLE_FORMAT,
        "name": name,
        "version": version,
        "created": datetime.now(UTC).strftime("%Y-%m-%d"),
        "labels": list(LABELS),
        "input_size": input_size,
        "preprocess_version": PREPROCESS_VERSION,
        "files": {file: _sha256(path / file) for file in sorted(files)},
        **asdict(origin),
    }
    _write_info(path, info)


def update_bundle_files(path: Path, write: Callable[[Path], list[str]]) -> None:
    """Replace some files of a bundle, and their checksums in bundle.json.

    Args:
        path: a whole bundle.
        write: writes files into a folder and returns their names.
    """
    info = _read_info(path)
    staging = path.with_name(path.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    names = write(staging)
    info["files"] |= {name: _sha256(staging / name) for name in names}
    for name in names:
        (staging / name).replace(path / name)
    staging.rmdir()
    _write_info(path, info)


def _write_info(path: Path, info: dict[str, Any]) -> None:
    """Write bundle.json whole or not at all: one without it is refused, half of one is not."""
    draft = path / "bundle.json.part"
    draft.write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    draft.replace(path / "bundle.json")


def _read_info(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise BundleError("bundle-missing", f"There is no model folder at {path}.", _RESTORE)
    try:
        info = json.loads((path / "bundle.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(
            "bundle-missing", f"The model folder {path} has no bundle.json.", _RESTORE
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(
            "bundle-damaged", f"bundle.json cannot be read ({error}).", _RESTORE
        ) from error
    expected = {"format", "name", "version", "labels", "input_size", "preprocess_version", "files"}
    missing = sorted(expected - info.keys()) if isinstance(info, dict) else sorted(expected)
    if missing:
        raise BundleError("bundle-damaged", f"bundle.json lacks {', '.join(missing)}.", _RESTORE)
    result: dict[str, Any] = info
    return result


def _check_versions(info: dict[str, Any]) -> None:
    if info["format"] != BUNDLE_FORMAT:
        raise BundleError(
            "bundle-format",
            f"The bundle has format {info['format']!r}; this program reads {BUNDLE_FORMAT}.",
            "Use the program version that the bundle was made with, or train again.",
        )
    if info["labels"] != list(LABELS):
        raise BundleError(
            "bundle-labels",
            f"The bundle's classes are {info['labels']!r}; they must be {list(LABELS)!r}.",
            "Train with this program: the order of the classes is part of it.",
        )
    if info["preprocess_version"] != PREPROCESS_VERSION:
        raise BundleError(
            "bundle-preprocess",
            f"The model was trained with preprocessing version {info['preprocess_version']!r}; "
            f"this program has version {PREPROCESS_VERSION}.",
            "Its answers would be wrong without a sign: train again.",
        )
    size = info["input_size"]
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise BundleError(
            "bundle-damaged", f"input_size is {size!r}; it must be a number of pixels.", _RESTORE
        )


def _ncnn_paths(path: Path, files: dict[str, str]) -> tuple[Path, Path] | None:
    """Return the two files, whose checksums were checked; None where one is not listed."""
    graph, weights = NCNN_NAMES
    return (path / graph, path / weights) if graph in files and weights in files else None


def _check_files(path: Path, files: Any) -> None:
    if not isinstance(files, dict) or any(name not in files for name in _NEEDED):
        raise BundleError(
            "bundle-damaged",
            f"bundle.json must list the checksums of {', '.join(_NEEDED)}.",
            _RESTORE,
        )
    for name, expected in files.items():
        if Path(name).name != name:  # a bundle names files of its own folder only
            raise BundleError("bundle-damaged", f"bundle.json lists the path {name!r}.", _RESTORE)
        if not (path / name).is_file():
            raise BundleError(
                "bundle-incomplete", f"The model folder {path} lacks {name}.", _RESTORE
            )
        if _sha256(path / name) != expected:
            raise BundleError(
                "bundle-damaged",
                f"{name} is damaged: its SHA-256 is not the one in bundle.json.",
                _RESTORE,
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
