"""Pictures made ahead of a training, and kept on disk by what they were made from.

Three kinds: synthetic heads, slices of real normal heads, and such slices into which real
tumours were laid. Each picture is a pure function of its number; a pool is made by several
processes, and found again by a fingerprint of everything that it depends on.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset import edits
from brain_cnn.dataset.batches import PreparedData, crop_mask
from brain_cnn.dataset.normals import NormalSlice
from brain_cnn.dataset.synthetic.heads import Head
from brain_cnn.dataset.synthetic.make import make_slice
from brain_cnn.dataset.synthetic.settings import SyntheticSettings
from brain_cnn.dataset.weighting_greys import REPAINTED
from brain_cnn.labels import LABELS, NOTUMOR, label_index
from brain_cnn.preprocess import PREPROCESS_VERSION, prepare

Image = NDArray[np.uint8]
POOL_VERSION = 1
"""Raised whenever a pool would come out different: old ones are then made anew."""

_STREAM = 23
_TRIES = 8
# Of the tumours laid into T1 heads, the share painted as contrast T1, as the donors are.
_AS_CONTRAST = 0.5
# No pituitary tumours: where the sella lies is not known in these heads.
_GRAFTED = ("glioma", "meningioma")


class Made(NamedTuple):
    """One prepared picture: uint8 (S, S), its tumour mask, class, weighting, plane, origin."""

    image: Image
    mask: Image
    label: int
    weighting: str
    plane: str
    origin: str


class Receivers(NamedTuple):
    """Normal slices, and bool (N,): which may receive a tumour."""

    pool: Pool
    shows_brain: NDArray[np.bool_]


@dataclass(frozen=True)
class Pool:
    """N prepared pictures and what is known of them.

    Attributes:
        data: the pictures with labels and masks.
        weightings, planes, origins: N strings each; the origin is the head or the subject.
    """

    data: PreparedData
    weightings: NDArray[np.str_]
    planes: NDArray[np.str_]
    origins: NDArray[np.str_]


def synthetic_pool(
    heads: Sequence[Head], count: int, settings: SyntheticSettings, seed: int, size: int,
    cache: Path, workers: int = 2,
) -> Pool:  # fmt: skip
    """Make `count` synthetic slices, numbered from `seed` million on."""
    key = {
        "kind": "synthetic",
        "settings": asdict(settings),
        "heads": [[head.name, _digest(head.tissues)] for head in heads],
        "count": count, "seed": seed, "size": size,
    }  # fmt: skip
    numbers = range(seed * 1_000_000, seed * 1_000_000 + count)
    make = partial(_synthetic, list(heads), settings, size)
    return _kept(key, make, numbers, cache, workers)


def normal_pool(slices: Sequence[NormalSlice], size: int) -> Pool:
    """Return every slice of normal heads, prepared; quick enough not to be kept."""
    return _stack([_normal(one, size) for one in slices])


def grafted_pool(
    slices: Sequence[NormalSlice], donors: PreparedData, count: int, seed: int, cache: Path,
    workers: int = 2,
) -> Pool:  # fmt: skip
    """Lay tumours into normal heads, `count` times.

    Args:
        slices: normal slices.
        donors: pictures with tumours and masks, contrast T1; those without mask are left out.
    """
    assert donors.masks is not None
    heads = Receivers(
        normal_pool(slices, donors.images.shape[-1]),
        np.array([one.shows_brain for one in slices]),
    )
    key = {
        "kind": "grafted",
        "heads": _digest(heads.pool.data.images),
        "donors": [_digest(donors.images), _digest(donors.masks)],
        "count": count, "seed": seed,
    }  # fmt: skip
    make = partial(_grafted, heads, donors)
    numbers = range(seed * 1_000_000, seed * 1_000_000 + count)
    return _kept(key, make, numbers, cache, workers)


def _synthetic(heads: list[Head], settings: SyntheticSettings, size: int, number: int) -> Made:
    one = make_slice(heads, number, settings)
    ready = prepare(one.pixels, size)
    image = np.rint(ready.tensor[..., 0] * 255).astype(np.uint8)
    mask = crop_mask(one.mask, ready.box, size)
    mask = np.where(mask > 127, 255, 0).astype(np.uint8)
    return Made(image, mask, label_index(one.label), one.weighting, one.plane, one.head)


def _normal(one: NormalSlice, size: int) -> Made:
    image = np.rint(prepare(one.pixels, size).tensor[..., 0] * 255).astype(np.uint8)
    label = label_index(NOTUMOR)
    return Made(image, np.zeros_like(image), label, one.weighting, one.plane, one.subject)


def _grafted(heads: Receivers, donors: PreparedData, number: int) -> Made | None:
    """Lay a tumour into a head, both drawn: weightings evenly, classes evenly."""
    assert donors.masks is not None
    pool = heads.pool
    rng = np.random.default_rng([_STREAM, number])
    for _ in range(_TRIES):
        label = str(rng.choice(_GRAFTED))
        weighting = str(rng.choice(np.unique(pool.weightings)))
        places = np.flatnonzero(heads.shows_brain & (pool.weightings == weighting))
        fitting = np.flatnonzero((donors.labels == label_index(label)) & donors.has_mask)
        if fitting.size == 0 or places.size == 0:
            continue
        place, donor = int(rng.choice(places)), int(rng.choice(fitting))
        as_contrast = weighting == "t1" and rng.random() < _AS_CONTRAST
        shown = "t1c" if as_contrast or weighting not in REPAINTED else weighting
        laid = edits.transplant(
            pool.data.images[place],
            donors.images[donor],
            donors.masks[donor],
            label,
            rng,
            weighting=None if shown == "t1c" else shown,
        )
        if laid is not None:
            origin, plane = str(pool.origins[place]), str(pool.planes[place])
            return Made(*laid, label_index(label), shown, plane, origin)
    return None


def _kept(
    key: dict[str, Any],
    make: Callable[[int], Made | None],
    numbers: Sequence[int],
    cache: Path,
    workers: int,
) -> Pool:
    """Return the pool from the disk, or make it and keep it there."""
    own = {**key, "pool": POOL_VERSION, "prepare": PREPROCESS_VERSION, "labels": LABELS}
    name = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{key['kind']}-{name}.npz"
    if path.exists():
        return _load(path)
    print(f"Making {len(numbers)} {key['kind']} pictures ...", flush=True)
    # Threads of their own and a fork of ours do not go together: processes start afresh.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_start_worker, initargs=(make,)) as pool:
        made = pool.map(_work, numbers, chunksize=16)
    result = _stack([one for one in made if one is not None])
    _save(path, result)
    return result


_job: list[Callable[[int], Made | None]] = []


def _start_worker(make: Callable[[int], Made | None]) -> None:
    import cv2

    cv2.setNumThreads(1)
    _job.append(make)


def _work(number: int) -> Made | None:
    return _job[0](number)


def _stack(made: Sequence[Made]) -> Pool:
    masks = np.stack([one.mask for one in made])
    data = PreparedData(
        np.stack([one.image for one in made]),
        np.array([one.label for one in made], np.int64),
        masks,
        _filled(masks),
    )
    texts = ([one[place] for one in made] for place in (3, 4, 5))
    return Pool(data, *(np.array(column, dtype=np.str_) for column in texts))


def _save(path: Path, pool: Pool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    assert pool.data.masks is not None
    with part.open("wb") as file:
        np.savez(
            file,
            images=pool.data.images,
            labels=pool.data.labels,
            masks=np.packbits(pool.data.masks > 127, axis=-1),
            weightings=pool.weightings,
            planes=pool.planes,
            origins=pool.origins,
        )
    part.replace(path)


def _load(path: Path) -> Pool:
    with np.load(path, allow_pickle=False) as kept:
        images = kept["images"]
        bits = np.unpackbits(kept["masks"], axis=-1, count=images.shape[-1])
        masks = bits * np.uint8(255)
        data = PreparedData(images, kept["labels"], masks, _filled(masks))
        return Pool(data, kept["weightings"], kept["planes"], kept["origins"])


def _filled(masks: Image) -> NDArray[np.bool_]:
    """Return bool (N,): which masks uint8 (N, S, S) are not empty."""
    filled: NDArray[np.bool_] = masks.reshape(len(masks), -1).max(axis=1) > 127
    return filled


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
