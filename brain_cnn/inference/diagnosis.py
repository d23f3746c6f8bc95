"""`Prediction`, what every answer shares; `Diagnosis`, that of one slice with its heatmaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from brain_cnn.labels import LABELS
from brain_cnn.ood.gate import Check
from brain_cnn.preprocess import PreparedSlice

CONFIDENT, UNCERTAIN, UNFAMILIAR = "confident", "uncertain", "unfamiliar"


_LEFT = "One class is left in the prediction set"


def verdict_reason(
    verdict: str, prediction_set: Sequence[str], trust: float, trust_limit: float | None
) -> str:
    """Return why a familiar slice or study has its verdict, in a sentence without class names.

    Args:
        verdict: "confident" or "uncertain".
        prediction_set: labels that come into question.
        trust: 0..1, `Diagnosis.trust`.
        trust_limit: from which trust on it may be confident; None where the model has no
            trust.
    """
    if len(prediction_set) != 1:
        count = len(prediction_set)
        return f"The prediction set holds {count} classes; a confident answer leaves one."
    if trust_limit is None:
        return f"{_LEFT}. This model cannot tell whether the answer would hold on another scanner."
    own, least = _told_apart(trust, trust_limit)
    if verdict == CONFIDENT:
        return (
            f"{_LEFT}, and by the model's own estimate the answer would hold on another scanner "
            f"too (trust {own}, needed {least}). Only both together make it confident."
        )
    return (
        f"{_LEFT}, but by the model's own estimate the answer might not hold on another "
        f"scanner, so it stays uncertain (trust {own}, needed {least})."
    )


def _told_apart(trust: float, limit: float) -> tuple[str, str]:
    """Return both with two digits, or as many as show which one is larger."""
    for digits in range(2, 17):
        if not trust < limit or round(trust, digits) < round(limit, digits):
            break
    return f"{trust:.{digits}f}", f"{limit:.{digits}f}"


def class_heat(class_maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Turn class maps into heat.

    Args:
        class_maps: float (h, w, 4), evidence for each class at each place.

    Returns:
        float32 (h, w, 4): the positive evidence, each class scaled by its own maximum to
        0..1; all zero for a class without positive evidence anywhere. This is Grad-CAM up to
        that scale (Selvaraju et al. 2017, section 3.1), since the maps are linear in the
        features and are pooled with positive weights whose sum is constant.
    """
    heat = np.maximum(class_maps, 0.0).astype(np.float32)
    peak = heat.max(axis=(0, 1))
    result: NDArray[np.float32] = np.divide(heat, peak, out=np.zeros_like(heat), where=peak > 0)
    return result


def slice_heatmap(class_map: NDArray[np.floating], prepared: PreparedSlice) -> NDArray[np.float32]:
    """Return the heat of one class map (h, w) on the slice: float32 (H, W) in 0..1."""
    return prepared.to_slice(class_heat(class_map[..., None])[..., 0])


class Heatmaps(Mapping[str, NDArray[np.float32]]):
    """Label -> float32 (H, W) in 0..1, each drawn onto the slice when it is asked for."""

    def __init__(self, heat: NDArray[np.float32], prepared: PreparedSlice) -> None:
        self._heat = heat
        self._prepared = prepared
        self._drawn: dict[str, NDArray[np.float32]] = {}

    def __getitem__(self, label: str) -> NDArray[np.float32]:
        if label not in LABELS:
            raise KeyError(label)
        if label not in self._drawn:
            grid = self._heat[..., LABELS.index(label)]
            self._drawn[label] = self._prepared.to_slice(grid)
        return self._drawn[label]

    def __iter__(self) -> Iterator[str]:
        return iter(LABELS)

    def __len__(self) -> int:
        return len(LABELS)


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What the model says of a slice, or of a study: the fields that every answer shares.

    Attributes:
        label: the likeliest class, one of `LABELS`; filled even when unfamiliar.
        confidence: its calibrated probability, 0..1.
        probabilities: label -> calibrated probability; sums to 1.
        prediction_set: labels that hold the truth with the target `coverage`, likeliest
            first; never empty.
        coverage: the target coverage, for example 0.95.
        familiar: whether the slice is like those that the model learned from.
        familiarity: 0..1, higher is more like them.
        reasons: the checks behind `familiar`: name, value, limit, failed, sentence of each.
        verdict: "confident", "uncertain" or "unfamiliar".
        trust: 0..1, whether the label would hold had the slice come from another source;
            "confident" asks for at least `trust_limit`. 1 where the model has none.
        trust_limit: that limit of the model; above 1 where no trust is enough, None where it
            has none.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    coverage: float
    familiar: bool
    familiarity: float
    reasons: tuple[Check, ...]
    verdict: str
    trust: float = 1.0
    trust_limit: float | None = None

    @property
    def verdict_reason(self) -> str:
        """Why the verdict is what it is, in words for a person."""
        if self.verdict == UNFAMILIAR:
            return " ".join(check.sentence for check in self.reasons if check.failed)
        return verdict_reason(self.verdict, self.prediction_set, self.trust, self.trust_limit)


@dataclass(frozen=True, eq=False, kw_only=True)
class Diagnosis(Prediction):
    """The model's statement about one slice. Not a medical diagnosis.

    Attributes:
        pixels: uint8 (H, W), the slice that was judged.
        heat: float32 (h, w, 4), heat of each class on the network's grid, 0..1.
        prepared: the network's input, and the way from its grid to the slice.
        slice_index, slice_count: which slice of the file this is, counted from 0, of how many.
        scan_format: what the file was, for example "PNG".
        notes: sentences about the reading that a person should see.
        timing_ms: durations of the stages in milliseconds.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    heat: NDArray[np.float32] = field(repr=False)
    prepared: PreparedSlice = field(repr=False)
    slice_index: int = 0
    slice_count: int = 1
    scan_format: str = ""
    notes: tuple[str, ...] = ()
    timing_ms: dict[str, float] = field(default_factory=dict)
    heatmaps: Heatmaps = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Frozen: the one derived field is set around the guard.
        object.__setattr__(self, "heatmaps", Heatmaps(self.heat, self.prepared))

    @property
    def heatmap(self) -> NDArray[np.float32]:
        """float32 (H, W) in 0..1: heat of `label`, aligned with `pixels`; 0 outside the head."""
        return self.heatmaps[self.label]

    def has_evidence(self, label: str) -> bool:
        """Whether anything in the slice speaks for `label`; if not, its heatmap is all zero."""
        return bool(self.heat[..., LABELS.index(label)].any())

    def heatmap_at(self, label: str, height: int, width: int) -> NDArray[np.float32]:
        """Return the heat of `label` for the slice resampled to (height, width) pixels.

        Drawn straight from the network's grid, so that a large photo costs no more than what
        is shown of it. The new size must keep the slice's proportions.
        """
        top, left, side = self.prepared.box
        scale = height / self.pixels.shape[0]
        box = (top * scale, left * scale, side * scale)
        view = replace(self.prepared, box=box, pixels_shape=(height, width))
        return view.to_slice(self.heat[..., LABELS.index(label)])
