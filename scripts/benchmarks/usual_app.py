"""The usual way to serve a Keras classifier, for comparison: what most tutorials build.

`model.predict`, Grad-CAM with a GradientTape, an overlay drawn by matplotlib; Flask. The
network is the shipped `.keras` file. In favour of this side: the Grad-CAM model is built
once at start (tutorials build it in every call), and the picture is only resized.
"""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from flask import Flask, Response, jsonify, request
from numpy.typing import NDArray
from PIL import Image

LABELS = ("glioma", "meningioma", "notumor", "pituitary")
_SHIPPED = Path(__file__).resolve().parents[2] / "models" / "brain_cnn"


class UsualClassifier:
    """The loaded model and its Grad-CAM twin."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or Path(os.environ.get("BRAIN_CNN_MODEL") or _SHIPPED)
        self.model = keras.models.load_model(folder / "brain_cnn.keras", compile=False)
        self.size = int(self.model.input_shape[1])
        last = [layer for layer in self.model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
        self.grad_model = keras.Model(self.model.input, [last.output, self.model.output["logits"]])
        self.classify(_black_png())  # as our own server, warm before the first request

    def classify(self, data: bytes) -> tuple[str, dict[str, float], NDArray[np.float32]]:
        """Return the class, the probabilities, and the heatmap float32 (H, W) in 0..1."""
        image = Image.open(io.BytesIO(data)).convert("L")
        small = image.resize((self.size, self.size))
        batch = np.asarray(small, np.float32)[None, ..., None] / 255.0
        logits = self.model.predict(batch, verbose=0)["logits"][0]
        powers = np.exp(logits - logits.max())
        chances = powers / powers.sum()
        top = int(chances.argmax())
        heat = Image.fromarray(self._gradcam(batch, top)).resize(image.size)
        probabilities = {n: float(p) for n, p in zip(LABELS, chances, strict=True)}
        return LABELS[top], probabilities, np.asarray(heat)

    def _gradcam(self, batch: NDArray[np.float32], label: int) -> NDArray[np.float32]:
        with tf.GradientTape() as tape:
            features, logits = self.grad_model(batch)
            score = logits[:, label]
        gradient = tape.gradient(score, features)
        weights = tf.reduce_mean(gradient, axis=(0, 1, 2))
        heat = tf.maximum(features[0] @ weights[:, None], 0)[..., 0]
        peak = tf.reduce_max(heat)
        result: NDArray[np.float32] = (heat / peak if peak > 0 else heat).numpy()
        return result


def draw(data: bytes, heat: NDArray[np.float32]) -> bytes:
    """Draw the overlay with matplotlib, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(4, 4))
    axes.imshow(Image.open(io.BytesIO(data)).convert("L"), cmap="gray")
    axes.imshow(heat, cmap="jet", alpha=0.4)
    axes.axis("off")
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    plt.close(figure)
    return file.getvalue()


def create_app() -> Flask:
    """Build the application; `gunicorn "usual_app:create_app()"`."""
    classifier = UsualClassifier()
    app = Flask(__name__)

    @app.post("/api/v1/predict")
    def predict() -> Response:
        data = request.files["file"].read()
        label, probabilities, heat = classifier.classify(data)
        overlay = base64.b64encode(draw(data, heat)).decode("ascii")
        result: dict[str, Any] = {
            "label": label,
            "confidence": probabilities[label],
            "probabilities": probabilities,
            "heatmap": {"label": label, "png": "data:image/png;base64," + overlay},
        }
        return jsonify(results=[result])

    @app.get("/readyz")
    def ready() -> Response:
        return jsonify(status="ready")

    return app


def _black_png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "PNG")
    return file.getvalue()
