"""The evaluation of a trained network, section by section, as `measure_command` runs it.

Each function takes a model (`models`) and returns one section of `metrics.json` for one
network: every number with n, interval and what it was measured on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.batches import crop_mask
from brain_cnn.dataset.labelled import LabelledData, true_labels, val_tumours_with_masks
from brain_cnn.evaluation import faithfulness
from brain_cnn.evaluation.bootstrap import bootstrap_mean
from brain_cnn.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from brain_cnn.evaluation.localisation import summarise_localisation
from brain_cnn.evaluation.models import EvaluatedModel, KerasModel
from brain_cnn.evaluation.uncertainty import coverage_table, reliability, selective, verdicts
from brain_cnn.inference.calibration import Calibration, fit_calibration
from brain_cnn.preprocess import PreparedSlice, prepare
from brain_cnn.scan.types import Slice

# Standard deviation of the noise under which a map should stay what it is, in 0..1.
_LITTLE_NOISE = 0.01
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """Some slices of a data set, with truth and bootstrap units.

    Attributes:
        slices: N slices.
        truth: int64 (N,), positions in `LABELS`.
        groups: N group names.
    """

    slices: list[Slice]
    truth: NDArray[np.int64]
    groups: list[str]


def take(data: LabelledData, positions: Any) -> Part:
    """Return the images at `positions`."""
    return Part(
        [Slice(data.images[i]) for i in positions],
        true_labels(data, positions),
        [str(data.split.groups[i]) for i in positions],
    )


def spread_out(count: int, limit: int | None) -> NDArray[np.int64]:
    """Return at most `limit` of the positions 0 .. count - 1, evenly spread."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, limit).astype(np.int64))


def calibrated_keras_model(model: Any, data: LabelledData) -> KerasModel:
    """Return a Keras model with a calibration that is fitted on the val part."""
    val = take(data, data.split.val)
    draft = KerasModel(model, Calibration.identity())
    logits = draft.predictor.predict_slices(one.pixels for one in val.slices).logits
    return KerasModel(model, fit_calibration(logits, val.truth, val.groups))


def evaluate_uncertainty(model: EvaluatedModel, part: Part, protocol: str) -> dict[str, Any]:
    """Return calibration, prediction sets, verdicts and selective prediction."""
    predictions = model.predict(part.slices)
    return {
        "protocol": protocol,
        "n": len(part.slices),
        "groups": len(set(part.groups)),
        **reliability(predictions, part.truth, part.groups),
        "coverage": coverage_table(predictions, part.truth, part.groups),
        "verdicts": verdicts(predictions, part.truth, part.groups),
        "selective": selective(predictions, part.truth, part.groups),
    }


def evaluate_corrupted(
    model: EvaluatedModel, part: Part, protocol: str, tell: Progress = print
) -> dict[str, Any]:
    """Return accuracy on corrupted slices: of each kind and severity, and the mean of all."""
    right: dict[str, list[NDArray[np.float64]]] = {}
    for kind in CORRUPTIONS:
        right[kind] = []
        for severity in SEVERITIES:
            changed = [Slice(corrupt(one.pixels, kind, severity)) for one in part.slices]
            called = model.predict(changed).called()
            right[kind].append((called == part.truth).astype(np.float64))
        tell(f"  {kind}: " + " ".join(f"{row.mean():.3f}" for row in right[kind]))

    def mean(rows: list[NDArray[np.float64]]) -> dict[str, float | None]:
        return bootstrap_mean(np.mean(rows, axis=0), part.groups)

    return {
        "protocol": protocol,
        "n": len(part.slices),
        "groups": len(set(part.groups)),
        "mean": mean([row for rows in right.values() for row in rows]),
        "kinds": {
            kind: {"mean": mean(rows), "severities": [mean([row]) for row in rows]}
            for kind, rows in right.items()
        },
    }


@dataclass(frozen=True)
class MaskedPart:
    """Prepared tumour slices with their masks, on the slice and on the network's grid."""

    prepared: list[PreparedSlice]
    tensors: NDArray[np.float32]
    masks: list[NDArray[np.uint8]]
    grid_masks: list[NDArray[np.uint8]]
    truth: NDArray[np.int64]
    groups: list[str]


def take_masked(
    data: LabelledData,
    masks: dict[str, NDArray[np.uint8]],
    size: int,
    limit: int | None = None,
) -> MaskedPart:
    """Return the val tumours that have a mask, at most `limit` of them.

    Raises:
        DatasetError: no tumour of the val part has a mask.
    """
    positions = val_tumours_with_masks(data, masks)
    positions = [positions[i] for i in spread_out(len(positions), limit)]
    prepared = [prepare(data.images[i], size) for i in positions]
    own = [masks[data.records[i].path] for i in positions]
    return MaskedPart(
        prepared,
        np.stack([p.tensor for p in prepared]),
        own,
        [crop_mask(m, p.box, size) for m, p in zip(own, prepared, strict=True)],
        true_labels(data, positions),
        [str(data.split.groups[i]) for i in positions],
    )


def evaluate_localisation(
    model: EvaluatedModel, part: MaskedPart, protocol: str, *, seed: int = 0
) -> dict[str, Any]:
    """Return whether the heatmap of the true class lies on the tumour.

    Args:
        seed: of the bootstrap.

    Returns:
        What `summarise_localisation` returns, `protocol`, and `empty_of_correct`: the share
        of empty maps among correctly classified slices, None where no slice is correct.
    """
    heat = model.heat(part.tensors, part.truth.tolist())
    drawn = [p.to_slice(h) for p, h in zip(part.prepared, heat, strict=True)]
    summary = summarise_localisation(drawn, part.masks, part.groups, seed=seed)
    right = np.flatnonzero(model.probabilities(part.tensors).argmax(axis=1) == part.truth)
    empty = [not heat[i].any() for i in right]
    summary["empty_of_correct"] = round(float(np.mean(empty)), 6) if empty else None
    return {"protocol": protocol, **summary}


def evaluate_faithfulness(
    model: EvaluatedModel, randomised: EvaluatedModel, part: MaskedPart, protocol: str
) -> dict[str, Any]:
    """Return deletion and insertion, weight randomisation and the tumour-removed check.

    Args:
        model: the network.
        randomised: the same network with random weights (`with_random_weights`).
    """
    labels = part.truth.tolist()
    heat = model.heat(part.tensors, labels)
    curves = [
        faithfulness.deletion_insertion(
            part.tensors[i], heat[i], label, model.probabilities, np.random.default_rng(i)
        )
        for i, label in enumerate(labels)
    ]
    noise = np.random.default_rng(0).normal(0, _LITTLE_NOISE, part.tensors.shape)
    noisy = np.clip(part.tensors + noise, 0, 1).astype(np.float32)
    return {
        "protocol": protocol,
        "deletion_insertion": faithfulness.summarise_curves(curves, part.groups),
        "randomisation": faithfulness.summarise_sanity(
            heat, model.heat(noisy, labels), randomised.heat(part.tensors, labels), part.groups
        ),
        "tumour_removed": faithfulness.tumour_removed(
            list(part.tensors), part.grid_masks, labels, model.probabilities, part.groups
        ),
    }
