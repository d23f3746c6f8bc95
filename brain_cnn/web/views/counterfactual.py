"""Ask back: the same slice without a region, `POST /api/v1/counterfactual`."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from brain_cnn.explain.region_fill import fill_region, head_share, polygon_points, region_mask
from brain_cnn.inference.answer import check_slice_index
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.render.answer_json import model_json, prediction_json
from brain_cnn.render.overlay import png_data_uri, view_size
from brain_cnn.scan import Slice
from brain_cnn.web.answer import scan_of_upload
from brain_cnn.web.runtime.queue import engine_slot
from brain_cnn.web.uploads import classifier, read_upload, series_index, slice_index

blueprint = Blueprint("counterfactual", __name__, url_prefix="/api/v1")

# Longer than any polygon of the allowed number of points needs to be.
_MAX_REGION_TEXT = 100_000


@blueprint.post("/counterfactual")
def counterfactual() -> Response:
    """The caller gets what the model says of a slice, and of it without a region.

    Multipart form fields:
        file: the upload, one file or the files of one series, as for `/api/v1/predict`.
        slice_index: which slice of the series, from 0, as `predict` counts them;
            0 where it is left out.
        series: which series of the upload, from 0; that with the most slices if left out.
        region: JSON polygon [[x, y], ...] in pixels of that slice, x to the right, from its
            top left corner; 3 to 1000 points.
        force, plane: as for `/api/v1/predict`.

    Answer (JSON): `slice_index`; `region_pixels` and `region_share` (of the head, 0..1);
    `before` and `after`, each with `label`, `confidence`, `probabilities`,
    `prediction_set`, `coverage`, `familiar`, `familiarity`, `reasons`, `trust`,
    `trust_limit`, `verdict`, `verdict_reason`;
    `change`, after - before of each probability; `filled_png`, a data URI of the slice as
    it was judged again, at most 768 pixels long; `model`; `timing_ms`; `disclaimer`.

    Errors: 400 a malformed field; 422 a region outside the slice, empty, or over 60 % of the
    head, or a slice that is not there; and those of `/api/v1/predict`.
    """
    upload = read_upload()
    place, points = slice_index() or 0, polygon_points(_region())
    wanted = series_index()
    start = time.perf_counter()
    with engine_slot():
        scan = scan_of_upload(upload, wanted)
        check_slice_index(place, len(scan.slices))
        pixels = scan.slices[place].pixels
        read_at = time.perf_counter()
        mask = region_mask(points, pixels)
        filled = fill_region(pixels, mask)
        filled_at = time.perf_counter()
        pair = replace(scan, slices=(Slice(pixels), Slice(filled)))
        before, after = classifier().classify_scan(pair)
        judged_at = time.perf_counter()
    return jsonify(
        slice_index=place,
        region_pixels=int(mask.sum()),
        region_share=round(head_share(mask, pixels), 4),
        before=prediction_json(before),
        after=prediction_json(after),
        change={n: after.probabilities[n] - before.probabilities[n] for n in LABELS},
        filled_png=png_data_uri(_view(filled)),
        model=model_json(classifier().bundle),
        timing_ms={
            "read": _ms(read_at - start),
            "fill": _ms(filled_at - read_at),
            "network": _ms(judged_at - filled_at),
            "total": _ms(time.perf_counter() - start),
        },
        disclaimer=DISCLAIMER,
    )


def _region() -> Any:
    """Return the form field `region`, decoded.

    Raises:
        BadRequest: it is missing, too long, or no JSON.
    """
    text = request.form.get("region", "")
    if not text.strip():
        raise BadRequest("No region was sent: the form field 'region' must be [[x, y], ...].")
    if len(text) > _MAX_REGION_TEXT:
        raise BadRequest(
            f"The region is {len(text):,} characters long; the limit is {_MAX_REGION_TEXT:,}."
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # also a nest of brackets without end
        raise BadRequest(
            f"The region is not JSON: {text[:40]!r}. It must be [[x, y], ...]."
        ) from None


def _view(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 (h, w), no longer than what is shown of a slice."""
    height, width = view_size(*pixels.shape)
    if (height, width) == pixels.shape:
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
