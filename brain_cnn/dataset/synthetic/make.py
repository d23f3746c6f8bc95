"""One synthetic slice: a pure function of heads, seed and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.synthetic.anatomy import (
    Layer,
    Lesion,
    other_lesion,
    pituitary_gland,
    vary_brain,
    white_spots,
)
from brain_cnn.dataset.synthetic.glioma import grow_glioma
from brain_cnn.dataset.synthetic.greys import draw_greys
from brain_cnn.dataset.synthetic.heads import Head
from brain_cnn.dataset.synthetic.meningioma import grow_meningioma
from brain_cnn.dataset.synthetic.picture import acquire, paint, shrink_mask
from brain_cnn.dataset.synthetic.pituitary import grow_pituitary
from brain_cnn.dataset.synthetic.planes import PLANES, LabelSlice, draw_slice
from brain_cnn.dataset.synthetic.settings import SyntheticSettings
from brain_cnn.dataset.synthetic.tissues import BRAIN
from brain_cnn.labels import NOTUMOR

_TRIES = 12
_LEAST_BRAIN = 10_000  # fine pixels; a slice with less shows hardly a brain
_LEAST_TUMOUR = 220  # fine pixels
# Slices through the sella keep the proportions of the tumours that are found there.
_SELLA_PLANES = (0.38, 0.31, 0.31)
_OTHER_PLANES = (0.64, 0.18, 0.18)
_NORMALS_AT_SELLA = 0.2
_STREAM = 11  # of the random numbers: other users of the same seed draw others


@dataclass(frozen=True)
class SyntheticSlice:
    """A picture and what is true of it.

    Attributes:
        pixels: uint8 (SIDE, SIDE).
        mask: uint8 (SIDE, SIDE), 255 on the tumour; 0 everywhere without one.
        label: class name; weighting: one of `WEIGHTINGS`; plane: one of `PLANES`.
        head: name of the label map.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    label: str
    weighting: str
    plane: str
    head: str


def make_slice(heads: Sequence[Head], seed: int, settings: SyntheticSettings) -> SyntheticSlice:
    """Make slice number `seed`.

    Raises:
        ValueError: no slice of these heads holds what was drawn (heads without a brain).
    """
    rng = np.random.default_rng([_STREAM, seed])
    label = str(rng.choice(list(settings.classes), p=list(settings.classes.values())))
    weighting = str(rng.choice(list(settings.weightings), p=list(settings.weightings.values())))
    for _ in range(_TRIES):
        head = heads[int(rng.integers(len(heads)))]
        one = _draw(head, label, rng)
        if BRAIN[one.tissues].sum() < _LEAST_BRAIN:
            continue
        varied = LabelSlice(
            vary_brain(one.tissues, settings, rng), one.sella, one.sella_mm, one.plane
        )
        lesion = _with_lesion(varied, label, settings, rng)
        if lesion is None:
            continue
        layers = _healthy_layers(lesion, varied, label, settings, rng) + lesion.layers
        picture = paint(lesion.tissues, layers, draw_greys(weighting, label, rng), rng)
        return SyntheticSlice(
            acquire(picture, settings, rng),
            shrink_mask(lesion.mask & (label != NOTUMOR)),
            label,
            weighting,
            one.plane,
            head.name,
        )
    raise ValueError(f"No slice for seed {seed}: the label maps show too little brain.")


def _draw(head: Head, label: str, rng: np.random.Generator) -> LabelSlice:
    at_sella = label == "pituitary" or (label == NOTUMOR and rng.random() < _NORMALS_AT_SELLA)
    plane = str(rng.choice(PLANES, p=_SELLA_PLANES if at_sella else _OTHER_PLANES))
    return draw_slice(head, plane, rng, through_sella=at_sella)


def _with_lesion(
    one: LabelSlice, label: str, settings: SyntheticSettings, rng: np.random.Generator
) -> Lesion | None:
    """Return the slice with its tumour, without one, or None where the tumour does not fit."""
    if label == NOTUMOR:
        found = other_lesion(one.tissues, rng) if rng.random() < settings.confounders else None
        empty = Lesion(one.tissues, [], np.zeros(one.tissues.shape, bool))
        return empty if found is None else found
    if label == "glioma":
        grown = grow_glioma(one.tissues, settings, rng)
    elif label == "meningioma":
        grown = grow_meningioma(one.tissues, rng)
    else:
        grown = grow_pituitary(one, rng)
    return grown if grown is not None and grown.mask.sum() > _LEAST_TUMOUR else None


def _healthy_layers(
    lesion: Lesion, one: LabelSlice, label: str, settings: SyntheticSettings,
    rng: np.random.Generator,
) -> list[Layer]:  # fmt: skip
    """Return what may be painted below a tumour: spots of age, and the normal gland."""
    layers = []
    if label != "pituitary" and one.sella_mm < 4.0:
        layers.append(pituitary_gland(one.sella, rng, one.tissues.shape[0]))
    if rng.random() < settings.spots:
        layers += white_spots(lesion.tissues, rng)
    return layers
