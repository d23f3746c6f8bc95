"""A second set of other scanners, whose patients are known: recall by class and weighting.

A folder or ZIP of the layout of `external`, where the first word of a file name is the
patient, the unit of the intervals. It has no class in every weighting, so that no balanced
accuracy can be given.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.evaluation.external import DEVELOPMENT, ExternalSet
from brain_cnn.evaluation.localisation import pointing_hit
from brain_cnn.evaluation.models import EvaluatedModel
from brain_cnn.evaluation.uncertainty import counted
from brain_cnn.labels import LABELS, NOTUMOR, label_index
from brain_cnn.preprocess import prepare

Masks = dict[str, NDArray[np.uint8]]


def patients_of(data: ExternalSet) -> NDArray[np.str_]:
    """Return the patient of each slice: class and first word of the file name."""
    places = [PurePosixPath(name) for name in data.names]
    return np.array([f"{path.parent.name}/{path.stem.split('-')[0]}" for path in places])


def evaluate_patients(model: EvaluatedModel, data: ExternalSet, masks: Masks) -> dict[str, Any]:
    """Return by class and weighting how the model does on a set of known patients.

    Args:
        masks: name without suffix and weighting (`glioma/p001-0`) -> uint8 (H, W), non-zero on
            the tumour; what is not named has none.

    Returns:
        `protocol`, and `rows`: dicts with `class`, `weighting`, `recall`, `called_notumor`,
        `confident`, `accuracy_of_confident`, `unfamiliar`, `pointing` (None without masks);
        each number with its interval over patients.
    """
    predictions = model.predict(data.slices)
    called, sure = predictions.called(), predictions.confident()
    patients, kinds = patients_of(data), np.array(data.labels)
    weightings = np.array(data.weightings)
    rows = []
    for label in (label for label in LABELS if label in data.labels):
        for weighting in sorted(set(weightings[kinds == label].tolist())):
            own = (kinds == label) & (weightings == weighting)
            right, groups = called[own] == label_index(label), patients[own]
            rows.append(
                {
                    "class": label,
                    "weighting": weighting,
                    "recall": counted(right, groups),
                    "called_notumor": counted(called[own] == label_index(NOTUMOR), groups),
                    "confident": counted(sure[own], groups),
                    "accuracy_of_confident": counted(right[sure[own]], groups[sure[own]]),
                    "unfamiliar": counted(~predictions.familiar[own], groups),
                    "pointing": _pointing(model, data, np.flatnonzero(own), masks, patients),
                }
            )
    return {"protocol": f"other scanners, patients known; {DEVELOPMENT}", "rows": rows}


def _pointing(
    model: EvaluatedModel, data: ExternalSet, members: NDArray[np.int64], masks: Masks,
    patients: NDArray[np.str_],
) -> dict[str, Any] | None:  # fmt: skip
    """Return how often the peak of the true class's map lies on the tumour."""
    hits, groups = [], []
    for i in members.tolist():
        mask = masks.get(_mask_name(data.names[i]))
        pixels = data.slices[i].pixels
        if mask is None or not mask.any() or mask.shape != pixels.shape:
            continue
        ready = prepare(pixels, model.size)
        heat = model.heat(ready.tensor[None], [label_index(data.labels[i])])[0]
        hits.append(pointing_hit(ready.to_slice(heat), mask))
        groups.append(patients[i])
    return counted(hits, groups) if hits else None


def _mask_name(name: str) -> str:
    path = PurePosixPath(name)
    words = path.stem.split("-")
    return f"{path.parent.name}/{'-'.join([*words[:-2], words[-1]])}"
