"""How grey the tissues and a tumour's parts are in one picture, by weighting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.synthetic.tissues import (
    BRAIN_PARTS,
    COUNT,
    INDEX,
    TISSUES,
    index_of,
    mean_greys,
)

Values = NDArray[np.float32]
_TUMOUR_PARTS = ("rim", "core", "solid", "oedema", "low")
_SKIN_LIKE = ("soft", "mucosa", "marrow", "skin")


@dataclass(frozen=True)
class Greys:
    """Mean and spread of every tissue and layer: float32 (COUNT,) each, in 0..255."""

    mean: Values
    spread: Values


def draw_greys(weighting: str, kind: str, rng: np.random.Generator) -> Greys:
    """Draw the greys of one picture.

    Args:
        weighting: one of `WEIGHTINGS`.
        kind: the class: the same part of a tumour is not as grey in each.
    """
    spread = np.empty(COUNT, np.float32)
    if weighting == "random":
        mean = _random_greys(rng)
        spread[:] = rng.uniform(2, 16, COUNT)
    else:
        mean = _scanner_greys(weighting, rng)
        spread[:] = rng.uniform(1, 6)
        spread[index_of(*_SKIN_LIKE)] = rng.uniform(10, 32, 4)
        parts = _PARTS[weighting](mean, kind, rng)
        for name, grey in parts.items():
            mean[INDEX[name]] = grey
    spread[index_of(*_TUMOUR_PARTS)] = rng.uniform(3, 16, 5)
    spread[index_of("gland", "calcium")] = rng.uniform(3, 12, 2)
    if kind == "meningioma":
        spread[INDEX["solid"]] = rng.uniform(2, 9)
    return Greys(np.clip(mean, 0, 255).astype(np.float32), spread)


def _random_greys(rng: np.random.Generator) -> Values:
    mean = rng.uniform(10, 245, COUNT).astype(np.float32)
    mean[INDEX["air"]] = rng.uniform(0, 12)
    mean[INDEX["bone"]] = rng.uniform(5, 60)
    mean[INDEX["ventricle"]] = mean[INDEX["csf"]] + rng.normal(0, 6)
    brain = float(mean[INDEX["white"]])
    for name in ("rim", "solid", "low"):
        mean[INDEX[name]] = np.clip(brain + rng.choice([-1, 1]) * rng.uniform(35, 120), 8, 250)
    mean[INDEX["core"]] = rng.uniform(10, 240)
    mean[INDEX["oedema"]] = np.clip(brain + rng.choice([-1, 1]) * rng.uniform(18, 60), 5, 250)
    mean[INDEX["calcium"]] = rng.uniform(5, 60)
    return mean


def _scanner_greys(weighting: str, rng: np.random.Generator) -> Values:
    """Return the greys of the tissues as this scanner makes them; layers are not set."""
    mean = mean_greys(weighting)
    contrast = rng.uniform(0.15, 1.3)
    brain = index_of(*BRAIN_PARTS)
    middle = 0.5 * (mean[INDEX["white"]] + mean[INDEX["grey"]])
    mean[brain] = middle + (mean[brain] - middle) * contrast
    wobble = np.full(COUNT, 14.0)
    wobble[brain] = 5 * min(contrast, 1.0) + 1
    mean += rng.normal(0, 1, COUNT) * wobble
    mean[INDEX["skin"]] += rng.normal(10, 35)
    mean[INDEX["soft"]] += rng.normal(0, 20)
    mean[INDEX["marrow"]] += rng.normal(0, 30)
    mean[INDEX["air"]] = rng.uniform(0, 10)
    mean[INDEX["bone"]] = max(4.0, rng.normal(26, 9))
    if rng.random() < 0.5:
        mean[INDEX["cerebellar_white"]] = mean[INDEX["white"]]
        mean[INDEX["cerebellar_grey"]] = mean[INDEX["grey"]]
    if rng.random() < 0.25:  # fat suppressed
        mean[INDEX["skin"]] *= rng.uniform(0.3, 0.7)
        mean[INDEX["marrow"]] *= rng.uniform(0.3, 0.8)
    return mean


def _brain_range(mean: Values) -> tuple[float, float, float]:
    """Return (darker, brighter, grey matter) of the brain's two main greys."""
    white, grey = float(mean[INDEX["white"]]), float(mean[INDEX["grey"]])
    return min(white, grey), max(white, grey), grey


def _t1c(mean: Values, kind: str, rng: np.random.Generator) -> dict[str, float]:
    low, _, grey = _brain_range(mean)
    bright = rng.uniform(185, 250) if rng.random() < 0.85 else rng.uniform(0.6, 0.95) * grey
    if kind == "glioma" and rng.random() < 0.1:
        bright = grey * rng.uniform(0.7, 1.0)
    solid_takes_agent = kind != "glioma" or rng.random() < 0.6
    faint = rng.random() < 0.75  # a low-grade tumour takes up no contrast agent
    return {
        "rim": bright,
        "solid": bright if solid_takes_agent else grey * rng.uniform(0.55, 0.9),
        "core": rng.uniform(30, 90),
        "oedema": low * rng.uniform(0.65, 0.9),
        "low": low * rng.uniform(0.45, 0.88) if faint else rng.uniform(150, 230),
        "gland": rng.uniform(150, 225),
        "calcium": rng.uniform(15, 60),
    }


def _t1(mean: Values, kind: str, rng: np.random.Generator) -> dict[str, float]:
    low, _, grey = _brain_range(mean)
    solid = rng.uniform(0.8, 1.02) if kind == "meningioma" else rng.uniform(0.6, 0.95)
    return {
        "rim": grey * rng.uniform(0.75, 1.2),
        "solid": low * solid,
        "core": rng.uniform(35, 75),
        "oedema": low * rng.uniform(0.65, 0.92),
        "low": low * rng.uniform(0.45, 0.88),
        "gland": grey * rng.uniform(0.9, 1.3),
        "calcium": rng.uniform(15, 60),
    }


def _t2(mean: Values, kind: str, rng: np.random.Generator) -> dict[str, float]:
    _, high, grey = _brain_range(mean)
    solid = (
        high * rng.uniform(0.85, 1.35) if kind == "meningioma" else high * rng.uniform(1.05, 1.6)
    )
    return {
        "rim": high * rng.uniform(0.8, 1.3),
        "solid": high * solid,
        "core": rng.uniform(190, 250),
        "oedema": rng.uniform(165, 235),
        "low": max(rng.uniform(160, 250), 1.1 * high),
        "gland": grey * rng.uniform(0.7, 1.1),
        "calcium": rng.uniform(10, 60),
    }


def _flair(mean: Values, kind: str, rng: np.random.Generator) -> dict[str, float]:
    _, high, grey = _brain_range(mean)
    solid = rng.uniform(0.9, 1.4) if kind == "meningioma" else rng.uniform(1.0, 1.6)
    return {
        "rim": high * rng.uniform(1.0, 1.6),
        "solid": high * solid,
        "core": rng.uniform(40, 200),
        "oedema": max(rng.uniform(170, 245), 1.1 * high),
        "low": max(rng.uniform(165, 250), 1.08 * high),
        "gland": grey * rng.uniform(0.8, 1.2),
        "calcium": rng.uniform(10, 60),
    }


_PARTS = {"t1": _t1, "t1c": _t1c, "t2": _t2, "pd": _t2, "flair": _flair}
assert len(TISSUES) < COUNT  # the layers come after the tissues
