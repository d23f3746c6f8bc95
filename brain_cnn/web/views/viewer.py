"""`POST /view`: all that the page's viewer needs of an upload, in one answer.

The answer is `multipart/form-data`, which a browser takes apart by itself
(`response.formData()`), so that pictures travel as they are and not as base64:

- `answer`: JSON; the API's `result`, the page's panel as `html`, and what the viewer needs;
- `slice-0` .. `slice-(n-1)`: the slices as grey PNG, in order;
- `heat`: uint8 (n, h, w, 4), the heat of each class on the network's grid, 255 = strongest in
  that slice; absent where no class is named.

Who accepts `application/x-ndjson` gets it with progress: before it come lines that say how
many slices are judged (web/runtime/progress.py).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import Any

import numpy as np
from flask import Blueprint, Response, request

from brain_cnn.inference.classifier import Progress
from brain_cnn.inference.diagnosis import UNFAMILIAR, Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import LABELS
from brain_cnn.render.answer_json import HEATMAPS, part_json
from brain_cnn.render.location import evidence_place
from brain_cnn.render.overlay import VIEW_SIDE, encode_png, view_pixels, view_size
from brain_cnn.render.words import SHORT_NAMES, headline, prediction_of
from brain_cnn.web.answer import answer_upload
from brain_cnn.web.presenters.answer_page import answer_html
from brain_cnn.web.runtime.progress import KIND, answer_with_progress
from brain_cnn.web.security import require_same_origin
from brain_cnn.web.uploads import Upload, classifier, read_upload, series_index

blueprint = Blueprint("view", __name__)

# Pixels of all slices that are sent together; those of a long study are scaled down to fit.
_MOST_PIXELS = 48e6

Part = tuple[str, str, bytes]


@blueprint.post("/view")
def view() -> Response:
    """The page's script gets the answer, the slices and the heat of every class.

    Multipart form fields as for `/api/v1/predict`; `series`: which series of the upload, from
    0, that with the most slices if left out. Errors are problem objects.
    """
    require_same_origin()
    upload, wanted = read_upload(), series_index()
    boundary = f"brain-cnn-{secrets.token_hex(16)}"

    def make(progress: Progress | None = None) -> bytes:
        return multipart(view_parts(upload, wanted, progress), boundary)

    if KIND in request.headers.get("Accept", ""):
        return answer_with_progress(make, boundary)
    return Response(make(), content_type=f"multipart/form-data; boundary={boundary}")


def view_parts(
    upload: Upload, wanted: int | None = None, progress: Progress | None = None
) -> list[Part]:
    """Judge an upload and return the parts of the answer about one of its series.

    Args:
        upload: of `read_upload`.
        wanted: the series, from 0; None: the main one.
        progress: called after each batch of slices.

    Raises:
        ScanError: there is no answer.
    """
    answer = answer_upload(upload, progress)
    main = answer.main(wanted)
    study = main.study
    prediction = prediction_of(study)
    side = view_side(study)
    heatmap = request.args.get("heatmap", "")
    told = {
        "result": part_json(
            answer.of_series(main), classifier().bundle, heatmap if heatmap in HEATMAPS else ""
        ),
        "summary": {"headline": headline(prediction), "verdict": prediction.verdict},
        "viewer": viewer_json(study, side) | {"series": answer.series.index(main.answer)},
        "html": answer_html(answer, main, viewer=True),
    }
    parts: list[Part] = [("answer", "application/json", json.dumps(told).encode())]
    parts += [
        (f"slice-{place}", "image/png", encode_png(view_pixels(d, side)))
        for place, d in enumerate(study.slices)
    ]
    if prediction.verdict != UNFAMILIAR:
        heat = np.stack([d.heat for d in study.slices])
        parts.append(("heat", "application/octet-stream", _bytes(heat)))
    return parts


def view_side(study: StudyDiagnosis) -> int:
    """Return the longest side of a slice as it is sent, in pixels."""
    return min(VIEW_SIDE, int((_MOST_PIXELS / len(study.slices)) ** 0.5))


def viewer_json(study: StudyDiagnosis, side: int) -> dict[str, Any]:
    """Return what the viewer needs beside the pictures (and `series`, its number, from 0).

    `start`: the slice to show first. `grid`: (h, w) of the heat. For each slice: `shape` of
    the file's slice and `view` of the PNG, (height, width) in pixels; `box` (top, left, side)
    of the heat on the PNG, in its pixels; `place` of the evidence for each class, in words.
    """
    return {
        "start": study.strongest,
        "familiar": study.familiar,
        "label": study.label,
        "labels": list(LABELS),
        "names": [SHORT_NAMES[label] for label in LABELS],
        "grid": list(study.slices[0].heat.shape[:2]),
        "slices": [_slice(d, side) for d in study.slices],
    }


def _slice(diagnosis: Diagnosis, side: int) -> dict[str, Any]:
    height, width = diagnosis.pixels.shape
    view = view_size(height, width, side)
    scale = view[0] / height
    known = diagnosis.familiar
    return {
        "shape": [height, width],
        "view": list(view),
        "box": [round(edge * scale, 3) for edge in diagnosis.prepared.box],
        "familiar": known,
        "shares": [diagnosis.probabilities[label] for label in LABELS] if known else None,
        "places": [evidence_place(diagnosis, label) for label in LABELS] if known else None,
    }


def multipart(parts: Iterable[Part], boundary: str) -> bytes:
    """Return parts (name, content type, bytes) as the body of a `multipart/form-data` answer."""
    lines = []
    for name, kind, data in parts:
        # A part without a file name reaches the script as text.
        file = "" if kind == "application/json" else f'; filename="{name}"'
        lines += [
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="{name}"{file}\r\n'
            f"Content-Type: {kind}\r\n\r\n".encode(),
            data,
            b"\r\n",
        ]
    lines.append(f"--{boundary}--\r\n".encode())
    return b"".join(lines)


def _bytes(heat: np.ndarray) -> bytes:
    """Return float (n, h, w, 4) in 0..1 as uint8 in 0..255."""
    result: bytes = np.rint(np.clip(heat, 0.0, 1.0) * 255).astype(np.uint8).tobytes()
    return result
