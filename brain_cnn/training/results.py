"""What a finished training shows: predictions, the results table, figures, `metrics.json`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from brain_cnn.dataset.labelled import LabelledData, true_labels
from brain_cnn.evaluation.figure_sets import (
    choose_examples,
    save_image_figures,
    save_number_figures,
)
from brain_cnn.evaluation.figures import accuracy_loss_curves, save_figure
from brain_cnn.evaluation.metrics import PUBLISHED_REFERENCE, format_table
from brain_cnn.evaluation.predictions import evaluate_file, write_predictions
from brain_cnn.inference.diagnosis import slice_heatmap
from brain_cnn.inference.predictor import Predictor, keras_network
from brain_cnn.preprocess import prepare
from brain_cnn.training.pipeline import Trained
from brain_cnn.training.run_folder import RunFolder


def report_results(
    data: LabelledData, networks: dict[str, Trained], run_path: Path, out: Path
) -> dict[str, Any]:
    """Write predictions, the results table and the figures; return the `metrics.json` section.

    Args:
        networks: "ours" and, where it was trained, "baseline".
        run_path: the run folder; figures that show images of the data set stay there.
        out: the bundle's folder, which gets predictions and figures of numbers.
    """
    split = data.split
    section: dict[str, Any] = {"sentence": split.sentence, "leaky": split.leaky, "predictions": {}}
    section["train_n"], section["val_n"] = len(split.train), len(split.val)
    for name, trained in networks.items():
        section[name], section["predictions"][name] = _report_network(data, name, trained, out)
        _copy_curves(RunFolder(run_path / name), out / "figures", split.name, name)
    if split.name == "official":
        section["reference"] = PUBLISHED_REFERENCE
    text = f"{split.sentence}\n\n" + format_table(
        {name: section[name] for name in networks}, section.get("reference")
    )
    print("\n" + text, flush=True)
    (run_path / "results_table.txt").write_text(text)
    _draw_images(data, networks["ours"], run_path)
    return section


def _report_network(
    data: LabelledData, name: str, trained: Trained, out: Path
) -> tuple[dict[str, Any], str]:
    """Write predictions and figures of one network; return its metrics and the table's name."""
    split = data.split
    truth = true_labels(data, split.test)
    paths = [data.records[i].path for i in split.test]
    groups = [split.groups[i] for i in split.test]
    table = f"predictions/{split.name}_{name}.csv"
    (out / "predictions").mkdir(parents=True, exist_ok=True)
    write_predictions(out / table, paths, truth, trained.test_probabilities, groups)
    metrics = evaluate_file(out / table)
    metrics["parameters"] = int(trained.model.count_params())
    title, figure = f"{split.name} split, {name}", f"{split.name}_{name}"
    save_number_figures(out / "figures", figure, truth, trained.test_probabilities, title)
    return metrics, table


def _copy_curves(run: RunFolder, figures: Path, split: str, name: str) -> None:
    """Put the curves of a run, and the rows they are drawn from, beside the other figures."""
    rows = run.rows()
    if rows:
        curves = accuracy_loss_curves(rows, f"{split} split, {name}")
        save_figure(curves, figures / f"{split}_{name}_accuracy_loss")
        shutil.copy(run.path / "results.csv", figures / f"{split}_{name}_epochs.csv")


def _draw_images(data: LabelledData, trained: Trained, run_path: Path) -> None:
    """Draw predictions and Grad-CAM of chosen test images, into the run folder."""
    truth = true_labels(data, data.split.test)
    called = trained.test_probabilities.argmax(axis=1)
    chosen = choose_examples(truth, called, each=2)
    pixels = [data.images[data.split.test[i]] for i in chosen]
    ready = [prepare(p, trained.model.input_shape[1]) for p in pixels]
    predictor = Predictor(keras_network(trained.model), trained.model.input_shape[1])
    maps = predictor.predict(r.tensor for r in ready).class_maps
    heat = [slice_heatmap(maps[row, ..., called[i]], ready[row]) for row, i in enumerate(chosen)]
    save_image_figures(
        run_path / "figures",
        data.split.name,
        pixels,
        truth[chosen],
        trained.test_probabilities[chosen],
        heat,
    )


def update_metrics(out: Path, section_name: str, section: dict[str, Any]) -> None:
    """Replace one section of `metrics.json`; others, and a baseline not trained now, stay."""
    path = out / "metrics.json"
    metrics = json.loads(path.read_text()) if path.exists() else {}
    old = metrics.get(section_name, {})
    if "baseline" in old and "baseline" not in section and old["sentence"] == section["sentence"]:
        section = {**section, "baseline": old["baseline"]}
        section["predictions"] = {**old["predictions"], **section["predictions"]}
    metrics[section_name] = section
    part = out / "metrics.json.part"
    part.write_text(json.dumps(metrics, indent=1) + "\n")
    part.replace(path)
