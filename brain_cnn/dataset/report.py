"""What a data set holds: printed before anything is trained on it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.fingerprint import (
    count_images,
    pixel_fingerprint,
    pixel_hash,
    recognise_release,
)
from brain_cnn.dataset.index import ImageRecord
from brain_cnn.dataset.splits import Split, label_conflicts
from brain_cnn.labels import LABELS

_SHOWN = 10  # of a long list; the JSON has all of it
_FOLDERS = {"train": "Training", "test": "Testing", "": "all"}


@dataclass(frozen=True)
class Contents:
    """What lies in the folders.

    Attributes:
        release: "kaggle-7023", "kaggle-7019", "kaggle-7200" or "other".
        release_words: the same in words.
        counts: folder split ("train", "test" or "") -> label -> images.
        fingerprint: SHA-256 of the pixels, see `pixel_fingerprint`.
        unreadable: (path, reason) of the images left out.
    """

    release: str
    release_words: str
    counts: dict[str, dict[str, int]]
    fingerprint: str
    unreadable: list[tuple[str, str]]


@dataclass(frozen=True)
class Copies:
    """Which pictures are there more than once.

    Attributes:
        distinct_pictures: number of copy groups.
        exact_copies: images whose pixels equal those of an image before them, by where the
            two lie: "inside Training", "inside Testing", "across" (or "inside all").
        copies: the same for copies that are turned, mirrored or re-processed, exact included.
        label_conflicts: groups of paths that hold one picture under more than one label.
    """

    distinct_pictures: int
    exact_copies: dict[str, int]
    copies: dict[str, int]
    label_conflicts: list[list[str]]


@dataclass(frozen=True)
class Leakage:
    """The split that is used, and what leaks in it.

    Attributes:
        split_name, split_sentence: its name and how it was made.
        split_counts: part ("train", "val", "test") -> label -> images.
        leaked, test_size: test images with a copy in train, and all test images.
        leaked_into_val: val images with a copy in train.
    """

    split_name: str
    split_sentence: str
    split_counts: dict[str, dict[str, int]]
    leaked: int
    test_size: int
    leaked_into_val: int

    @property
    def leakage(self) -> float:
        """Share, 0..1, of the split's test images that have a copy in its train part."""
        return self.leaked / self.test_size if self.test_size else 0.0


@dataclass(frozen=True)
class DataReport:
    """The findings on the readable images of a data set."""

    contents: Contents
    copies: Copies
    split: Leakage

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values, in one level."""
        found = asdict(self.contents) | asdict(self.copies) | asdict(self.split)
        return found | {
            "unreadable": [list(pair) for pair in self.contents.unreadable],
            "leakage": self.split.leakage,
        }

    @property
    def text(self) -> str:
        """The report for a person, ready to be printed."""
        contents, copies, split = self.contents, self.copies, self.split
        lines = [f"Data: {contents.release_words} ({contents.release})."]
        lines += _table(contents.counts, "folder", _FOLDERS)
        lines.append(f"Pixel fingerprint (SHA-256): {contents.fingerprint}")
        lines += _listed(
            f"Unreadable and left out: {len(contents.unreadable)}",
            [f"{path}: {reason}" for path, reason in contents.unreadable],
        )
        lines.append(f"Distinct pictures: {copies.distinct_pictures}")
        lines.append(f"Exact copies of an earlier image: {_places(copies.exact_copies)}")
        lines.append(f"Copies, also turned, mirrored or re-processed: {_places(copies.copies)}")
        lines += _listed(
            f"One picture under two labels: {len(copies.label_conflicts)}",
            [" = ".join(paths) for paths in copies.label_conflicts],
        )
        lines.append(f"Split: {split.split_sentence}")
        lines += _table(split.split_counts, "part", {})
        lines.append(
            f"Leakage: {split.leaked} of {split.test_size} test images ({split.leakage:.1%}) have "
            f"a copy in train, and {split.leaked_into_val} val images."
        )
        return "\n".join(lines)


def data_report(
    records: Sequence[ImageRecord],
    images: Sequence[NDArray[np.uint8]],
    unreadable: Sequence[tuple[str, str]],
    copy_groups: NDArray[Any],
    split: Split,
) -> DataReport:
    """Examine a data set and one split of it.

    Args:
        records: N readable images.
        images: their pixels, uint8 (H, W).
        unreadable: (path, reason) of the images that were left out.
        copy_groups: (N,) from `find_copies`.
        split: positions into `records`.
    """
    groups = np.asarray(copy_groups)
    release, words = recognise_release(records)
    contents = Contents(
        release, words, count_images(records), pixel_fingerprint(images), list(unreadable)
    )
    copies = Copies(
        distinct_pictures=len(np.unique(groups)),
        exact_copies=_where_copies_lie(records, [pixel_hash(pixels) for pixels in images]),
        copies=_where_copies_lie(records, groups.tolist()),
        label_conflicts=[
            [records[i].path for i in members] for members in label_conflicts(records, groups)
        ],
    )
    return DataReport(contents, copies, _leakage(records, groups, split))


def _leakage(records: Sequence[ImageRecord], groups: NDArray[Any], split: Split) -> Leakage:
    split_counts = {}
    for part in ("train", "val", "test"):
        found = Counter(records[i].label for i in getattr(split, part))
        split_counts[part] = {label: found[label] for label in LABELS}
    in_train = groups[split.train]
    return Leakage(
        split.name,
        split.sentence,
        split_counts,
        leaked=int(np.isin(groups[split.test], in_train).sum()),
        test_size=len(split.test),
        leaked_into_val=int(np.isin(groups[split.val], in_train).sum()),
    )


def _where_copies_lie(records: Sequence[ImageRecord], keys: Sequence[Any]) -> dict[str, int]:
    """Count images beyond the first of their group in each folder, and Testing's copies.

    "across" counts Testing images that have a copy in Training: what leaks.
    """
    where: dict[Any, Counter[str]] = {}
    for record, key in zip(records, keys, strict=True):
        where.setdefault(key, Counter())[record.official_split] += 1
    splits = sorted({record.official_split for record in records}, reverse=True)
    inside = {
        f"inside {_FOLDERS[split]}": sum(max(0, of[split] - 1) for of in where.values())
        for split in splits
    }
    if len(splits) < 2:
        return inside
    return inside | {"across": sum(of["test"] for of in where.values() if of["train"])}


def _places(found: dict[str, int]) -> str:
    words = {"across": "in Testing with a copy in Training"}
    return ", ".join(f"{number} {words.get(place, place)}" for place, number in found.items())


def _table(counts: dict[str, dict[str, int]], title: str, names: dict[str, str]) -> list[str]:
    head = f"  {title:<9}" + "".join(f"{label:>12}" for label in LABELS) + f"{'all':>12}"
    rows = [head]
    for name, of in counts.items():
        cells = "".join(f"{of[label]:>12}" for label in LABELS)
        rows.append(f"  {names.get(name, name):<9}{cells}{sum(of.values()):>12}")
    return rows


def _listed(title: str, items: list[str]) -> list[str]:
    shown = [f"  {item}" for item in itertools.islice(items, _SHOWN)]
    more = [f"  ... and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return [title, *shown, *more]
