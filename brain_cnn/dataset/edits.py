"""Pictures that break the source: the tumour moves, everything else stays.

In a data set whose tumours and normals come from different scanners, a network can tell
the classes apart without ever seeing a tumour. These edits take that away: a tumour is
laid into a head without one, a tumour is taken out of its head, and the same work is done
beside the tumour ("sham"), so that the traces of the work mean nothing either.

Every function is pure: the same pictures and the same state of `rng` give the same result.
Slices are uint8 (S, S) as `prepare` leaves them; masks are uint8 (S, S), 255 inside the
tumour. A function returns None where the edit does not fit; the caller then keeps the
picture as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.blending import Head, Mask, centre_of, find_head, grow, seamless
from brain_cnn.dataset.filling import contrast, fill_hole, hole_for
from brain_cnn.dataset.weighting_greys import lay_oedema, repaint

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

# A pasted tumour must differ from the level around it by this many grey values more than
# the surroundings do themselves.
_VISIBLE = 8.0
# A place whose surroundings differ from the brain's median by more than this share of the
# brain's contrast is a ventricle, or bone.
_ODD_LEVEL = 0.9
_TRIES = 5
# A meningioma with an edge less deep than this share of the head's size lies at the rim.
_RIM = 0.14


def transplant(
    head_image: Image,
    donor_image: Image,
    donor_mask: Image,
    label: str,
    rng: np.random.Generator,
    *,
    needs_sight: bool = True,
    weighting: str | None = None,
) -> tuple[Image, Image] | None:
    """Lay the donor's tumour into another head.

    A meningioma that lay at the rim comes to lie at the rim, the same side outwards; a
    pituitary tumour comes to where it lay relative to the head's box; any other one to a
    random place of the brain. Size follows the heads; grey values follow the contrast of
    both brains, sometimes turned round, as in another weighting.

    Args:
        head_image: uint8 (S, S), the head that receives it.
        donor_image, donor_mask: uint8 (S, S), the tumour and where it is.
        label: class of the tumour, one of `TUMOUR_LABELS`.
        needs_sight: give up where the tumour hardly differs from its surroundings.
        weighting: one of `REPAINTED`, in whose greys it is painted, with the water around
            it; None: in those of the donor, whatever the head is.

    Returns:
        The picture and the tumour's mask in it, both uint8 (S, S); None where a head or a
        place is missing, or the tumour would not be seen.
    """
    heads = find_head(head_image), find_head(donor_image)
    tumour = donor_mask > 127
    if heads[0] is None or heads[1] is None or not tumour.any():
        return None
    head, donor = heads[0], heads[1]
    fitted = _fit(head_image, head, donor, tumour, label, rng)
    if fitted is None:
        return None
    matrix, moved = fitted
    if weighting is not None:
        head_image = lay_oedema(head_image, head, moved, weighting, label, rng)
    here = _greys_around(head_image, moved, head.brain)
    there = _greys_around(donor_image, tumour, donor.brain & ~tumour)
    if weighting is not None:
        levels = there.level, here.level
        matched = repaint(donor_image, tumour, levels, weighting, label, rng)
    else:
        matched = _match_greys(donor_image, tumour, there, here, rng)
    side = head_image.shape
    patch = cv2.warpAffine(matched, matrix, side[::-1], borderMode=cv2.BORDER_REPLICATE)
    edited = seamless(head_image, patch, moved, rng, feather=rng.uniform(0.7, 1.4))
    if needs_sight and not _is_seen(edited, moved):
        return None
    return edited, np.where(moved, 255, 0).astype(np.uint8)


def erase(image: Image, mask: Image, rng: np.random.Generator) -> Image | None:
    """Take the tumour out of its head: uint8 (S, S), or None where nothing can fill it.

    The hole, somewhat larger than the tumour, is filled from the other half of a roughly
    symmetric head, else from the place of the same brain that fits the hole's edge best,
    else by inpainting.
    """
    tumour = mask > 127
    head = find_head(image)
    if head is None or not tumour.any():
        return None
    return fill_hole(image, head, hole_for(tumour), tumour, rng)


def sham(image: Image, mask: Image, rng: np.random.Generator) -> Image | None:
    """Do the work of `erase` beside the tumour: the class stays what it was.

    Args:
        image: uint8 (S, S), with the tumour of `mask`, or without one.
        mask: uint8 (S, S); gives the size and shape of the fill. Of a picture without
            tumour it may be the mask of any other.

    Returns:
        uint8 (S, S), unchanged on the tumour; None where there is no room beside it.
    """
    tumour = mask > 127
    head = find_head(image)
    if head is None or not tumour.any():
        return None
    away = _elsewhere(head, tumour, rng)
    return (
        None
        if away is None
        else fill_hole(image, head, hole_for(away) & ~grow(tumour, 2), tumour, rng)
    )


def sham_transplant(
    head_image: Image, donor_image: Image, donor_mask: Image, label: str, rng: np.random.Generator
) -> Image | None:
    """Do the work of `transplant` with a piece of the donor's healthy brain.

    Returns:
        uint8 (S, S), still without tumour; None as in `transplant`.
    """
    donor = find_head(donor_image)
    tumour = donor_mask > 127
    if donor is None or not tumour.any():
        return None
    healthy = _elsewhere(donor, tumour, rng)
    if healthy is None:
        return None
    moved = np.where(healthy, 255, 0).astype(np.uint8)
    result = transplant(head_image, donor_image, moved, label, rng, needs_sight=False)
    return None if result is None else result[0]


def _is_seen(image: Image, tumour: Mask) -> bool:
    around = grow(tumour, 7) & ~grow(tumour, 2)
    level = float(np.median(image[around])) if around.any() else 0.0
    apart = np.abs(image.astype(np.float32) - level)
    return bool(apart[tumour].mean() > apart[around].mean() + _VISIBLE)


def _fit(
    head_image: Image,
    head: Head,
    donor: Head,
    tumour: Mask,
    label: str,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], Mask] | None:
    """Return the (2, 3) matrix from donor to head, and the tumour's new mask."""
    if label == "pituitary" and head.has_neck != donor.has_neck:
        return None  # its usual place in the one plane is nowhere near in the other
    row, column = centre_of(tumour)
    scale = head.size / donor.size * rng.uniform(0.8, 1.15)
    # No tumour takes more than a tenth of a head.
    scale *= min(1.0, np.sqrt(0.10 * head.size**2 / max(scale**2 * float(tumour.sum()), 1.0)))
    places = _places(head, donor, tumour, label, scale, rng)
    rim = label == "meningioma" and donor.depth[tumour].min() < _RIM * donor.size
    shape = head.depth.shape[::-1]
    level = float(np.median(head_image[head.brain]))
    odd = _ODD_LEVEL * contrast(head_image, head.brain)
    for place in places:
        turn = rng.uniform(-0.25, 0.25)
        if rim:
            turn += _outwards(head, place) - _outwards(donor, (row, column))
        elif label != "pituitary":
            turn = rng.uniform(-np.pi, np.pi)
        flip = -1.0 if not rim and rng.random() < 0.5 else 1.0
        cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
        linear = np.array([[cosine * flip, -sine], [sine * flip, cosine]])  # on (x, y)
        offset = np.array([place[1], place[0]]) - linear @ np.array([column, row])
        matrix = np.concatenate([linear, offset[:, None]], axis=1)
        moved = cv2.warpAffine(tumour.astype(np.float32), matrix, shape) > 0.5
        moved &= head.depth > 0.05 * head.size
        if moved.sum() < 12:
            continue
        strange = np.abs(head_image[grow(moved, 2)].astype(np.float32) - level) > odd
        if strange.mean() < 0.25:
            return matrix, moved
    return None


