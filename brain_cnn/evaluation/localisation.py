"""Whether a heatmap lies on the tumour, measured against a radiologist's outline.

Two measures, both from the literature: the pointing game (Zhang et al. 2018) asks whether
the hottest pixel lies on the tumour; the energy ratio (after Wang et al. 2020) asks how
many times more heat lies inside the outline than an even spread would put there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.evaluation.bootstrap import RESAMPLES, bootstrap_mean

# How far beside the outline the peak may lie: an outline is drawn by hand.
TOLERANCE_PIXELS = 2.0
TOLERANCE_SHARE = 0.02


def pointing_hit(heatmap: NDArray[np.floating], mask: NDArray[Any]) -> bool:
    """Return whether the heatmap's peak lies on the mask or close beside it.

    Args:
        heatmap: float (H, W), not negative; of several equal peaks the first in reading
            order counts.
        mask: (H, W), non-zero where there is tumour.

    Returns:
        True when the peak is within max(2 px, 2 % of the longer side) of a mask pixel; an
        empty map (nowhere positive) is a miss.

    Raises:
        ValueError: shapes that differ, an empty mask, negative or non-finite heat.
    """
    inside = _checked(heatmap, mask)
    if heatmap.max() <= 0:
        return False
    row, column = np.unravel_index(int(np.argmax(heatmap)), heatmap.shape)
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    tolerance = max(TOLERANCE_PIXELS, TOLERANCE_SHARE * max(heatmap.shape))
    return bool(distance[row, column] <= tolerance)


def energy_ratio(heatmap: NDArray[np.floating], mask: NDArray[Any]) -> float:
    """Return (share of the heat inside the mask) / (share of the area inside the mask).

    1 is what a map without aim reaches; the most is the picture's area over the mask's. An
    empty map gives 0. Arguments and errors as for `pointing_hit`.
    """
    inside = _checked(heatmap, mask)
    total = float(heatmap.sum(dtype=np.float64))
    if total <= 0:
        return 0.0
    share = float(heatmap[inside].sum(dtype=np.float64)) / total
    return share / float(inside.mean())


def summarise_localisation(
    heatmaps: Sequence[NDArray[np.floating]],
    masks: Sequence[NDArray[Any]],
    groups: Sequence[Any] | NDArray[Any] | None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Return pointing, energy ratio and share of empty maps over many slices.

    Args:
        heatmaps: N maps (H, W) of the true class.
        masks: N masks of the same shapes.
        groups: N group names, the units of the bootstrap; None resamples slices.
        resamples: number of bootstrap resamples.
        seed: of the resampling.

    Returns:
        {"n", "groups", "pointing", "energy_ratio", "empty"}; the last three are
        {"value", "low", "high"}: means over the slices with 95 % intervals.
    """
    hits = [pointing_hit(h, m) for h, m in zip(heatmaps, masks, strict=True)]
    ratios = [energy_ratio(h, m) for h, m in zip(heatmaps, masks, strict=True)]
    empty = [bool(h.max() <= 0) for h in heatmaps]

    def mean(values: Sequence[float]) -> dict[str, float | None]:
        return bootstrap_mean(values, groups, resamples=resamples, seed=seed)

    return {
        "n": len(hits),
        "groups": None if groups is None else len({str(g) for g in groups}),
        "pointing": mean(hits),
        "energy_ratio": mean(ratios),
        "empty": mean(empty),
    }


def _checked(heatmap: NDArray[np.floating], mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the mask as bool, after looking at both."""
    if heatmap.ndim != 2 or heatmap.shape != mask.shape:
        raise ValueError(f"heatmap {heatmap.shape} and mask {mask.shape} must be one (H, W)")
    if not np.all(np.isfinite(heatmap)) or heatmap.min() < 0:
        raise ValueError("heat must be finite and not negative")
    inside = np.asarray(mask) > 0
    if not inside.any():
        raise ValueError("the mask is empty: there is no tumour to point at")
    return inside
