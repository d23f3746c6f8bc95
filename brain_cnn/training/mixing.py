"""What a training sees beside the real slices: synthetic heads, normal heads, laid-in tumours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.batches import PreparedData, RealSlices, Source, draw_epoch
from brain_cnn.dataset.normals import load_normals, slices_of, split_normals
from brain_cnn.dataset.pools import Pool, grafted_pool, normal_pool, synthetic_pool
from brain_cnn.dataset.synthetic.heads import load_heads, split_heads
from brain_cnn.dataset.synthetic.settings import SyntheticSettings
from brain_cnn.errors import SettingsError
from brain_cnn.training.fit_calibration import OtherSources
from brain_cnn.training.settings import TrainSettings

# Of the pools that no training sees: far from the seed of any run.
_HELD_OUT_SEED = 900
_HELD_OUT_SYNTHETIC, _HELD_OUT_GRAFTS = 1200, 400
# Synthetic heads among the gate's positives: enough to be known, fewer than the real ones.
_GATE_SYNTHETIC = 700


@dataclass(frozen=True)
class Part:
    """Some of the pictures, and how many of them one epoch shows.

    Attributes:
        members: int64 (M,), positions in the mixture's data.
        share: of an epoch's pictures; balance: as in `draw_epoch`.
    """

    members: NDArray[np.int64]
    share: float
    balance: float


@dataclass(frozen=True)
class Mixture:
    """All pictures of a training, the real data set first, in its order.

    Attributes:
        data: real and made pictures.
        parts: what an epoch is drawn from; their shares sum to 1.
    """

    data: PreparedData
    parts: list[Part]

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return int64 (count,): which pictures one epoch shows, in which order."""
        counts = [round(count * part.share) for part in self.parts]
        counts[0] += count - sum(counts)
        drawn = [
            draw_epoch(self.data, part.members, own, part.balance, rng)
            for part, own in zip(self.parts, counts, strict=True)
            if own > 0
        ]
        return rng.permutation(np.concatenate(drawn))


def build_mixture(
    data: PreparedData, train: NDArray[np.int64], settings: TrainSettings,
    labels: Path | None, normals: Path | None, cache: Path,
) -> Source:  # fmt: skip
    """Make what the settings' shares ask for, or find it in `cache`.

    Args:
        data: the real data set; tumours of its training part that have masks are laid into
            normal heads.
        labels: ZIP or folder of anatomical label maps; normals: of normal volumes. The heads
            and subjects that are kept apart for calibration are left out.

    Raises:
        SettingsError: a share is wanted of something that is not given.
    """
    pools: list[tuple[Pool, float]] = []
    if settings.synthetic_share > 0:
        heads, _ = split_heads(load_heads(_given(labels, "synthetic_share", "--labels")))
        pool = synthetic_pool(
            heads, settings.synthetic_count, SyntheticSettings(), 1 + settings.seed, settings.size,
            cache,
        )  # fmt: skip
        pools.append((pool, settings.synthetic_share))
    if settings.normal_share > 0:
        volumes, _ = split_normals(load_normals(_given(normals, "normal_share", "--normals")))
        slices = [one for volume in volumes for one in slices_of(volume)]
        laid = settings.normal_share * settings.graft_share
        pools.append((normal_pool(slices, settings.size), settings.normal_share - laid))
        if laid > 0:
            donors = pick(data, train)
            count, seed = settings.graft_count, 1 + settings.seed
            pools.append((grafted_pool(slices, donors, count, seed, cache), laid))
    if not pools:
        return RealSlices(data, train, settings.balance)
    parts = [Part(train, 1.0 - sum(share for _, share in pools), settings.balance)]
    start = len(data.images)
    for pool, share in pools:
        members = np.arange(start, start + len(pool.data.images))
        parts.append(Part(members, share, 0.0))
        start += len(members)
    return Mixture(join_data([data, *(pool.data for pool, _ in pools)]), parts)


def other_sources(
    data: PreparedData, val: NDArray[np.int64], settings: TrainSettings,
    labels: Path, normals: Path, cache: Path,
) -> OtherSources:  # fmt: skip
    """Return pictures of other sources for what is fitted after a training.

    Args:
        data: the real data set; val: positions of its val part, whose tumours are laid into
            the heads of subjects that were not trained on.
        settings: of the training: some of the synthetic heads that it saw are known ones.
    """
    size = data.images.shape[-1]
    trained, kept = split_heads(load_heads(labels))
    volumes, kept_volumes = split_normals(load_normals(normals))
    slices, kept_slices = (
        [one for volume in part for one in slices_of(volume)] for part in (volumes, kept_volumes)
    )
    seen = synthetic_pool(
        trained, settings.synthetic_count, SyntheticSettings(), 1 + settings.seed, size, cache
    )
    few = np.arange(min(_GATE_SYNTHETIC, len(seen.data.images)))
    laid = grafted_pool(kept_slices, pick(data, val), _HELD_OUT_GRAFTS, _HELD_OUT_SEED, cache)
    unseen = synthetic_pool(
        kept, _HELD_OUT_SYNTHETIC, SyntheticSettings(), _HELD_OUT_SEED, size, cache
    )
    return OtherSources(
        join_data([normal_pool(slices, size).data, pick(seen.data, few)]),
        join_data([normal_pool(kept_slices, size).data, laid.data]),
        unseen.data,
    )


def pick(data: PreparedData, members: NDArray[np.int64]) -> PreparedData:
    """Return some pictures of a data set as a data set.

    Raises:
        SettingsError: it has no masks, without which no tumour can be cut out.
    """
    if data.masks is None:
        raise SettingsError(
            "no-masks", "Tumours cannot be laid into heads without masks.", "Give --masks."
        )
    return PreparedData(
        data.images[members], data.labels[members], data.masks[members], data.has_mask[members]
    )


def join_data(parts: Sequence[PreparedData]) -> PreparedData:
    """Return one data set after the other, as one; pictures without mask get an empty one."""
    masks = [np.zeros_like(part.images) if part.masks is None else part.masks for part in parts]
    return PreparedData(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate(masks),
        np.concatenate([part.has_mask for part in parts]),
    )


def _given(source: Path | None, setting: str, option: str) -> Path:
    if source is None:
        raise SettingsError(
            "bad-setting", f"{setting} is above 0, but {option} is missing.", f"Give {option}."
        )
    return source
