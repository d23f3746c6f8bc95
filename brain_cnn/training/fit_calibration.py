"""Fit everything that makes a trained network's outputs a statement: on train and val alone.

Works on a network as a function, so that a finished bundle can be calibrated again without
a training (`scripts/calibrate.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.batches import PreparedData
from brain_cnn.dataset.labelled import LabelledData
from brain_cnn.inference.bundle import load_bundle, update_bundle_files
from brain_cnn.inference.calibration import Calibration, fit_calibration
from brain_cnn.inference.engines import EngineOutput, make_engine
from brain_cnn.ood.descriptors import describe
from brain_cnn.ood.fit_gate import fit_appearance
from brain_cnn.ood.gate import LEVELS
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
"""Share of the val slices that may be confident: the most trusted ones."""

_BATCH = 32
Tensors = NDArray[np.float32]
Ask = Callable[[Tensors], EngineOutput]
"""A network: float32 (N, S, S, 1) to its outputs."""


def fit_everything(
    ask: Ask, data: LabelledData, prepared: PreparedData, size: int, *, seed: int = 0
) -> Calibration:
    """Fit temperature, prediction sets, familiarity and trust.

    Args:
        ask: the trained network.
        data: its slices and split; only train and val are looked at. Known strangers among
            its pictures (`data.strangers`) help the gate; it works without.
        prepared: the same slices prepared; with masks the trust is better founded.
        size: side of the network's input, pixels.
        seed: the same network, data and seed give the same calibration.
    """
    train, val = data.split.train, data.split.val
    heads, val_heads = ([data.images[i] for i in part] for part in (train, val))
    val_tensors = prepare_stack(val_heads, size)
    val_output = ask_all(ask, val_tensors)
    tensors = prepare_stack(heads, size)
    calibration = fit_calibration(
        val_output.logits,
        prepared.labels[val],
        ask_all(ask, tensors).features,
        prepared.labels[train],
        val_output.features,
    )
    assert calibration.gate is not None
    distances = calibration.gate.distance(val_output.features)
    looks = describe(tensors)
    # Made strangers are drawn from heads that fill the picture: else they come out blurred.
    strangers = [np.rint(prepare(p, size).tensor[..., 0] * 255) for p in data.strangers]
    appearance = fit_appearance(
        list(prepared.images[train]),
        looks,
        describe(val_tensors),
        size,
        distances,
        [picture.astype(np.uint8) for picture in strangers],
        seed=seed,
    )
    calibration = replace(calibration, looks=appearance)
    trust = _fit_trust(ask, calibration, looks, val_tensors, val_output, prepared, data, seed)
    return replace(calibration, trust=trust)


def _fit_trust(
    ask: Ask,
    calibration: Calibration,
    train_looks: NDArray[np.float32],
    val_tensors: Tensors,
    val_output: EngineOutput,
    prepared: PreparedData,
    data: LabelledData,
    seed: int,
) -> Trust:
    looks = calibration.looks
    assert looks is not None
    shifted = shift_sources(prepared, data.split.val, seed)
    output = ask_all(ask, shifted.tensors)
    inputs = calibration.trust_inputs(
        output, calibration.excesses(output.features, shifted.tensors)
    )
    right = output.logits.argmax(axis=1) == shifted.truth
    mean, scale, weights = fit_odds(inputs, right, shifted.weights)
    source = fit_source(looks.scaled(train_looks), prepared.labels[data.split.train])

    excess = calibration.excesses(val_output.features, val_tensors)
    val_inputs = calibration.trust_inputs(val_output, excess)
    val_looks, called = looks.scaled(describe(val_tensors)), val_output.logits.argmax(axis=1)
    empty = np.zeros(len(LEVELS))
    draft = Trust(mean, scale, weights, empty, source, np.zeros((4, len(LEVELS))), empty)
    draft = replace(
        draft,
        quantiles=np.quantile(draft.odds(val_inputs), LEVELS),
        source_quantiles=quantiles_by_label(draft.speaks(val_looks, called), called),
        odd_quantiles=np.quantile(oddness(excess), LEVELS),
    )
    chances = calibration.probabilities(val_output.logits)
    single = np.array([len(calibration.prediction_set(row)) == 1 for row in chances])
    candidate = single & (excess <= 1).all(axis=1)
    trust = draft.of(val_inputs, val_looks, excess, called)
    return replace(draft, limit=limit_for(trust, candidate, CONFIDENT_SHARE))


def refit_calibration(
    folder: Path, data: LabelledData, prepared: PreparedData, *, seed: int = 0
) -> Calibration:
    """Fit everything but the weights of a bundle again, and write it into the bundle.

    Returns:
        What was fitted. The calibration files and their checksums in bundle.json are new.

    Raises:
        BundleError: the folder is no whole bundle, or its network cannot be run.
    """
    bundle = load_bundle(folder)
    engine = make_engine(bundle)
    calibration = fit_everything(engine.run, data, prepared, bundle.input_size, seed=seed)
    update_bundle_files(folder, calibration.save)
    return calibration


def train_and_val_only(data: LabelledData) -> LabelledData:
    """Return the images of the train and val parts alone: all that a calibration looks at."""
    split = data.split
    keep = np.concatenate([split.train, split.val])
    return replace(
        data,
        records=[data.records[i] for i in keep],
        images=[data.images[i] for i in keep],
        split=replace(
            split,
            groups=np.asarray(split.groups)[keep],
            train=np.arange(len(split.train)),
            val=np.arange(len(split.train), len(keep)),
            test=np.zeros(0, dtype=np.int64),
        ),
    )


def prepare_stack(pictures: Sequence[NDArray[np.uint8]], size: int) -> Tensors:
    """Return the network's input float32 (N, size, size, 1) of slices uint8 (H, W)."""
    return np.stack([prepare(one, size).tensor for one in pictures])


def ask_all(ask: Ask, tensors: Tensors) -> EngineOutput:
    """Ask a network in batches."""
    parts = [ask(tensors[start : start + _BATCH]) for start in range(0, len(tensors), _BATCH)]
    return EngineOutput(*(np.concatenate(piece) for piece in zip(*parts, strict=True)))
