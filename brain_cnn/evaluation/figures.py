"""The figures of a training run and of an evaluation, drawn with matplotlib.

Every function returns a `Figure` of its own (never pyplot: no window system, no global
state, safe in a thread). `figure_sets` writes the usual sets of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from brain_cnn.labels import LABELS

# Okabe and Ito: told apart with any colour vision.
CLASS_COLOURS = dict(zip(LABELS, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
_HEAT_COLOURS = "inferno"
# The slice stays readable under the hottest cell.
_HEAT_OPACITY = 0.65
_RIGHT, _WRONG = "#00693E", "#B00020"
_PNG_DPI = 130

Label = str | int


def save_figure(figure: Figure, path_without_suffix: Path | str) -> list[Path]:
    """Write the figure as PNG and SVG and return the two paths.

    The SVG holds no date and no random identifiers: the same figure gives the same bytes.
    """
    base = Path(path_without_suffix)
    base.parent.mkdir(parents=True, exist_ok=True)
    png, svg = base.with_name(base.name + ".png"), base.with_name(base.name + ".svg")
    figure.savefig(png, dpi=_PNG_DPI)
    with matplotlib.rc_context({"svg.hashsalt": "brain-cnn"}):
        figure.savefig(svg, metadata={"Date": None})
    return [png, svg]


def accuracy_loss_curves(rows: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Draw loss and accuracy over the epochs, training and validation.

    Args:
        rows: those of `results.csv` (`epoch, loss, accuracy, val_loss, val_accuracy`), as
            numbers or as text; a missing or empty value leaves a gap.
        title: above the figure.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [_number(row.get("epoch")) for row in rows]
    for place, name in enumerate(("loss", "accuracy"), start=1):
        axes = figure.add_subplot(1, 2, place)
        for key, label, colour in (
            (name, "training", "#0072B2"),
            (f"val_{name}", "validation", "#D55E00"),
        ):
            values = np.array([_number(row.get(key)) for row in rows])
            if values.size and not np.all(np.isnan(values)):
                # A single epoch is a point: a line would not show it.
                marker = "o" if len(values) == 1 else None
                axes.plot(epochs, values, label=label, color=colour, marker=marker)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.suptitle(title)
    return figure


def confusion_matrix(matrix: ArrayLike, title: str = "") -> Figure:
    """Draw a 4x4 matrix of counts (rows = truth), coloured by the share of its row."""
    counts = np.asarray(matrix, dtype=int)
    if counts.shape != (len(LABELS), len(LABELS)):
        raise ValueError(f"the matrix must be {len(LABELS)}x{len(LABELS)}, got {counts.shape}")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column,
            row,
            f"{counts[row, column]}\n{share:.1%}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "black",
        )
    axes.set_xticks(range(len(LABELS)), LABELS)
    axes.set_yticks(range(len(LABELS)), LABELS)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure


def roc_curves(true: ArrayLike, probabilities: ArrayLike, title: str = "") -> Figure:
    """Draw one ROC curve a class (one against the rest); classes without both sides are left out.

    Args:
        true: int (N,), positions in `LABELS`.
        probabilities: float (N, 4).
        title: above the figure.
    """
    truth, scores = np.asarray(true), np.asarray(probabilities)
    figure, axes = square_axes(title, "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1, label="chance")
    for i, label in _two_sided(truth):
        false_rate, true_rate, _ = roc_curve(truth == i, scores[:, i])
        area = roc_auc_score(truth == i, scores[:, i])
        axes.plot(
            false_rate, true_rate, color=CLASS_COLOURS[label], label=f"{label} (AUC {area:.3f})"
        )
    axes.legend(loc="lower right")
    return figure


def precision_recall_curves(true: ArrayLike, probabilities: ArrayLike, title: str = "") -> Figure:
    """Draw one precision-recall curve a class; arguments as for `roc_curves`."""
    truth, scores = np.asarray(true), np.asarray(probabilities)
    figure, axes = square_axes(title, "recall", "precision")
    for i, label in _two_sided(truth):
        precision, recall, _ = precision_recall_curve(truth == i, scores[:, i])
        area = average_precision_score(truth == i, scores[:, i])
        axes.plot(recall, precision, color=CLASS_COLOURS[label], label=f"{label} (AP {area:.3f})")
    if axes.lines:
        axes.legend(loc="lower left")
    return figure


def prediction_grid(
    pixels: Sequence[NDArray[np.uint8]],
    true: Sequence[Label],
    probabilities: ArrayLike,
    columns: int = 4,
) -> Figure:
    """Draw slices, each with its true class and its four probabilities as bars.

    Args:
        pixels: N slices, uint8 (H, W), sizes may differ.
        true: N labels, by name or by position in `LABELS`.
        probabilities: float (N, 4).
        columns: slices a row.
    """
    scores = np.asarray(probabilities)
    rows = max(1, -(-len(pixels) // columns))
    figure = Figure(figsize=(2.7 * columns, 3.9 * rows), layout="constrained")
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[3, 1] * rows)
    for i, slice_pixels in enumerate(pixels):
        row, column = divmod(i, columns)
        name, called = _name(true[i]), LABELS[int(scores[i].argmax())]
        colour = _RIGHT if name == called else _WRONG
        axes = figure.add_subplot(grid[2 * row, column])
        _show(axes, slice_pixels)
        axes.set_title(
            f"true {name}\n{'right' if name == called else 'wrong'}: {called} "
            f"{scores[i].max():.0%}",
            fontsize=8,
            color=colour,
        )
        bars = figure.add_subplot(grid[2 * row + 1, column])
        bars.barh(LABELS, scores[i], color=[CLASS_COLOURS[label] for label in LABELS])
        bars.set(xlim=(0, 1), xticks=[0, 0.5, 1])
        bars.tick_params(labelsize=6)
        bars.invert_yaxis()
    return figure


def gradcam_gallery(
    cases: Sequence[tuple[NDArray[np.uint8], NDArray[np.floating], Label, Label]],
    columns: int = 4,
) -> Figure:
    """Draw each slice beside the same slice under its heatmap.

    Args:
        cases: (pixels uint8 (H, W), heatmap (H, W) in 0..1, true label, predicted label);
            the heatmap is that of the predicted label.
        columns: cases a row.
    """
    rows = max(1, -(-len(cases) // columns))
    figure = Figure(figsize=(3.6 * columns, 2.05 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 2 * columns)
    drawn: list[Axes] = []
    heat: Any = None
    for i, (pixels, heatmap, true, predicted) in enumerate(cases):
        row, column = divmod(i, columns)
        name, called = _name(true), _name(predicted)
        plain = figure.add_subplot(grid[row, 2 * column])
        _show(plain, pixels)
        plain.set_title(f"true {name}", fontsize=8)
        over = figure.add_subplot(grid[row, 2 * column + 1])
        _show(over, pixels)
        values = np.asarray(heatmap, dtype=np.float32)
        # Opacity follows the heat: cold places show the slice, hot ones the colour, and
        # nothing is hidden, in the background neither.
        heat = over.imshow(
            values,
            cmap=_HEAT_COLOURS,
            vmin=0,
            vmax=1,
            alpha=np.clip(values, 0, 1) * _HEAT_OPACITY,
        )
        empty = " (empty map)" if not values.max(initial=0) > 0 else ""
        over.set_title(
            f"{'right' if name == called else 'wrong'}: {called}{empty}",
            fontsize=8,
            color=_RIGHT if name == called else _WRONG,
        )
        drawn += [plain, over]
    if heat is not None:
        scale = matplotlib.cm.ScalarMappable(heat.norm, _HEAT_COLOURS)
        figure.colorbar(scale, ax=drawn, shrink=0.6, label="evidence, share of the map's maximum")
    return figure


def _number(value: Any) -> float:
    return float("nan") if value in (None, "") else float(value)


def _name(label: Label) -> str:
    return label if isinstance(label, str) else LABELS[int(label)]


def _show(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()


def _two_sided(truth: NDArray[Any]) -> list[tuple[int, str]]:
    return [(i, label) for i, label in enumerate(LABELS) if 0 < np.sum(truth == i) < len(truth)]


def square_axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Return a figure with axes from 0 to 1 both ways."""
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y, title=title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.grid(alpha=0.3)
    return figure, axes
