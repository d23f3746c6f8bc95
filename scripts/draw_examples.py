"""Draw what the model says of heads drawn by code, for the README.

    python scripts/draw_examples.py --model models/brain_cnn --out docs

The heads are cartoons (`brain_cnn/phantoms.py`): the pictures show what an answer looks like,
refusals included, and say nothing of how often it is right.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.errors import BrainCnnError
from brain_cnn.evaluation.figures import gradcam_gallery, prediction_grid
from brain_cnn.inference.classifier import load_classifier
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom

_EACH = 3  # heads of each class


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="model folder (default: the shipped one)")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where the PNGs go")
    args = parser.parse_args(arguments)
    try:
        classifier = load_classifier(args.model)
        heads = [draw_phantom(label, seed) for label in LABELS for seed in range(_EACH)]
        true = [index for index in range(len(LABELS)) for _ in range(_EACH)]
        diagnoses = [classifier.classify(_png(head)) for head in heads]
    except BrainCnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    probabilities = np.array([[d.probabilities[label] for label in LABELS] for d in diagnoses])
    _save(prediction_grid(heads, true, probabilities), args.out / "examples_predictions.png")
    called = probabilities.argmax(axis=1)
    cases = [
        (head, diagnosis.heatmap, truth, int(top))
        for head, diagnosis, truth, top in zip(heads, diagnoses, true, called, strict=True)
    ]
    _save(gradcam_gallery(cases), args.out / "examples_gradcam.png")
    for head_label, diagnosis in zip(true, diagnoses, strict=True):
        print(f"drawn {LABELS[head_label]:<11} {diagnosis.verdict:<11} {diagnosis.label}")
    return 0


def _save(figure: Figure, path: Path) -> None:
    """Write a PNG alone: pictures in an SVG are only larger."""
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})


def _png(pixels: np.ndarray) -> bytes:
    ok, data = cv2.imencode(".png", pixels)
    assert ok
    return data.tobytes()


if __name__ == "__main__":
    sys.exit(main())
