"""Prepared slices in memory, and the batches that a training draws from them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset import edits
from brain_cnn.dataset.augment import AugmentSettings, augment
from brain_cnn.dataset.cavities import lay_cavity
from brain_cnn.labels import LABELS, NOTUMOR, label_index
from brain_cnn.preprocess import prepare

GRID_STEP = 8
"""Input pixels per cell of the class maps, on each axis."""

# Of the edited images, the share whose class changes; the rest are shams.
_TRUE_EDITS = 0.5
# Batches that are made ahead of the one in use.
_AHEAD = 3

Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Tensors (B, size, size, 1) in 0..1; labels (B, 4), one-hot; map targets (B, size/8, size/8, 5):
the share of each cell that is tumour of each class, and in the last channel 1 where that is known.
"""


@dataclass(frozen=True)
class PreparedData:
    """Every image of a data set as the network sees it.

    Attributes:
        images: uint8 (N, S, S); 0..255 stands for the tensor's 0..1.
        labels: int64 (N,), positions in `LABELS`.
        masks: uint8 (N, S, S) in the same crop, 255 inside the tumour; None without masks.
        has_mask: bool (N,), whether `masks[i]` shows where the tumour is.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8] | None
    has_mask: NDArray[np.bool_]


def prepare_all(
    images: list[NDArray[np.uint8]],
    labels: list[str],
    masks: list[NDArray[np.uint8] | None] | None,
    size: int,
) -> PreparedData:
    """Run `prepare` over a data set; masks (uint8, each the shape of its image) go along."""

    def one(position: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        ready = prepare(images[position], size)
        tensor = np.rint(ready.tensor[..., 0] * 255).astype(np.uint8)
        mask = masks[position] if masks is not None else None
        return tensor, None if mask is None else crop_mask(mask, ready.box, size)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, range(len(images))))
    tensors = np.stack([tensor for tensor, _ in results])
    has_mask = np.array([mask is not None and mask.max() > 127 for _, mask in results])
    stack = None
    if masks is not None:
        empty = np.zeros((size, size), np.uint8)
        stack = np.stack([empty if mask is None else mask for _, mask in results])
    indices = np.array([label_index(label) for label in labels], dtype=np.int64)
    return PreparedData(tensors, indices, stack, has_mask)


def crop_mask(
    mask: NDArray[np.uint8], box: tuple[float, float, float], size: int
) -> NDArray[np.uint8]:
    """Resample the same square of the mask that `prepare` took of the slice."""
    top, left, side = box
    step = side / size
    matrix = np.array([[step, 0.0, left + 0.5 * step - 0.5], [0.0, step, top + 0.5 * step - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result: NDArray[np.uint8] = cv2.warpAffine(mask, matrix, (size, size), flags=flags)
    return result


def draw_epoch(
    data: PreparedData,
    members: NDArray[np.int64],
    count: int,
    balance: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose which images one epoch shows.

    Args:
        data: the prepared data set.
        members: int64 (M,), the images that may be drawn.
        count: how many to draw.
        balance: 0 shows every image equally often; 1 shows every class equally often.

    Returns:
        int64 (count,): within a class every image is used once before any is used again.
    """
    labels = data.labels[members]
    sizes = np.bincount(labels, minlength=len(LABELS)).astype(float)
    weights = np.where(sizes > 0, np.maximum(sizes, 1.0) ** (1.0 - balance), 0.0)
    shares = np.floor(count * weights / weights.sum()).astype(int)
    shares[int(np.argmax(weights))] += count - shares.sum()
    drawn = []
    for label, share in enumerate(shares):
        own = members[labels == label]
        rounds = -(-share // max(len(own), 1))
        pool = [rng.permutation(own) for _ in range(rounds)]
        drawn.append(np.concatenate(pool)[:share] if pool else own[:0])
    return rng.permutation(np.concatenate(drawn))


class Source(Protocol):
    """What the epochs of a training are drawn from: real slices, or a mixture with others.

    Attributes:
        data: all its pictures.
    """

    @property
    def data(self) -> PreparedData:
        """All pictures that an epoch can show."""
        ...

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return int64 (count,): which pictures one epoch shows, in which order."""
        ...


@dataclass(frozen=True)
class RealSlices:
    """The training part of a data set.

    Attributes:
        data: the whole data set.
        members: int64 (M,), positions of the training part.
        balance: as in `draw_epoch`.
    """

    data: PreparedData
    members: NDArray[np.int64]
    balance: float

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return int64 (count,): which pictures one epoch shows, in which order."""
        return draw_epoch(self.data, self.members, count, self.balance, rng)


@dataclass(frozen=True)
class BatchPlan:
    """How the pictures of one epoch become batches.

    Attributes:
        size: side of the tensors, pixels.
        batch: pictures of one batch; the last one may have fewer.
        seed: (seed of the run, epoch): with the position they fix every random choice.
        augment: how strongly pictures are changed.
        edit_share: share of the pictures that are edited (see `edits`), as far as they
            can be: a tumour needs its mask. 0 leaves every picture and random choice as
            they are without edits.
        edit_tumours: whether heads with a tumour are edited too; what an erased tumour
            leaves behind (oedema, a shifted midline) is then taught as `notumor`.
        cavity_share: share of the pictures into which a cavity is laid (`cavities`);
            not into a tumour whose place is unknown, which it might cover.
    """

    size: int
    batch: int
    seed: tuple[int, int]
    augment: AugmentSettings
    edit_share: float = 0.0
    edit_tumours: bool = True
    cavity_share: float = 0.0


def training_batches(
    data: PreparedData, order: NDArray[np.int64], plan: BatchPlan
) -> Iterator[Batch]:
    """Yield augmented batches of the pictures at `order`, made ahead in a second thread."""
    maker = _BatchMaker(data, order, plan)
    count = -(-len(order) // plan.batch)
    with ThreadPoolExecutor(1) as pool:
        ahead: deque[Future[Batch]] = deque()
        for number in range(count + _AHEAD):
            if number < count:
                ahead.append(pool.submit(maker.make, number))
            if number >= _AHEAD and ahead:
                yield ahead.popleft().result()


class _BatchMaker:
    """Makes the batches of one epoch, each by its number."""

    def __init__(self, data: PreparedData, order: NDArray[np.int64], plan: BatchPlan) -> None:
        self.data, self.order, self.plan = data, order, plan
        # Tumours to cut out are those that are drawn anyway: none from outside the training part.
        self.donors = (
            np.unique(order[data.has_mask[order]]) if data.masks is not None else order[:0]
        )

    def make(self, number: int) -> Batch:
        size, first = self.plan.size, number * self.plan.batch
        members = self.order[first : first + self.plan.batch]
        grid = size // GRID_STEP
        tensors = np.empty((len(members), size, size, 1), np.float32)
        targets = np.zeros((len(members), grid, grid, len(LABELS) + 1), np.float32)
        labels = np.empty(len(members), np.int64)
        for row, member in enumerate(members):
            place = first + row
            image, mask, labels[row] = self._picture(int(member), place)
            rng = np.random.default_rng([*self.plan.seed, place])
            tensors[row, ..., 0], moved = augment(image, mask, size, rng, self.plan.augment)
            if moved is not None:
                cells = cv2.resize(moved, (grid, grid), interpolation=cv2.INTER_AREA)
                targets[row, ..., labels[row]] = cells
                targets[row, ..., -1] = 1.0
            elif labels[row] == label_index(NOTUMOR):
                targets[row, ..., -1] = 1.0  # known: no tumour anywhere
        return tensors, np.eye(len(LABELS), dtype=np.float32)[labels], targets

    def _picture(
        self, member: int, place: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, int]:
        """Return image, mask and label of one picture, edited and with a cavity where drawn."""
        data, plan, notumor = self.data, self.plan, label_index(NOTUMOR)
        image, label = data.images[member], int(data.labels[member])
        mask = data.masks[member] if data.masks is not None and data.has_mask[member] else None
        if plan.edit_share > 0.0:
            # Its own randomness: the augmentation stays what it was.
            rng = np.random.default_rng([*plan.seed, place, 1])
            editable = plan.edit_tumours or label == notumor
            if rng.random() < plan.edit_share and editable:
                image, mask, label = edited(data, member, self.donors, rng)
        if plan.cavity_share > 0.0 and (mask is not None or label == notumor):
            rng = np.random.default_rng([*plan.seed, place, 2])
            if rng.random() < plan.cavity_share:
                image = lay_cavity(image, mask, rng)
        return image, mask, label


def edited(
    data: PreparedData, member: int, donors: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, int]:
    """Return one image with its tumour taken out, put in, or the same work done beside it.

    Args:
        member: position of the image.
        donors: positions of tumours with masks, which may be cut out.

    Returns:
        Image uint8 (S, S), mask (None where there is no tumour, or it is not known where),
        label. An image to which no edit fits comes back as it is.
    """
    image, label = data.images[member], int(data.labels[member])
    notumor = label_index(NOTUMOR)
    if data.masks is None:
        return image, None, label
    result: NDArray[np.uint8] | None = None
    if label == notumor and donors.size:
        # Classes evenly: there are half as many masks of one as of the other.
        kind = rng.choice(np.unique(data.labels[donors]))
        donor = int(rng.choice(donors[data.labels[donors] == kind]))
        source = data.images[donor], data.masks[donor], LABELS[kind]
        if rng.random() < _TRUE_EDITS:
            pasted = edits.transplant(image, *source, rng)
            return (image, None, label) if pasted is None else (*pasted, int(kind))
        if rng.random() < 0.5:
            result = edits.sham_transplant(image, *source, rng)
        else:
            result = edits.sham(image, data.masks[donor], rng)
        return image if result is None else result, None, label
    if label == notumor or not data.has_mask[member]:
        return image, None, label
    mask = data.masks[member]
    if rng.random() < _TRUE_EDITS:
        result = edits.erase(image, mask, rng)
        return (image, mask, label) if result is None else (result, None, notumor)
    result = edits.sham(image, mask, rng)
    return image if result is None else result, mask, label
