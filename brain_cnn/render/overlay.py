"""Heatmap over slice, as a picture.

Nothing hides heat: where the network saw evidence in the background it is drawn there too.
Colours are viridis, which the colour-blind can read and which stays ordered in grey.
"""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.inference.diagnosis import Diagnosis

MAX_OPACITY = 0.75
"""Share of colour where heat is 1; the slice stays visible beneath."""

# Longest side of a picture that is sent to a person. Larger slices are scaled down for show
# only; the model always sees the file's own pixels.
VIEW_SIDE = 768


def blend(pixels: NDArray[np.uint8], heatmap: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Lay a heatmap over a slice.

    Args:
        pixels: uint8 (H, W). heatmap: float (H, W) in 0..1.

    Returns:
        uint8 (H, W, 3), RGB. Opacity grows with the heat, up to `MAX_OPACITY`: without
        evidence the slice is shown as it is.
    """
    heat = np.clip(heatmap, 0.0, 1.0).astype(np.float32)
    colours = cv2.applyColorMap(np.rint(heat * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    opacity = (MAX_OPACITY * np.sqrt(heat))[..., None]
    mixed = pixels[..., None] * (1 - opacity) + colours[..., ::-1] * opacity
    result: NDArray[np.uint8] = np.rint(mixed).astype(np.uint8)
    return result


def view_size(height: int, width: int, longest: int = VIEW_SIDE) -> tuple[int, int]:
    """Return (height, width) scaled down to fit `longest`, never up."""
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def view_pixels(diagnosis: Diagnosis, longest: int = VIEW_SIDE) -> NDArray[np.uint8]:
    """Return the slice that was judged, uint8 (h, w), no longer than `longest`."""
    pixels = diagnosis.pixels
    height, width = view_size(pixels.shape[0], pixels.shape[1], longest)
    if (height, width) == pixels.shape:
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def overlay(
    diagnosis: Diagnosis, label: str | None = None, longest: int = VIEW_SIDE
) -> NDArray[np.uint8]:
    """Return the slice with the heat of `label` (the top class if None), uint8 (h, w, 3) RGB."""
    pixels = view_pixels(diagnosis, longest)
    heatmap = diagnosis.heatmap_at(label or diagnosis.label, pixels.shape[0], pixels.shape[1])
    return blend(pixels, heatmap)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W) grey or (H, W, 3) RGB as PNG."""
    stored = image[..., ::-1] if image.ndim == 3 else image  # OpenCV stores BGR
    done, buffer = cv2.imencode(
        ".png", np.ascontiguousarray(stored), [cv2.IMWRITE_PNG_COMPRESSION, 3]
    )
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG.")
    return buffer.tobytes()


def png_data_uri(image: NDArray[np.uint8]) -> str:
    """Return the PNG of `image` as a data: URI, so that nothing is stored to be fetched."""
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")
