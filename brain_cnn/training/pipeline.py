"""A training from data to bundle: what `scripts/train.py` does, step by step.

data -> report -> prepared slices -> fit (ours, then the baseline) -> results table and
figures -> calibration -> export and proof -> bundle.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from brain_cnn import __version__
from brain_cnn.dataset.batches import PreparedData, prepare_all
from brain_cnn.dataset.copies import find_copies
from brain_cnn.dataset.index import load_masks
from brain_cnn.dataset.labelled import LabelledData, keras_outputs, slice_heatmap, true_labels
from brain_cnn.dataset.report import DataReport, data_report
from brain_cnn.errors import SettingsError
from brain_cnn.evaluation.figure_sets import (
    choose_examples,
    save_image_figures,
    save_number_figures,
)
from brain_cnn.evaluation.figures import accuracy_loss_curves, save_figure
from brain_cnn.evaluation.metrics import PUBLISHED_REFERENCE, format_table
from brain_cnn.evaluation.predictions import evaluate_file, write_predictions
from brain_cnn.inference.bundle import write_bundle_json
from brain_cnn.inference.calibration import Calibration, fit_calibration
from brain_cnn.inference.engines import EngineOutput
from brain_cnn.preprocess import prepare
from brain_cnn.training.export.engine_files import MIN_IMAGES, export_all
from brain_cnn.training.fit_calibration import Ask, fit_everything
from brain_cnn.training.mixing import Mixture
from brain_cnn.training.run_folder import RunFolder
from brain_cnn.training.settings import TrainSettings, settings_as_json
from brain_cnn.training.trainer import fit

_PACKAGES = (
    "tensorflow", "keras", "numpy", "opencv-python-headless", "pillow", "ncnn", "onnx", "tf2onnx",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A network with what was fitted to its outputs on val.

    Attributes:
        model: float32 Keras model of the served input size.
        calibration: temperature, set thresholds, familiarity gate.
        test_probabilities: float64 (T, 4), calibrated, of the split's test part.
    """

    model: keras.Model
    calibration: Calibration
    test_probabilities: NDArray[np.float64]


def report_data(data: LabelledData, run_path: Path) -> DataReport:
    """Print what the data set is and what leaks in its split; keep it in the run folder."""
    report = data_report(
        data.records, data.images, data.unreadable, find_copies(data.images), data.split
    )
    print(report.text, flush=True)
    (run_path / "data_report.txt").write_text(report.text + "\n")
    (run_path / "data_report.json").write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    return report


def thin_out(data: LabelledData, per_class: int, seed: int) -> LabelledData:
    """Return a few images of each class and part, for a rehearsal."""
    rng = np.random.default_rng(seed)

    def few(members: NDArray[np.int64]) -> NDArray[np.int64]:
        labels = true_labels(data, members)
        own = [rng.permutation(members[labels == label])[:per_class] for label in range(4)]
        return np.sort(np.concatenate(own))

    parts = {part: few(getattr(data.split, part)) for part in ("train", "val", "test")}
    keep = np.sort(np.concatenate(list(parts.values())))
    place = {int(old): new for new, old in enumerate(keep)}
    moved = {part: np.array([place[int(i)] for i in members]) for part, members in parts.items()}
    split = replace(
        data.split,
        groups=np.asarray(data.split.groups)[keep],
        train=moved["train"],
        val=moved["val"],
        test=moved["test"],
    )
    return replace(
        data,
        records=[data.records[i] for i in keep],
        images=[data.images[i] for i in keep],
        split=split,
    )


def prepare_data(data: LabelledData, masks: str | None, size: int) -> PreparedData:
    """Prepare every image; `masks` names a folder or ZIP of tumour masks, or is None."""
    mask_list = None
    if masks is not None:
        found = load_masks(masks, data.records)
        mask_list = [found.get(record.path) for record in data.records]
        print(f"Masks for {len(found)} of {len(data.records)} images.", flush=True)
    return prepare_all(data.images, [record.label for record in data.records], mask_list, size)


