"""The sets of figures that a training and an evaluation write.

Figures of numbers may be published with the model. Figures that show images of the data
set stay with the run: the data set is not ours to hand on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brain_cnn.evaluation.figures import (
    confusion_matrix,
    gradcam_gallery,
    precision_recall_curves,
    prediction_grid,
    roc_curves,
    save_figure,
)
from brain_cnn.labels import LABELS


def choose_examples(
    true: ArrayLike, predicted: ArrayLike, each: int = 4, seed: int = 0
) -> list[int]:
    """Return positions of examples: per true class `each` right and up to `each` wrong ones."""
    truth, called = np.asarray(true), np.asarray(predicted)
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for i in range(len(LABELS)):
        for right in (True, False):
            pool = np.flatnonzero((truth == i) & ((called == i) == right))
            chosen += sorted(rng.permutation(pool)[:each].tolist())
    return chosen


def save_number_figures(
    folder: Path | str, name: str, true: ArrayLike, probabilities: ArrayLike, title: str
) -> list[Path]:
    """Write `<name>_confusion`, `<name>_roc` and `<name>_precision_recall`; return the paths."""
    truth, scores = np.asarray(true), np.asarray(probabilities)
    counts = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    np.add.at(counts, (truth, scores.argmax(axis=1)), 1)
    base = Path(folder)
    return [
        *save_figure(confusion_matrix(counts, title), base / f"{name}_confusion"),
        *save_figure(roc_curves(truth, scores, title), base / f"{name}_roc"),
        *save_figure(
            precision_recall_curves(truth, scores, title), base / f"{name}_precision_recall"
        ),
    ]


def save_image_figures(
    folder: Path | str,
    name: str,
    pixels: Sequence[NDArray[np.uint8]],
    true: ArrayLike,
    probabilities: ArrayLike,
    heatmaps: Sequence[NDArray[np.floating]],
) -> list[Path]:
    """Write `<name>_predictions` and `<name>_gradcam` for chosen examples; return the paths.

    These show images of the data set: they belong in the run folder, never in the bundle.

    Args:
        folder: where to write.
        name: how the files begin.
        pixels: M example slices, uint8 (H, W) (see `choose_examples`).
        true: int (M,).
        probabilities: float (M, 4).
        heatmaps: M maps (H, W) of the predicted class, 0..1.
    """
    truth, scores = np.asarray(true), np.asarray(probabilities)
    called = scores.argmax(axis=1)
    cases = [(pixels[i], heatmaps[i], int(truth[i]), int(called[i])) for i in range(len(pixels))]
    base = Path(folder)
    return [
        *save_figure(prediction_grid(pixels, truth.tolist(), scores), base / f"{name}_predictions"),
        *save_figure(gradcam_gallery(cases), base / f"{name}_gradcam"),
    ]
