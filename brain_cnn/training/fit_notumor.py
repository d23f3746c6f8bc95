"""Set the bias of `notumor` on other sources than the training's.

A network learns how often a head has no tumour from its own data set; elsewhere that is
another share, and a tumour called `notumor` is the worse error. One number is fitted: what is
added to the logit of `notumor`. It becomes part of the weights, so that every engine has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from brain_cnn.labels import LABELS, NOTUMOR, label_index

_NONE = label_index(NOTUMOR)
MISS_COST = 3.0
"""A share of tumours called `notumor` counts as this much of the other error."""

_SHIFTS = np.round(np.arange(-2.5, 1.01, 0.05), 2)

Judged = tuple[NDArray[np.floating], NDArray[np.integer]]
"""Logits (N, 4) and true labels (N,) of one source."""


def choose_shift(sources: Sequence[Judged]) -> float:
    """Return the shift of the logit of `notumor` that suits all sources best.

    Args:
        sources: val, and others that no training saw, each with and without tumours; each
            counts the same. Of shifts that are equally good the one nearest to 0.
    """
    scores = [float(np.mean([_score(*one, shift) for one in sources])) for shift in _SHIFTS]
    best = max(scores)
    good = [float(s) for s, score in zip(_SHIFTS, scores, strict=True) if score >= best - 1e-9]
    return min(good, key=abs)


def shift_notumor(model: keras.Model, shift: float) -> None:
    """Add `shift` to the logit of `notumor`, in the weights of the layer `logits`."""
    layer = model.get_layer("logits")
    scale, bias = layer.get_weights()
    bias[_NONE] += shift
    layer.set_weights([scale, bias])


def _score(logits: NDArray[np.floating], labels: NDArray[np.integer], shift: float) -> float:
    """Return the weighted mean of tumours called a tumour and of the others called `notumor`."""
    called = (logits + shift * np.eye(len(LABELS))[_NONE]).argmax(axis=1) == _NONE
    none = labels == _NONE
    seen = 1.0 - float(called[~none].mean())
    return (MISS_COST * seen + float(called[none].mean())) / (MISS_COST + 1.0)
