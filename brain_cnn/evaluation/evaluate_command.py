"""Evaluate a saved model bundle: the results table, its predictions and its figures.

    brain-cnn evaluate --model models/brain_cnn --data brain-tumor-mri.zip \\
        --split protocol --protocol provenance.csv --out runs/evaluation

Writes into --out: `metrics.json` (the table), `predictions.csv`, figures of numbers
(confusion matrix, ROC, precision-recall), and figures that show images of the data set
(predictions, Grad-CAM), which are for your eyes and not for publication.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brain_cnn.dataset import index
from brain_cnn.dataset.labelled import SPLITS, LabelledData, load_labelled, true_labels
from brain_cnn.errors import BrainCnnError
from brain_cnn.evaluation.figure_sets import (
    choose_examples,
    save_image_figures,
    save_number_figures,
)
from brain_cnn.evaluation.metrics import PUBLISHED_REFERENCE, format_interval, format_table
from brain_cnn.evaluation.models import EvaluatedModel
from brain_cnn.evaluation.predictions import evaluate_file, write_predictions
from brain_cnn.evaluation.sections import evaluate_localisation, take_masked
from brain_cnn.inference.bundle import Bundle, load_bundle
from brain_cnn.inference.engines import ENGINES, make_engine
from brain_cnn.inference.predictor import Predictor
from brain_cnn.preprocess import prepare
from brain_cnn.scan.types import Slice


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status.

    Args:
        argv: the options, without the program's name; None takes those of the process.
    """
    args = _parse(argv)
    try:
        bundle = load_bundle(args.model)
        print(f"Model {bundle.name} {bundle.version} ({bundle.sha256[:12]}), engine {args.engine}.")
        data = load_labelled(args.data, args.split, args.protocol, seed=args.seed)
        positions = getattr(data.split, args.part)
        print(f"Split {data.split.name}: {data.split.sentence}")
        engine = make_engine(bundle, args.engine, args.threads)
        model = EvaluatedModel(Predictor(engine.run, bundle.input_size), bundle.calibration)
        result = _evaluate(args, bundle, model, data, positions)
        if args.masks is not None:
            result["localisation"] = _localise(args, model, data)
            if args.record:
                _record(bundle.path, "localisation", result["localisation"])
        _write_json(args.out / "metrics.json", result)
        print(f"Written to {args.out}.")
    except BrainCnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _evaluate(
    args: argparse.Namespace,
    bundle: Bundle,
    model: EvaluatedModel,
    data: LabelledData,
    positions: Any,
) -> dict[str, Any]:
    pixels = [data.images[i] for i in positions]
    truth = true_labels(data, positions)
    print(f"Predicting {len(pixels)} slices ({args.part}) ...", flush=True)
    probabilities = model.predict([Slice(one) for one in pixels]).probabilities
    table = args.out / "predictions.csv"
    write_predictions(
        table,
        [data.records[i].path for i in positions],
        truth,
        probabilities,
        [data.split.groups[i] for i in positions],
    )
    evaluated = evaluate_file(table, seed=args.seed)
    reference = PUBLISHED_REFERENCE if args.split == "official" else None
    print()
    print(format_table({bundle.name: evaluated}, reference))
    title = f"{bundle.name}, {args.split} {args.part}"
    save_number_figures(args.out, args.split, truth, probabilities, title)
    _draw_examples(args, model, pixels, truth, probabilities)
    return {
        "split": data.split.name,
        "part": args.part,
        "sentence": data.split.sentence,
        "leaky": data.split.leaky,
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "results": evaluated,
        "reference": reference,
    }


def _draw_examples(
    args: argparse.Namespace,
    model: EvaluatedModel,
    pixels: list[Any],
    truth: Any,
    probabilities: Any,
) -> None:
    called = probabilities.argmax(axis=1)
    chosen = choose_examples(truth, called, each=2, seed=args.seed)
    prepared = [prepare(pixels[i], model.size) for i in chosen]
    heat = model.heat(np.stack([one.tensor for one in prepared]), called[chosen].tolist())
    save_image_figures(
        args.out,
        args.split,
        [pixels[i] for i in chosen],
        truth[chosen],
        probabilities[chosen],
        [one.to_slice(grid) for one, grid in zip(prepared, heat, strict=True)],
    )


def _localise(
    args: argparse.Namespace, model: EvaluatedModel, data: LabelledData
) -> dict[str, Any]:
    part = take_masked(data, index.load_masks(args.masks, data.records), model.size)
    summary = evaluate_localisation(model, part, "val tumours with masks", seed=args.seed)
    print(
        f"Heatmap of the true class on {summary['n']} val tumours: "
        f"peak on the tumour {format_interval(summary['pointing'])}, "
        f"energy ratio {format_interval(summary['energy_ratio'], 2)}, "
        f"empty {format_interval(summary['empty'])}."
    )
    return summary


def _record(folder: Path, name: str, section: dict[str, Any]) -> None:
    """Put one section into the metrics.json of the bundle and leave the others."""
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    _write_json(path, {**metrics, name: section})
    print(f"Recorded {name} in {path}.")


def _write_json(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="bundle folder; default: the shipped one")
    parser.add_argument("--data", required=True, help="folder, ZIP, https or Drive link")
    parser.add_argument("--split", choices=SPLITS, default="official")
    parser.add_argument("--part", choices=("test", "val", "train"), default="test")
    parser.add_argument("--protocol", type=Path, help="CSV of the protocol split")
    parser.add_argument("--masks", help="folder or ZIP of tumour masks: measures localisation")
    parser.add_argument(
        "--record", action="store_true", help="put the localisation into the bundle's metrics.json"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--threads", type=int, help="of the engine; default: its own choice")
    parser.add_argument("--seed", type=int, default=0, help="of drawn splits and intervals")
    return parser.parse_args(argv)