def train_one(
    data: LabelledData,
    prepared: PreparedData,
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool,
    start: keras.Model | None = None,
    mixture: Mixture | None = None,
) -> Trained | None:
    """Fit one network, calibrate it on val, and judge the test part once.

    Args:
        start: a network whose weights are the first ones; None: random ones.
        mixture: what the epochs are drawn from; None: the real training part alone.

    Returns:
        None where Ctrl-C cut the training short: an unfinished network sees no test image.
    """
    run = RunFolder(folder)
    run.write_text("settings.json", settings_as_json(settings))
    split = data.split
    model = fit(
        prepared, split.train, split.val, settings, run, resume=resume, start=start, mixture=mixture
    )
    if run.interrupted:
        return None

    def outputs(positions: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        return keras_outputs(model, [data.images[i] for i in positions], settings.size)

    if settings.arch == "ours":
        print("Calibrating ...", flush=True)
        ask = keras_ask(model)
        calibration = fit_everything(ask, data, prepared, settings.size, seed=settings.seed)
    else:
        calibration = fit_calibration(outputs(split.val)["logits"], prepared.labels[split.val])
    probabilities = calibration.probabilities(outputs(split.test)["logits"])
    return Trained(model, calibration, probabilities)


def keras_ask(model: keras.Model) -> Ask:
    """Return a Keras model as a function of tensors."""

    def ask(tensors: NDArray[np.float32]) -> EngineOutput:
        outputs = model.predict_on_batch(tensors)
        return EngineOutput(*(np.asarray(outputs[name]) for name in EngineOutput._fields))

    return ask


def report_results(
    data: LabelledData, networks: dict[str, Trained], run_path: Path, out: Path
) -> dict[str, Any]:
    """Write predictions, the results table and the figures; return the `metrics.json` section.

    Args:
        networks: "ours" and, where it was trained, "baseline".
        run_path: the run folder; figures that show images of the data set stay there.
        out: the bundle's folder, which gets predictions and figures of numbers.
    """
    split = data.split
    truth = true_labels(data, split.test)
    paths = [data.records[i].path for i in split.test]
    groups = [data.split.groups[i] for i in split.test]
    section: dict[str, Any] = {"sentence": split.sentence, "leaky": split.leaky, "predictions": {}}
    section["train_n"], section["val_n"] = len(split.train), len(split.val)
    for name, trained in networks.items():
        table = f"predictions/{split.name}_{name}.csv"
        (out / "predictions").mkdir(parents=True, exist_ok=True)
        write_predictions(out / table, paths, truth, trained.test_probabilities, groups)
        section[name] = evaluate_file(out / table)
        section[name]["parameters"] = int(trained.model.count_params())
        section["predictions"][name] = table
        title = f"{split.name} split, {name}"
        figure = f"{split.name}_{name}"
        save_number_figures(out / "figures", figure, truth, trained.test_probabilities, title)
        rows = RunFolder(run_path / name).rows()
        if rows:
            save_figure(
                accuracy_loss_curves(rows, title), out / "figures" / f"{figure}_accuracy_loss"
            )
            shutil.copy(run_path / name / "results.csv", out / "figures" / f"{figure}_epochs.csv")
    if split.name == "official":
        section["reference"] = PUBLISHED_REFERENCE
    text = f"{split.sentence}\n\n" + format_table(
        {name: section[name] for name in networks}, section.get("reference")
    )
    print("\n" + text, flush=True)
    (run_path / "results_table.txt").write_text(text)
    _draw_images(data, networks["ours"], run_path)
    return section


def _draw_images(data: LabelledData, trained: Trained, run_path: Path) -> None:
    """Draw predictions and Grad-CAM of chosen test images, into the run folder."""
    truth = true_labels(data, data.split.test)
    called = trained.test_probabilities.argmax(axis=1)
    chosen = choose_examples(truth, called, each=2)
    pixels = [data.images[data.split.test[i]] for i in chosen]
    ready = [prepare(p, trained.model.input_shape[1]) for p in pixels]
    maps = keras.ops.convert_to_numpy(
        trained.model.predict_on_batch(np.stack([r.tensor for r in ready]))["class_maps"]
    )
    heat = [slice_heatmap(maps[row, ..., called[i]], ready[row]) for row, i in enumerate(chosen)]
    save_image_figures(
        run_path / "figures",
        data.split.name,
        pixels,
        truth[chosen],
        trained.test_probabilities[chosen],
        heat,
    )


def write_bundle(
    trained: Trained,
    data: LabelledData,
    prepared: PreparedData,
    settings: TrainSettings,
    report: DataReport,
    out: Path,
    name: str,
    start_from: Path | None = None,
) -> None:
    """Write weights for each engine, calibration and `bundle.json` into `out`, the last one last.

    Args:
        start_from: the network that the training began with; its run's settings are kept too.

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
    write_bundle_json(
        out,
        name=name,
        version=__version__,
        input_size=settings.size,
        files=files,
        training=json.loads(settings_as_json(settings))
        | {"split": data.split.name}
        | ({} if start_from is None else {"started_from": _earlier_settings(start_from)}),
        data=report.as_dict(),
        versions=package_versions(),
    )


def load_network(path: Path) -> keras.Model:
    """Load a `.keras` file to start from.

    Raises:
        SettingsError: there is none, or it cannot be read.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise SettingsError(
            "no-network",
            f"{path} is no network to start from ({error}).",
            "Give the best.keras of a run folder.",
        ) from error


def _earlier_settings(network: Path) -> dict[str, Any]:
    settings = network.parent / "settings.json"
    return json.loads(settings.read_text()) if settings.exists() else {}


def update_metrics(out: Path, section_name: str, section: dict[str, Any]) -> None:
    """Replace one section of `metrics.json` and leave the others."""
    path = out / "metrics.json"
    metrics = json.loads(path.read_text()) if path.exists() else {}
    metrics[section_name] = section
    part = out / "metrics.json.part"
    part.write_text(json.dumps(metrics, indent=1) + "\n")
    part.replace(path)


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a training."""
    versions = {"python": platform.python_version(), "brain-cnn": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions
