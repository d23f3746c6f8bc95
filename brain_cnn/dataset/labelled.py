"""A data set in memory: images with their labels, and one of its splits."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset import copies, index, locate, splits
from brain_cnn.dataset.index import ImageRecord
from brain_cnn.errors import DatasetError, SettingsError
from brain_cnn.labels import NOTUMOR, label_index

SPLITS = ("official", "protocol", "grouped")


@dataclass(frozen=True)
class LabelledData:
    """A data set in memory with one of its splits.

    Attributes:
        records: N images, with their labels.
        images: N slices, uint8 (H, W).
        split: positions of train, val and test; `split.groups` are the bootstrap's units.
        unreadable: (path, reason) of images that were left out.
        outliers: pictures that the protocol names as no brain MRI (head CTs); in no part of
            the split, and what the familiarity gate learns to refuse.
    """

    records: list[ImageRecord]
    images: list[NDArray[np.uint8]]
    split: splits.Split
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    outliers: list[NDArray[np.uint8]] = field(default_factory=list)

    def subset(self, positions: Sequence[int] | NDArray[np.integer]) -> LabelledData:
        """Return the images at `positions`, in that order.

        Each stays in its part of the split and in its group; what is no image of the split
        (`unreadable`, `outliers`) stays as it is.

        Args:
            positions: M positions from 0 to N - 1, each once.
        """
        keep = np.asarray(positions, dtype=np.int64)
        train, val, test = (
            np.flatnonzero(np.isin(keep, part))
            for part in (self.split.train, self.split.val, self.split.test)
        )
        groups = np.asarray(self.split.groups)[keep]
        return replace(
            self,
            records=[self.records[i] for i in keep],
            images=[self.images[i] for i in keep],
            split=replace(self.split, groups=groups, train=train, val=val, test=test),
        )


def load_labelled(
    data: str, split_name: str, protocol: Path | None = None, *, seed: int = 0, workers: int = 2
) -> LabelledData:
    """Find, read and split a data set.

    Args:
        data: folder, ZIP, https link or Google Drive link.
        split_name: one of `SPLITS`.
        protocol: CSV with the columns of the protocol; needed for "protocol". For
            "official" it names the groups (patients) where it is given; without it
            look-alikes found in the pixels are the groups.
        seed: of the parts that are drawn.
        workers: threads that read images.

    Raises:
        SettingsError: an unknown split, or "protocol" without its CSV.
        DatasetError: the data cannot be used.
    """
    if split_name not in SPLITS:
        raise SettingsError(
            "unknown-split", f"Unknown split {split_name!r}.", f"Choose one of {', '.join(SPLITS)}."
        )
    if split_name == "protocol" and protocol is None:
        raise SettingsError(
            "protocol-missing", "The split 'protocol' needs its CSV.", "Give it with --protocol."
        )
    root = locate.locate_data(data)
    everything = index.index_images(root)
    images, unreadable = index.load_images(root, everything, workers)
    lost = {path for path, _ in unreadable}
    records = [record for record in everything if record.path not in lost]
    if split_name == "protocol":
        assert protocol is not None
        split = splits.protocol_split(records, protocol)
        outliers = _known_outliers(records, images, protocol)
        return LabelledData(records, images, split, unreadable, outliers)
    groups, copy_groups = _find_groups(records, images, protocol)
    make = splits.official_split if split_name == "official" else splits.grouped_split
    split = make(records, groups, seed=seed, copy_groups=copy_groups)
    return LabelledData(records, images, split, unreadable)


def val_tumours_with_masks(data: LabelledData, masks: dict[str, NDArray[np.uint8]]) -> list[int]:
    """Return the positions of the val tumours that have a non-empty mask.

    Raises:
        DatasetError: there is none.
    """
    positions = [
        int(i)
        for i in data.split.val
        if data.records[i].label != NOTUMOR
        and data.records[i].path in masks
        and masks[data.records[i].path].any()
    ]
    if not positions:
        raise DatasetError(
            "no-masks", "No tumour of the val part has a mask.", "Check the masks and the split."
        )
    return positions


def true_labels(data: LabelledData, positions: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    """Return the true classes int64 (M,) of the images at `positions`."""
    return np.array([label_index(data.records[i].label) for i in positions], dtype=np.int64)


def _find_groups(
    records: list[ImageRecord], images: list[NDArray[np.uint8]], protocol: Path | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return similarity and copy group of each image: from the CSV, else from the pixels."""
    if protocol is None:
        copy_groups = copies.find_copies(images)
        return copies.find_lookalikes(images, copy_groups), copy_groups
    with protocol.open(newline="", encoding="utf-8-sig") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}

    def column(name: str) -> NDArray[Any]:
        # An image that the CSV does not know stands for itself.
        return np.array([rows.get(r.path, {}).get(name) or f"alone {r.path}" for r in records])

    return column("similarity_group"), column("copy_group")


def _known_outliers(
    records: list[ImageRecord], images: list[NDArray[np.uint8]], protocol: Path
) -> list[NDArray[np.uint8]]:
    """Return the images that the CSV's column `suspect`, where it has one, calls a CT."""
    with protocol.open(newline="", encoding="utf-8-sig") as file:
        foreign = {row["path"] for row in csv.DictReader(file) if row.get("suspect") == "ct"}
    return [image for record, image in zip(records, images, strict=True) if record.path in foreign]