def _places(
    head: Head, donor: Head, tumour: Mask, label: str, scale: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Return a few (row, column) where the tumour's centre may come to lie."""
    if label == "pituitary":
        row, column = centre_of(tumour)
        top, left, height, width = donor.box
        share = np.array([(row - top) / height, (column - left) / width])
        top, left, height, width = head.box
        shares = share + rng.normal(0.0, 0.025, (_TRIES, 2))
        return [(top + down * height, left + right * width) for down, right in shares]
    radius = scale * np.sqrt(tumour.sum() / np.pi)
    shallowest = float(donor.depth[tumour].min()) / donor.size
    # How deep the outer edge lies stays, within reason, what it was in the donor.
    nearest = float(np.clip(shallowest, 0.05, 0.12)) * head.size + 0.8 * radius
    allowed = head.brain & (head.depth > nearest)
    if label == "meningioma" and shallowest < _RIM:
        allowed &= head.depth < nearest + 0.03 * head.size
    rows, columns = np.nonzero(allowed)
    if rows.size == 0:
        return []
    chosen = rng.integers(rows.size, size=_TRIES)
    return [(float(rows[i]), float(columns[i])) for i in chosen]


def _outwards(head: Head, place: tuple[float, float]) -> float:
    """Return the angle of (x, y) in which the head's outline is nearest."""
    row = int(np.clip(place[0], 4, head.depth.shape[0] - 5))
    column = int(np.clip(place[1], 4, head.depth.shape[1] - 5))
    depth = head.depth
    down = float(depth[row + 4, column] - depth[row - 4, column])
    right = float(depth[row, column + 4] - depth[row, column - 4])
    return float(np.arctan2(-down, -right))


class _Greys(NamedTuple):
    """Grey values of a brain: the level around a tumour, and the contrast of its tissues."""

    level: float
    contrast: float


def _greys_around(image: Image, place: Mask, brain: Mask) -> _Greys:
    around = grow(place, 6) & ~grow(place, 2) & brain
    return _Greys(_median(image, around, brain), contrast(image, brain))


def _match_greys(
    donor_image: Image, tumour: Mask, there: _Greys, here: _Greys, rng: np.random.Generator
) -> Floats:
    """Return the donor float32 (S, S) in the grey values of the head that receives it.

    An affine map takes the tumour's surroundings (`there`) to those of its new place
    (`here`), and the contrast of one brain to that of the other.
    """
    level_donor, level_head = there.level, here.level
    ratio = here.contrast / there.contrast
    gain = float(np.clip(ratio, 0.6, 1.8)) * rng.uniform(0.85, 1.15)
    low, high = np.percentile(donor_image[tumour], [10, 90])
    bright = float(high) - level_donor
    if bright > 0:
        # Room for the tumour's own pattern below white.
        gain = min(gain, max(250.0 - level_head, 1.0) / bright)
    if low < level_donor:
        # And above black: a hole is no tumour.
        gain = min(gain, 0.7 * level_head / (level_donor - float(low)))
    # In another weighting a tumour is darker than the brain; where there is no room above, too.
    if rng.random() < 0.2 or gain * bright < 15.0 < bright:
        dark = rng.uniform(0.2, 0.5) * level_head / max(abs(bright), 1.0)
        gain = -min(0.8 * float(np.clip(ratio, 0.6, 1.8)), dark)
    return level_head + gain * (donor_image.astype(np.float32) - level_donor)


def _median(image: Image, wanted: Mask, otherwise: Mask) -> float:
    values = image[wanted] if wanted.sum() >= 12 else image[otherwise][::3]
    return float(np.median(values)) if values.size else 0.0


def _elsewhere(head: Head, tumour: Mask, rng: np.random.Generator) -> Mask | None:
    """Return the tumour's shape at another place of the brain, clear of the tumour."""
    row, column = centre_of(tumour)
    radius = np.sqrt(tumour.sum() / np.pi)
    clear = ~grow(tumour, round(1.2 * radius + 6))
    rows, columns = np.nonzero(head.brain & clear & (head.depth > 0.06 * head.size + 0.8 * radius))
    for _ in range(4):
        if rows.size == 0:
            return None
        chosen = int(rng.integers(rows.size))
        turn = cv2.getRotationMatrix2D((column, row), float(rng.uniform(0, 360)), 1.0)
        turn[:, 2] += (columns[chosen] - column, rows[chosen] - row)
        moved = cv2.warpAffine(tumour.astype(np.float32), turn, tumour.shape[::-1]) > 0.5
        if moved.sum() >= 8 and not (moved & grow(tumour, 5)).any():
            result: Mask | None = moved
            return result
    return None
