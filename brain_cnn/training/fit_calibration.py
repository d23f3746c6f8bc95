"""Fit everything that makes a trained network's outputs a statement: on train and val alone.

Works on a network as a function, so that a finished bundle can be calibrated again without
a training (`scripts/calibrate.py`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.batches import PreparedData
from brain_cnn.dataset.labelled import LabelledData, true_labels
from brain_cnn.inference.bundle import load_bundle, update_bundle_files
from brain_cnn.inference.calibration import Calibration, fit_calibration
from brain_cnn.inference.conformal import count_groups, fit_set_thresholds
from brain_cnn.inference.engines import make_engine
from brain_cnn.inference.predictor import Network, Predictor, Tensors, prepare_slices
from brain_cnn.ood.descriptors import describe
from brain_cnn.ood.fit_gate import ValSlices, fit_appearance
from brain_cnn.ood.trust import Trust
from brain_cnn.preprocess import prepare
from brain_cnn.training.fit_trust import Shifted, fit_odds, limit_for, shift_sources

TRUSTED_RIGHT = 0.995
"""Share of the trusted labels that are right, on slices of other sources kept apart.

Real scanners differ from these more than they do from one another: with 0.95, no more than two
of three confident labels held on other scanners (development); with 0.995, four of five.
"""


class OtherSources(NamedTuple):
    """Pictures of other sources than the data set's own.

    Attributes:
        trained: those that the network was trained on: the gate must know them.
        real_held_out: real heads of subjects that it was not trained on, with and without
            tumours laid in; the gate's limits and the trust are set on them.
        synthetic_held_out: synthetic heads of label maps that it was not trained on: trust.
    """

    trained: PreparedData
    real_held_out: PreparedData
    synthetic_held_out: PreparedData


def fit_everything(
    network: Network,
    data: LabelledData,
    prepared: PreparedData,
    size: int,
    *,
    seed: int = 0,
    others: OtherSources | None = None,
) -> Calibration:
    """Fit temperature, prediction sets, familiarity and trust.

    Args:
        network: the trained network.
        data: its slices and split; only train and val are looked at. Known outliers among
            its pictures (`data.outliers`) help the gate; it works without.
        prepared: the same slices prepared; with masks the trust is better founded.
        size: side of the network's input, pixels.
        seed: the same network, data and seed give the same calibration.
        others: without them the gate knows the data set's own scanners alone.
    """
    val = data.split.val
    predictor = Predictor(network, size)
    val_tensors = prepare_slices([data.images[i] for i in val], size)
    val_output = predictor.predict(val_tensors)
    known = _known(predictor, data, prepared, others)
    held = val_output.features, describe(val_tensors)
    sources = np.zeros(len(val), np.int64)
    if others is not None:
        tensors = _as_tensors(others.real_held_out)
        found = predictor.predict(tensors).features, describe(tensors)
        held = np.concatenate([held[0], found[0]]), np.concatenate([held[1], found[1]])
        sources = np.append(sources, np.ones(len(tensors), np.int64))
    calibration = fit_calibration(
        val_output.logits,
        prepared.labels[val],
        np.asarray(data.split.groups)[val],
        known.features,
        known.labels,
        held[0],
    )
    assert calibration.gate is not None
    # Made outliers are drawn from heads that fill the picture: else they come out blurred.
    outliers = [np.rint(prepare(p, size).tensor[..., 0] * 255) for p in data.outliers]
    appearance = fit_appearance(
        known.heads,
        known.descriptors,
        ValSlices(held[1], calibration.gate.distance(held[0]), sources),
        size,
        [picture.astype(np.uint8) for picture in outliers],
        seed=seed,
    )
    calibration = replace(calibration, appearance=appearance)
    made = () if others is None else (others.real_held_out, others.synthetic_held_out)
    shifted = shift_sources(prepared, val, seed, made)
    return replace(calibration, trust=fit_trust(predictor, calibration, shifted))


class _Known(NamedTuple):
    """The slices that the network was trained on, as the gate learns them.

    Attributes:
        heads: N prepared slices uint8 (S, S). descriptors: float32 (N, K), of these.
        features: float32 (M, D) of the network. labels: int64 (M,).
    """

    heads: list[NDArray[np.uint8]]
    features: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    labels: NDArray[np.int64]


def _known(
    predictor: Predictor, data: LabelledData, prepared: PreparedData, others: OtherSources | None
) -> _Known:
    train = data.split.train
    tensors = prepare_slices([data.images[i] for i in train], predictor.size)
    features, descriptors = predictor.predict(tensors).features, describe(tensors)
    heads, labels = list(prepared.images[train]), prepared.labels[train]
    if others is None:
        return _Known(heads, features, descriptors, labels)
    more = _as_tensors(others.trained)
    # The data set's own heads count twice: they are the ones that the gate must not lose.
    return _Known(
        heads + heads + list(others.trained.images),
        np.concatenate([features, predictor.predict(more).features]),
        np.concatenate([descriptors, descriptors, describe(more)]),
        np.concatenate([labels, others.trained.labels]),
    )


def _as_tensors(data: PreparedData) -> Tensors:
    return data.images.astype(np.float32)[..., None] / np.float32(255)


def fit_trust(predictor: Predictor, calibration: Calibration, shifted: Shifted) -> Trust:
    """Fit the trust, and the limit from which on `TRUSTED_RIGHT` of the labels hold elsewhere."""
    output = predictor.predict(shifted.tensors)
    excess = calibration.excesses(output.features, shifted.tensors)
    inputs = calibration.trust_inputs(output, excess)
    right = output.logits.argmax(axis=1) == shifted.truth
    trust = Trust(*fit_odds(inputs, right, shifted.weights))
    familiar = (excess <= 1).all(axis=1)
    limit = limit_for(
        trust.of(inputs)[familiar], right[familiar], shifted.weights[familiar], TRUSTED_RIGHT
    )
    return replace(trust, limit=limit)


def refit_calibration(
    folder: Path,
    data: LabelledData,
    prepared: PreparedData,
    *,
    seed: int = 0,
    others: OtherSources | None = None,
) -> Calibration:
    """Fit everything but the weights of a bundle again, and write it into the bundle.

    Returns:
        What was fitted. The calibration files and their checksums in bundle.json are new.

    Raises:
        BundleError: the folder is no whole bundle, or its network cannot be run.
    """
    bundle = load_bundle(folder, Calibration.identity())
    engine = make_engine(bundle)
    size = bundle.input_size
    calibration = fit_everything(engine.run, data, prepared, size, seed=seed, others=others)
    update_bundle_files(folder, calibration.save)
    return calibration


def refit_sets(folder: Path, data: LabelledData) -> Calibration:
    """Fit the prediction sets of a bundle again, and nothing else.

    Only calibration.json changes, and in it the thresholds: temperature, gate and trust stay
    bit for bit. This also brings a bundle whose sets are of an older program up to date.

    Args:
        folder: a whole bundle. data: only its val part is looked at.

    Raises:
        BundleError: the folder is no whole bundle, or its network cannot be run.
    """
    bundle = load_bundle(folder, Calibration.identity())
    old = Calibration.load(folder, bundle.calibration.set_thresholds)
    val = data.split.val
    predictor = Predictor(make_engine(bundle).run, bundle.input_size)
    logits = predictor.predict_slices(data.images[i] for i in val).logits
    labels, groups = true_labels(data, val), np.asarray(data.split.groups)[val]
    calibration = replace(
        old,
        set_thresholds=fit_set_thresholds(old.probabilities(logits), labels, groups),
        set_groups=count_groups(labels, groups),
    )
    update_bundle_files(folder, calibration.save_record)
    return calibration
