"""Figures are drawn without a window system, show what they are given, and are repeatable."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from brain_cnn.evaluation import figures
from brain_cnn.evaluation.figure_sets import (
    choose_examples,
    save_image_figures,
    save_number_figures,
)
from brain_cnn.labels import LABELS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 80)
    scores = rng.dirichlet(np.ones(4), size=80)
    scores[np.arange(80), true] += 1
    return true, scores / scores.sum(axis=1, keepdims=True)


def blob(height=60, width=50):
    y, x = np.mgrid[:height, :width]
    return (255 * np.exp(-((y - 30) ** 2 + (x - 20) ** 2) / 300)).astype(np.uint8)


def texts(figure):
    """Every text of a figure, titles and legends included."""
    import matplotlib.text

    return [t.get_text() for t in figure.findobj(matplotlib.text.Text)]


def test_curves_show_all_four_series_from_csv_text():
    rows = [
        {
            "epoch": str(i),
            "loss": "0.9",
            "accuracy": "0.5",
            "val_loss": "1.0",
            "val_accuracy": "0.4",
        }
        for i in (1, 2, 3)
    ]
    axes = figures.accuracy_loss_curves(rows).axes
    assert [len(a.lines) for a in axes] == [2, 2]
    assert axes[1].lines[1].get_ydata().tolist() == [0.4, 0.4, 0.4]


@pytest.mark.parametrize("rows", [[], [{"epoch": 1, "loss": 0.9, "accuracy": 0.5, "val_loss": ""}]])
def test_curves_of_a_run_that_has_just_begun(tmp_path, rows):
    figures.save_figure(figures.accuracy_loss_curves(rows), tmp_path / "curves")


def test_confusion_matrix_prints_the_counts_with_the_truth_in_rows():
    matrix = np.arange(16).reshape(4, 4)
    figure = figures.confusion_matrix(matrix, "a title")
    shown = texts(figure)
    for count in range(16):
        assert any(t.startswith(f"{count}\n") for t in shown)
    assert figure.axes[0].get_ylabel() == "true"
    assert "a title" in shown
    with pytest.raises(ValueError):
        figures.confusion_matrix(np.zeros((3, 3)))


def test_roc_and_precision_recall_state_the_areas_of_scikit_learn(sample):
    from sklearn.metrics import average_precision_score, roc_auc_score

    true, scores = sample
    roc, pr = (
        " ".join(texts(draw(true, scores)))
        for draw in (figures.roc_curves, figures.precision_recall_curves)
    )
    for i, label in enumerate(LABELS):
        assert f"{label} (AUC {roc_auc_score(true == i, scores[:, i]):.3f})" in roc
        assert f"{label} (AP {average_precision_score(true == i, scores[:, i]):.3f})" in pr


def test_curves_leave_out_a_class_without_images(sample):
    true, scores = sample
    keep = true != 2
    shown = " ".join(texts(figures.roc_curves(true[keep], scores[keep])))
    assert "glioma" in shown
    assert "notumor" not in shown


def test_grid_says_right_or_wrong_in_words_for_each_slice():
    scores = np.array([[0.7, 0.1, 0.1, 0.1], [0.7, 0.1, 0.1, 0.1]])
    figure = figures.prediction_grid([blob(), blob(40, 80)], ["glioma", 3], scores)
    shown = texts(figure)
    assert any("true glioma" in t and "right: glioma 70%" in t for t in shown)
    assert any("true pituitary" in t and "wrong: glioma 70%" in t for t in shown)


def test_gallery_draws_the_heat_where_it_is_and_names_an_empty_map():
    heat = np.zeros((60, 50), np.float32)
    heat[10, 40] = 1  # outside the blob: background heat must show too
    figure = figures.gradcam_gallery(
        [(blob(), heat, "glioma", "glioma"), (blob(), np.zeros_like(heat), 1, 0)]
    )
    overlay = figure.axes[1].images[1]
    assert np.array_equal(np.asarray(overlay.get_array()), heat)
    assert overlay.get_alpha()[10, 40] > 0.5
    assert overlay.get_alpha()[0, 0] == 0
    assert any("wrong: glioma (empty map)" in t for t in texts(figure))


def test_examples_hold_right_and_wrong_cases_of_every_class(sample):
    true, _ = sample
    called = np.where(np.arange(80) % 3 == 0, (true + 1) % 4, true)
    chosen = choose_examples(true, called, each=2)
    for i in range(4):
        for right in (True, False):
            picked = [c for c in chosen if true[c] == i and (called[c] == i) == right]
            assert len(picked) == 2
    assert chosen == choose_examples(true, called, each=2)
    assert len(choose_examples(true, true, each=2)) == 8  # nothing is wrong: no wrong cases


def test_sets_are_written_as_png_and_svg_that_open(tmp_path, sample):
    true, scores = sample
    written = save_number_figures(tmp_path, "protocol", true, scores, "ours")
    written += save_image_figures(
        tmp_path, "protocol", [blob()] * 3, true[:3], scores[:3], [blob() / 255.0] * 3
    )
    names = ("confusion", "roc", "precision_recall", "predictions", "gradcam")
    assert {p.name for p in written} == {f"protocol_{n}.{s}" for n in names for s in ("png", "svg")}
    for path in written:
        if path.suffix == ".png":
            assert cv2.imread(str(path)).std() > 1
        else:
            assert path.read_text().startswith("<?xml")


def test_the_same_figure_gives_the_same_bytes(tmp_path, sample):
    for name in ("a", "b"):
        figures.save_figure(figures.roc_curves(*sample), tmp_path / name)
    for suffix in ("png", "svg"):
        one, two = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
        assert one == two


def test_drawing_needs_neither_pyplot_nor_tensorflow():
    code = (
        "import sys; from brain_cnn.evaluation import figures, figure_sets; "
        "figures.accuracy_loss_curves([]); "
        "print([m for m in ('matplotlib.pyplot', 'tensorflow', 'keras') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert result.stdout.strip() == "[]"
