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
from brain_cnn.inference.output import EngineOutput
from brain_cnn.inference.predictor import Network, Predictor, Tensors, prepare_slices
from brain_cnn.ood.descriptors import describe
from brain_cnn.ood.fit_gate import ValSlices, fit_appearance
from brain_cnn.ood.ranks import LEVELS
from brain_cnn.ood.trust import Trust, oddness
from brain_cnn.preprocess import prepare
from brain_cnn.training.fit_trust import (
    fit_odds,
    fit_source,
    limit_for,
    quantiles_by_label,
    shift_sources,
)

CONFIDENT_SHARE = 0.62
"""Share of the val slices whose label is trusted: the most trusted familiar ones.

Chosen among the familiar slices, whatever their prediction sets: a verdict asks for both, and
a limit that made up for wider sets would let through labels that do not hold elsewhere.
"""


def fit_everything(
    network: Network, data: LabelledData, prepared: PreparedData, size: int, *, seed: int = 0
) -> Calibration:
    """Fit temperature, prediction sets, familiarity and trust.

    Args:
        network: the trained network.
        data: its slices and split; only train and val are looked at. Known outliers among
            its pictures (`data.outliers`) help the gate; it works without.
        prepared: the same slices prepared; with masks the trust is better founded.
        size: side of the network's input, pixels.
        seed: the same network, data and seed give the same calibration.
    """
    train, val = data.split.train, data.split.val
    predictor = Predictor(network, size)
    heads, val_heads = ([data.images[i] for i in part] for part in (train, val))
    val_tensors = prepare_slices(val_heads, size)
    val_output = predictor.predict(val_tensors)
    tensors = prepare_slices(heads, size)
    calibration = fit_calibration(
        val_output.logits,
        prepared.labels[val],
        np.asarray(data.split.groups)[val],
        predictor.predict(tensors).features,
        prepared.labels[train],
        val_output.features,
    )
    assert calibration.gate is not None
    distances = calibration.gate.distance(val_output.features)
    descriptors = describe(tensors)
    # Made outliers are drawn from heads that fill the picture: else they come out blurred.
    outliers = [np.rint(prepare(p, size).tensor[..., 0] * 255) for p in data.outliers]
    appearance = fit_appearance(
        list(prepared.images[train]),
        descriptors,
        ValSlices(describe(val_tensors), distances),
        size,
        [picture.astype(np.uint8) for picture in outliers],
        seed=seed,
    )
    calibration = replace(calibration, appearance=appearance)
    val_slices = _Slices(val_tensors, val_output)
    trust = _fit_trust(predictor, calibration, descriptors, val_slices, prepared, data, seed)
    return replace(calibration, trust=trust)


class _Slices(NamedTuple):
    """Prepared slices float32 (N, S, S, 1), and what the network gives for them."""

    tensors: Tensors
    output: EngineOutput


def _fit_trust(
    predictor: Predictor,
    calibration: Calibration,
    train_descriptors: NDArray[np.float32],
    val: _Slices,
    prepared: PreparedData,
    data: LabelledData,
    seed: int,
) -> Trust:
    appearance = calibration.appearance
    assert appearance is not None
    shifted = shift_sources(prepared, data.split.val, seed)
    output = predictor.predict(shifted.tensors)
    inputs = calibration.trust_inputs(
        output, calibration.excesses(output.features, shifted.tensors)
    )
    right = output.logits.argmax(axis=1) == shifted.truth
    mean, scale, weights = fit_odds(inputs, right, shifted.weights)
    source = fit_source(appearance.scaled(train_descriptors), prepared.labels[data.split.train])

    excess = calibration.excesses(val.output.features, val.tensors)
    val_inputs = calibration.trust_inputs(val.output, excess)
    val_scaled, called = appearance.scaled(describe(val.tensors)), val.output.logits.argmax(axis=1)
    empty = np.zeros(len(LEVELS))
    draft = Trust(mean, scale, weights, empty, source, np.zeros((4, len(LEVELS))), empty)
    draft = replace(
        draft,
        quantiles=np.quantile(draft.odds(val_inputs), LEVELS),
        source_quantiles=quantiles_by_label(draft.speaks(val_scaled, called), called),
        odd_quantiles=np.quantile(oddness(excess), LEVELS),
    )
    trust = draft.of(val_inputs, val_scaled, excess, called)
    familiar = np.asarray((excess <= 1).all(axis=1), dtype=bool)
    return replace(draft, limit=limit_for(trust, familiar, CONFIDENT_SHARE))


def refit_calibration(
    folder: Path, data: LabelledData, prepared: PreparedData, *, seed: int = 0
) -> Calibration:
    """Fit everything but the weights of a bundle again, and write it into the bundle.

    Returns:
        What was fitted. The calibration files and their checksums in bundle.json are new.

    Raises:
        BundleError: the folder is no whole bundle, or its network cannot be run.
    """
    bundle = load_bundle(folder, Calibration.identity())
    engine = make_engine(bundle)
    calibration = fit_everything(engine.run, data, prepared, bundle.input_size, seed=seed)
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
