"""Pictures that are no brain MRI, made for nothing: what the gate learns to refuse.

Three kinds, none of which is stored or shipped:

- heads spoiled: parts, stretched, inverted and shuffled heads, sheets of several heads;
- heads turned into something like a CT: a saturated ring around flat grey;
- drawings: limbs, trunks, hands, photograph-like heaps of shapes, textures, charts, text.

Every one is a grey picture as a person might upload it; it is prepared as an upload is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.ood import outlier_drawings as drawings
from brain_cnn.ood.outlier_drawings import (
    SIDE,
    Picture,
    Random,
    band,
    blob,
    noise,
    to_grey,
    turned,
)


def make_outliers(
    heads: Sequence[Picture], count: int, rng: Random
) -> tuple[list[Picture], list[str]]:
    """Make pictures that are no brain MRI.

    Args:
        heads: slices uint8 (H, W) of heads, at least one; of the training part alone.
        count: how many.
        rng: the same state makes the same pictures.

    Returns:
        `count` pictures uint8 (h, w), and what each of them is ("part", "limb", ...).
    """
    names = list(_MAKERS)
    weights = np.array([weight for _, weight in _MAKERS.values()], dtype=float)
    kinds = [names[i] for i in rng.choice(len(names), count, p=weights / weights.sum())]
    return [_MAKERS[kind][0](heads, rng) for kind in kinds], kinds


def vary(picture: Picture, rng: Random) -> Picture:
    """Return the same thing photographed again: turned a little, brighter, noisier, mirrored."""
    side = max(picture.shape)
    matrix = cv2.getRotationMatrix2D(
        (picture.shape[1] / 2, picture.shape[0] / 2), rng.normal(0, 8), rng.uniform(0.85, 1.05)
    )
    matrix[0] *= rng.uniform(0.93, 1.07)
    fill = float(np.percentile(picture, 5))
    moved = cv2.warpAffine(picture, matrix, (picture.shape[1], picture.shape[0]), borderValue=fill)
    if rng.random() < 0.5:
        moved = moved[:, ::-1]
    grey = (moved / 255.0) ** rng.uniform(0.75, 1.35)
    if rng.random() < 0.3:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 1.5) * side / 224)
    if rng.random() < 0.3:
        grey = grey + rng.normal(0, rng.uniform(0.005, 0.03), grey.shape)
    return to_grey(grey * rng.uniform(0.8, 1.1))


def _head(heads: Sequence[Picture], rng: Random) -> NDArray[np.float64]:
    """Return one head, (S, S) in 0..1."""
    picture = heads[int(rng.integers(len(heads)))]
    result: NDArray[np.float64] = (
        cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255.0
    )
    return result


# --- heads, spoiled -------------------------------------------------------------------------


def _part(heads: Sequence[Picture], rng: Random) -> Picture:
    """A part of a head, filling the picture."""
    head = _head(heads, rng)
    side = int(SIDE * rng.uniform(0.22, 0.5))
    low, high = int(SIDE * 0.15), int(SIDE * 0.85) - side
    top, left = rng.integers(low, max(low + 1, high), 2)
    part = head[top : top + side, left : left + side]
    return to_grey(np.rot90(part, int(rng.integers(4))))


def _stretched(heads: Sequence[Picture], rng: Random) -> Picture:
    """A head pressed to a third or a half of its width or height."""
    head = _head(heads, rng)
    short = int(SIDE * rng.uniform(0.25, 0.5))
    size = (short, SIDE) if rng.random() < 0.6 else (SIDE, short)
    return to_grey(cv2.resize(head, size, interpolation=cv2.INTER_AREA))


def _shuffled(heads: Sequence[Picture], rng: Random) -> Picture:
    """The tiles of a head in another order."""
    head = _head(heads, rng)
    tiles = int(rng.integers(2, 5))
    step = SIDE // tiles
    places = [(r * step, c * step) for r in range(tiles) for c in range(tiles)]
    result = np.zeros((step * tiles, step * tiles))
    for (top, left), source in zip(places, rng.permutation(len(places)), strict=True):
        y, x = places[source]
        tile = head[y : y + step, x : x + step]
        result[top : top + step, left : left + step] = np.rot90(tile, int(rng.integers(4)))
    return to_grey(result)


def _sheet(heads: Sequence[Picture], rng: Random) -> Picture:
    """Several heads on one sheet."""
    rows, columns = ((1, 2), (2, 1), (2, 2), (2, 3), (3, 3))[int(rng.integers(5))]
    cell = 96
    pictures = [cv2.resize(_head(heads, rng), (cell, cell)) for _ in range(rows * columns)]
    return to_grey(np.vstack([np.hstack(pictures[r * columns : (r + 1) * columns])
                            for r in range(rows)]))  # fmt: skip


def _inverted(heads: Sequence[Picture], rng: Random) -> Picture:
    """The negative of a head, or its outlines alone, or black and white without grey."""
    head = _head(heads, rng)
    kind = rng.random()
    if kind < 0.5:
        return to_grey(1 - head)
    if kind < 0.75:
        edges = np.abs(cv2.Laplacian(cv2.GaussianBlur(head, (0, 0), 1.5), cv2.CV_64F))
        return to_grey(edges / (edges.max() + 1e-9) * 2)
    return to_grey((head > rng.uniform(0.2, 0.5)).astype(float))


def _cut_out(heads: Sequence[Picture], rng: Random) -> Picture:
    """Tissue of a head in the outline of a limb."""
    part = _part(heads, rng) / 255.0
    tissue = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    outline = band(rng, rng.uniform(0.3, 0.75))
    return turned(tissue * outline, rng)


def _like_ct(heads: Sequence[Picture], rng: Random) -> Picture:
    """A head as a CT shows it: a saturated skull, hardly a scalp, flat grey inside."""
    head = cv2.GaussianBlur(_head(heads, rng), (0, 0), 1.0)
    solid = _largest((head > 0.1).astype(np.uint8))
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
    scalp = rng.choice([0.0, 0.0, rng.uniform(2, 9)])
    bone = scalp + rng.uniform(3, 13) * (0.7 + 0.6 * noise(rng, solid.shape, 4))
    # The MRI's own brain shines through, flattened, sometimes turned round.
    soft = cv2.GaussianBlur(head, (0, 0), rng.uniform(0.6, 4))
    brain = depth > bone
    level = soft[brain].mean() if brain.any() else 0.0
    flat = rng.uniform(0.15, 0.6) + rng.uniform(-0.4, 0.5) * (soft - level)
    for _ in range(int(rng.integers(0, 4))):  # ventricles dark, bleeds bright
        flat = flat + rng.uniform(-0.3, 0.7) * blob(rng, 0.03, 0.16)
    flat = flat + rng.normal(0, rng.uniform(0.0, 0.06), flat.shape)
    picture = np.where(brain, flat, rng.uniform(0.85, 1.2))
    picture = np.where(depth <= scalp, rng.uniform(0.1, 0.4), picture)
    picture = np.where(solid > 0, picture, rng.choice([0.0, 0.0, rng.uniform(0, 0.15)]))
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))
    return vary(to_grey(picture), rng)


def _largest(solid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(solid)
    if contours:
        hull = max(contours, key=cv2.contourArea)
        cv2.drawContours(filled, [hull], -1, 1, cv2.FILLED)
    return filled


_Maker = Callable[[Sequence[Picture], Random], Picture]


def _drawn(draw: Callable[[Random], Picture]) -> _Maker:
    return lambda _, rng: draw(rng)


# Kind -> how it is made, and how often: the more it looks like a head, the more.
_MAKERS: dict[str, tuple[_Maker, float]] = {
    "part": (_part, 6),
    "stretched": (_stretched, 5),
    "shuffled": (_shuffled, 5),
    "sheet": (_sheet, 4),
    "inverted": (_inverted, 4),
    "cut-out": (_cut_out, 10),
    "ct-like": (_like_ct, 60),
    "limb": (_drawn(drawings.draw_limb), 24),
    "trunk": (_drawn(drawings.draw_trunk), 3),
    "hand": (_drawn(drawings.draw_hand), 4),
    "scene": (_drawn(drawings.draw_scene), 6),
    "object": (_drawn(drawings.draw_object), 5),
    "pattern": (_drawn(drawings.draw_pattern), 4),
    "paper": (_drawn(drawings.draw_paper), 2),
}
