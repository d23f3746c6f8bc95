"""From a data set to a trained and calibrated network: the steps of `train_command`.

data -> report -> prepared slices -> fit (ours, then the baseline) -> calibration; then
`results` writes table and figures, and `bundle_files` exports and proves the bundle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.batches import PreparedData, RealSlices, Source, prepare_all
from brain_cnn.dataset.copies import find_copies
from brain_cnn.dataset.index import load_masks
from brain_cnn.dataset.labelled import LabelledData, true_labels
from brain_cnn.dataset.report import DataReport, data_report
from brain_cnn.errors import SettingsError
from brain_cnn.inference.calibration import Calibration, fit_calibration
from brain_cnn.inference.predictor import Predictor, keras_network
from brain_cnn.training.fit_calibration import OtherSources, fit_everything
from brain_cnn.training.fit_notumor import choose_shift, shift_notumor
from brain_cnn.training.run_folder import RunFolder
from brain_cnn.training.settings import TrainSettings
from brain_cnn.training.trainer import Trainer


@dataclass(frozen=True)
class Trained:
    """A network with what was fitted to its outputs on val.

    Attributes:
        model: float32 Keras model of the served input size.
        calibration: temperature, set thresholds, familiarity gate.
        test_probabilities: float64 (T, 4), calibrated, of the split's test part.
        notumor_shift: what was added to the logit of `notumor` after the training.
    """

    model: keras.Model
    calibration: Calibration
    test_probabilities: NDArray[np.float64]
    notumor_shift: float = 0.0


class MadePictures(NamedTuple):
    """What a network learns from beside the real slices.

    Attributes:
        source: what the epochs are drawn from.
        others: for what is fitted after the training; None: the data set's own alone.
    """

    source: Source
    others: OtherSources | None


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
    keep = []
    for part in ("train", "val", "test"):
        members = getattr(data.split, part)
        labels = true_labels(data, members)
        keep += [rng.permutation(members[labels == label])[:per_class] for label in range(4)]
    return data.subset(np.sort(np.concatenate(keep)))


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
    run: RunFolder,
    *,
    resume: bool,
    start: keras.Model | None = None,
    made: MadePictures | None = None,
) -> Trained | None:
    """Fit one network, calibrate it on val, and run it over the test part once.

    Args:
        data: the data set and its split; prepared: the same slices prepared.
        settings: every knob. run: where everything of the run is written.
        resume: go on from the run's checkpoint.
        start: a network whose weights are the first ones; None: random ones.
        made: pictures beside the data set's own; None: the training part alone.

    Returns:
        None where Ctrl-C cut the training short: an unfinished network sees no test image.
    """
    split = data.split
    source = RealSlices(prepared, split.train, settings.balance) if made is None else made.source
    trainer = Trainer(source, prepared, split.val, settings, run, start=start)
    model = trainer.train(resume=resume)
    if run.interrupted:
        return None
    return finish(model, data, prepared, settings, None if made is None else made.others)


def finish(
    model: keras.Model,
    data: LabelledData,
    prepared: PreparedData,
    settings: TrainSettings,
    others: OtherSources | None = None,
) -> Trained:
    """Calibrate a trained network, and run it over the test part once.

    Args:
        others: pictures of other sources, to set the bias of `notumor`, the gate and the
            trust on; None: they know the data set's own alone.
    """
    split = data.split
    predictor = Predictor(keras_network(model), settings.size)
    shift = 0.0
    if settings.arch == "ours" and others is not None:
        shift = _set_notumor(model, predictor, data, others)

    def logits(positions: NDArray[np.int64]) -> NDArray[np.float32]:
        return predictor.predict_slices(data.images[i] for i in positions).logits

    if settings.arch == "ours":
        print("Calibrating ...", flush=True)
        calibration = fit_everything(
            predictor.network, data, prepared, settings.size, seed=settings.seed, others=others
        )
    else:
        groups = np.asarray(split.groups)[split.val]
        calibration = fit_calibration(logits(split.val), prepared.labels[split.val], groups)
    probabilities = calibration.probabilities(logits(split.test))
    return Trained(model, calibration, probabilities, shift)


def _set_notumor(
    model: keras.Model, predictor: Predictor, data: LabelledData, others: OtherSources
) -> float:
    """Shift the logit of `notumor` by what suits val and other sources best; return by what."""
    val = data.split.val
    output = predictor.predict_slices(data.images[i] for i in val)
    judged = [(output.logits, true_labels(data, val))]
    for other in (others.real_held_out, others.synthetic_held_out):
        tensors = (image.astype(np.float32)[..., None] / np.float32(255) for image in other.images)
        judged.append((predictor.predict(tensors).logits, other.labels))
    shift = choose_shift(judged)
    shift_notumor(model, shift)
    print(f"Logit of notumor shifted by {shift}.", flush=True)
    return shift


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
