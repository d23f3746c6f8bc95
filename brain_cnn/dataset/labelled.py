"""Run a saved bundle over labelled slices, exactly as it is served.

The slices go through `prepare`, the engine and the calibration, as an upload does, so the
published numbers are those of the product and not of the training's own arrays.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset import copies, index, locate, splits
from brain_cnn.dataset.index import ImageRecord
from brain_cnn.errors import DatasetError, SettingsError
from brain_cnn.evaluation.localisation import summarise_localisation
from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.diagnosis import class_heat
from brain_cnn.labels import NOTUMOR, label_index
from brain_cnn.preprocess import PreparedSlice, prepare

SPLITS = ("official", "protocol", "grouped")
_BATCH = 16


class _Engine(Protocol):
    def run(self, batch: NDArray[np.float32]) -> Any: ...


@dataclass(frozen=True)
class LabelledData:
    """A data set in memory with one of its splits.

    Attributes:
        records: N images, with their labels.
        images: N slices, uint8 (H, W).
        split: positions of train, val and test; `split.groups` are the bootstrap's units.
        unreadable: (path, reason) of images that were left out.
        strangers: pictures that the protocol names as no brain MRI (head CTs); in no part of
            the split, and what the familiarity gate learns to refuse.
    """

    records: list[ImageRecord]
    images: list[NDArray[np.uint8]]
    split: splits.Split
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    strangers: list[NDArray[np.uint8]] = field(default_factory=list)


@dataclass(frozen=True)
class JudgedSlices:
    """What the bundle says of N slices.

    Attributes:
        probabilities: float64 (N, 4), calibrated.
        class_maps: float32 (N, h, w, 4), on the network's grid.
        prepared: the N prepared slices, which know the way back to the slice.
    """

    probabilities: NDArray[np.float64]
    class_maps: NDArray[np.float32]
    prepared: list[PreparedSlice]

    def heatmap(self, position: int, label: int) -> NDArray[np.float32]:
        """Return the served heatmap float32 (H, W) in 0..1 of slice `position`, class `label`.

        ReLU of the class map over its own maximum, mapped back; all zero where the map is
        nowhere positive.
        """
        return slice_heatmap(self.class_maps[position, ..., label], self.prepared[position])


def slice_heatmap(class_map: NDArray[np.floating], prepared: PreparedSlice) -> NDArray[np.float32]:
    """Return ReLU(class map (h, w)) over its own maximum, on the slice: float32 (H, W)."""
    return prepared.to_slice(class_heat(class_map[..., None])[..., 0])


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
        strangers = _known_strangers(records, images, protocol)
        return LabelledData(records, images, split, unreadable, strangers)
    groups, copy_groups = _find_groups(records, images, protocol)
    make = splits.official_split if split_name == "official" else splits.grouped_split
    split = make(records, groups, seed=seed, copy_groups=copy_groups)
    return LabelledData(records, images, split, unreadable)


def judge(
    engine: _Engine,
    calibration: Calibration,
    pixels: Sequence[NDArray[np.uint8]],
    size: int,
) -> JudgedSlices:
    """Prepare N slices uint8 (H, W), run the engine in small batches, calibrate."""
    prepared = [prepare(slice_pixels, size) for slice_pixels in pixels]
    logits, maps = [], []
    for start in range(0, len(prepared), _BATCH):
        batch = np.stack([p.tensor for p in prepared[start : start + _BATCH]])
        output = engine.run(batch)
        logits.append(output.logits)
        maps.append(output.class_maps)
    return JudgedSlices(
        calibration.probabilities(np.concatenate(logits)), np.concatenate(maps), prepared
    )


def keras_outputs(
    model: Any, pixels: Sequence[NDArray[np.uint8]], size: int
) -> dict[str, NDArray[np.float32]]:
    """Run a Keras model over N slices uint8 (H, W), prepared as served ones are.

    The 8-bit slices that a training keeps in memory would move a probability by several
    thousandths.

    Args:
        model: its outputs are a dict of arrays with `logits` (N, 4) among them.
        size: side of the model's input in pixels.
    """
    pieces = []
    for start in range(0, len(pixels), _BATCH):
        batch = np.stack([prepare(p, size).tensor for p in pixels[start : start + _BATCH]])
        pieces.append({k: np.asarray(v) for k, v in model.predict_on_batch(batch).items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def keras_probabilities(
    model: Any, calibration: Calibration, pixels: Sequence[NDArray[np.uint8]], size: int
) -> NDArray[np.float64]:
    """Return calibrated probabilities (N, 4) of a Keras model whose weights are not shipped."""
    return calibration.probabilities(keras_outputs(model, pixels, size)["logits"])


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


def measure_localisation(
    engine: _Engine,
    calibration: Calibration,
    size: int,
    data: LabelledData,
    masks: dict[str, NDArray[np.uint8]],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure on the val tumours whether the served heatmap lies on the tumour.

    Args:
        engine, calibration, size: those of the bundle.
        data: slices and split; `split.groups` are the units of the intervals.
        masks: path -> uint8 (H, W), non-zero inside the tumour, as `index.load_masks` gives.
        seed: of the bootstrap.

    Returns:
        What `summarise_localisation` returns for the maps of the true class, and
        `empty_of_correct`: the share of empty maps among correctly classified slices, None
        where no slice is correct.

    Raises:
        DatasetError: no tumour of the val part has a mask.
    """
    positions = val_tumours_with_masks(data, masks)
    judged = judge(engine, calibration, [data.images[i] for i in positions], size)
    truth = true_labels(data, positions)
    heatmaps = [judged.heatmap(i, int(label)) for i, label in enumerate(truth)]
    summary = summarise_localisation(
        heatmaps,
        [masks[data.records[i].path] for i in positions],
        [data.split.groups[i] for i in positions],
        seed=seed,
    )
    right = np.flatnonzero(judged.probabilities.argmax(axis=1) == truth)
    empty = [not heatmaps[i].any() for i in right]
    summary["empty_of_correct"] = round(float(np.mean(empty)), 6) if empty else None
    return summary


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


def _known_strangers(
    records: list[ImageRecord], images: list[NDArray[np.uint8]], protocol: Path
) -> list[NDArray[np.uint8]]:
    """Return the images that the CSV's column `suspect`, where it has one, calls a CT."""
    with protocol.open(newline="", encoding="utf-8-sig") as file:
        foreign = {row["path"] for row in csv.DictReader(file) if row.get("suspect") == "ct"}
    return [image for record, image in zip(records, images, strict=True) if record.path in foreign]
