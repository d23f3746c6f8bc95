"""Which images train, choose and test: three ways, each with a sentence on how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.fingerprint import recognise_release
from brain_cnn.dataset.index import ImageRecord
from brain_cnn.dataset.protocol import read_protocol
from brain_cnn.errors import DatasetError
from brain_cnn.labels import LABELS, label_from_folder

_PARTS = ("train", "val", "test")

_LEAKY_7019 = (
    "996 of its 1311 test images (76.0 %) have a copy, as it is, turned, mirrored or "
    "re-processed, in Training, and every test glioma and pituitary comes from a patient who "
    "is also in Training."
)


@dataclass(frozen=True)
class Split:
    """A division of a data set.

    Attributes:
        name: "official", "protocol" or "grouped".
        train, val, test: int64, positions in the records; no position is in two of them.
        groups: (N,) one name per record: what looks like one patient. Intervals are
            bootstrapped over these.
        leaky: copies or patients are known to straddle train and test.
        sentence: how it was made and what it is worth; printed and saved with every number.
    """

    name: str
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    groups: NDArray[Any]
    leaky: bool
    sentence: str


def official_split(
    records: Sequence[ImageRecord],
    groups: NDArray[Any] | Sequence[Any],
    val_share: float = 0.10,
    seed: int = 0,
    *,
    copy_groups: NDArray[Any] | None = None,
) -> Split:
    """Split by the data set's own folders: Testing is test, whole groups of Training are val.

    Args:
        records: N images with `official_split`.
        groups: (N,) similarity group of each; none straddles train and val.
        val_share: share of Training, per class, that is held out to choose by.
        seed: which groups those are.
        copy_groups: (N,) copy group of each; with it the sentence counts the copies.

    Raises:
        DatasetError: there is no Training or no Testing folder.
    """
    names = np.asarray(groups)
    training = np.array([i for i, r in enumerate(records) if r.official_split == "train"], int)
    test = np.array([i for i, r in enumerate(records) if r.official_split == "test"], int)
    if not len(training) or not len(test):
        raise DatasetError(
            "no-official-split",
            "The data set has no Training and Testing folders, so it has no official split.",
            "Use --split grouped.",
        )
    train, val = _divide(records, names, training, (1.0 - val_share, val_share), seed)
    if recognise_release(records)[0] == "kaggle-7019":
        leak = _LEAKY_7019
    elif copy_groups is not None:
        leaked = int(np.isin(copy_groups[test], copy_groups[training]).sum())
        leak = (
            f"{leaked} of its {len(test)} test images ({leaked / len(test):.1%}) have a copy "
            "in Training."
        )
    else:
        leak = "Copies of its test images are in Training."
    sentence = (
        f"Official split, leaky, for comparison with published tables only: {leak} "
        f"{val_share:.0%} of Training, whole look-alike groups, were held out to choose by; "
        "Testing chose nothing."
    )
    return Split("official", train, val, test, names, True, sentence)


def protocol_split(records: Sequence[ImageRecord], csv_path: Path) -> Split:
    """Split by a CSV with the columns `protocol.COLUMNS` and, optionally, `suspect`.

    Kept is one representative of each copy group; dropped are empty splits, label conflicts,
    suspects, and images that the CSV does not know.

    Raises:
        DatasetError: the CSV cannot be read, lacks a column, contradicts a label, knows none
            of the images, leaves a part empty, or puts one group into two parts.
    """
    rows = read_protocol(csv_path)
    parts: dict[str, list[int]] = {part: [] for part in _PARTS}
    groups = []
    for position, record in enumerate(records):
        row = rows.get(record.path)
        groups.append(f"alone {record.path}" if row is None else row["similarity_group"])
        if row is None:
            continue
        if label_from_folder(row["class"]) != record.label:
            raise DatasetError(
                "protocol-mismatch",
                f"{record.path} is {record.label!r} in the data set and {row['class']!r} in "
                "the protocol.",
                "Use the protocol that was made for this release.",
            )
        if _is_kept(row):
            parts[_part(row)].append(position)
    empty = [part for part in _PARTS if not parts[part]]
    if empty:
        raise DatasetError(
            "protocol-empty",
            f"The protocol leaves no image for {', '.join(empty)}.",
            "Use the protocol that was made for this release, with paths relative to its root.",
        )
    _check_disjoint(records, rows, parts)
    train, val, test = (np.array(parts[part], dtype=np.int64) for part in _PARTS)
    kept = len(train) + len(val) + len(test)
    sentence = (
        "Protocol split, patient-disjoint: no patient, no look-alike group and no copy of a "
        f"picture is in two of its parts; {len(train)} / {len(val)} / {len(test)} distinct "
        f"pictures to train, choose and test; {len(records) - kept} copies, label conflicts "
        "and suspects were dropped."
    )
    return Split("protocol", train, val, test, np.array(groups), False, sentence)


def grouped_split(
    records: Sequence[ImageRecord],
    groups: NDArray[Any] | Sequence[Any],
    shares: tuple[float, float, float] = (0.70, 0.15, 0.15),
    seed: int = 0,
    *,
    copy_groups: NDArray[Any] | None = None,
) -> Split:
    """Split any data set by groups found in its pixels; its own folders are ignored.

    Args:
        records: N images.
        groups: (N,) look-alike group of each, coarser than the copies.
        shares: of train, val and test, per class as near as whole groups allow.
        seed: which groups go where.
        copy_groups: (N,) copy group of each; one image of each is kept, and groups under two
            labels are dropped. None keeps every image, whole groups all the same.
    """
    names = np.asarray(groups)
    kept, conflicts = _representatives(records, copy_groups)
    if copy_groups is not None:
        names = _join(names, copy_groups)
    train, val, test = _divide(records, names, kept, shares, seed)
    sentence = (
        "Grouped split: pictures that look alike, copies among them, are in one part only, "
        f"found from the pixels alone; {len(train)} / {len(val)} / {len(test)} pictures to "
        f"train, choose and test; {len(records) - len(kept)} copies and label conflicts were "
        f"dropped ({conflicts} in conflict). Patients whose slices do not look alike may "
        "still straddle."
    )
    return Split("grouped", train, val, test, names, False, sentence)


def label_conflicts(records: Sequence[ImageRecord], copy_groups: NDArray[Any]) -> list[list[int]]:
    """Return the positions of each copy group that bears more than one label."""
    members: dict[Any, list[int]] = {}
    for position, group in enumerate(np.asarray(copy_groups).tolist()):
        members.setdefault(group, []).append(position)
    return [m for m in members.values() if len({records[i].label for i in m}) > 1]


def _representatives(
    records: Sequence[ImageRecord], copy_groups: NDArray[Any] | None
) -> tuple[NDArray[np.int64], int]:
    if copy_groups is None:
        return np.arange(len(records), dtype=np.int64), 0
    _, first = np.unique(np.asarray(copy_groups), return_index=True)
    dropped = [i for members in label_conflicts(records, copy_groups) for i in members]
    return np.setdiff1d(first, dropped).astype(np.int64), len(dropped)


def _join(groups: NDArray[Any], copy_groups: NDArray[Any]) -> NDArray[np.int64]:
    """Return groups coarse enough that no copy group is in two of them, (N,) integers."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    one = np.unique(groups, return_inverse=True)[1]
    other = np.unique(copy_groups, return_inverse=True)[1] + one.max() + 1
    size = int(other.max()) + 1
    edges = coo_matrix((np.ones(len(one)), (one, other)), shape=(size, size))
    return connected_components(edges, directed=False)[1][one].astype(np.int64)


def _divide(
    records: Sequence[ImageRecord],
    groups: NDArray[Any],
    members: NDArray[np.int64],
    shares: Sequence[float],
    seed: int,
) -> list[NDArray[np.int64]]:
    """Deal whole groups into parts so that each class has nearly `shares` in each part.

    The largest groups are dealt first, to the part that lacks most, so that the small ones
    even out what whole groups leave uneven. A group counts where most of its members are.
    """
    by_group: dict[Any, list[int]] = {}
    for position, group in zip(members.tolist(), groups[members].tolist(), strict=True):
        by_group.setdefault(group, []).append(position)
    by_label: dict[str, list[list[int]]] = {label: [] for label in LABELS}
    for inside in by_group.values():
        by_label[Counter(records[i].label for i in inside).most_common(1)[0][0]].append(inside)
    parts: list[list[int]] = [[] for _ in shares]
    rng = np.random.default_rng(seed)
    for own in by_label.values():
        own = [own[i] for i in rng.permutation(len(own))]
        own.sort(key=len, reverse=True)  # stable: equal sizes stay shuffled
        missing = np.array(shares) / sum(shares) * sum(map(len, own))
        for inside in own:
            fits = missing >= len(inside) / 2
            weights = np.where(fits, missing, -np.inf) if fits.any() else missing
            part = _draw_part(weights, rng)
            parts[part].extend(inside)
            missing[part] -= len(inside)
    return [np.array(sorted(part), dtype=np.int64) for part in parts]


def _draw_part(missing: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Choose a part with probability as what it lacks, so that large groups go anywhere."""
    lacks = np.maximum(missing, 0.0)
    if lacks.sum() <= 0:
        return int(np.argmax(missing))
    return int(rng.choice(len(lacks), p=lacks / lacks.sum()))


def _is_kept(row: dict[str, str]) -> bool:
    return (
        row["protocol_split"] != ""
        and row["representative"] == "1"
        and row["label_conflict"] != "1"
        and not row.get("suspect")
    )


def _part(row: dict[str, str]) -> str:
    if row["protocol_split"] not in _PARTS:
        raise DatasetError(
            "protocol-value",
            f"The protocol puts {row['path']} into {row['protocol_split']!r}.",
            "A split is train, val, test or empty.",
        )
    return row["protocol_split"]


def _check_disjoint(
    records: Sequence[ImageRecord], rows: dict[str, dict[str, str]], parts: dict[str, list[int]]
) -> None:
    """The protocol promises that nothing straddles; believe it only after looking."""
    for column in ("similarity_group", "copy_group"):
        seen: dict[str, str] = {}
        for part, members in parts.items():
            for position in members:
                group = rows[records[position].path][column]
                if seen.setdefault(group, part) != part:
                    raise DatasetError(
                        "protocol-straddles",
                        f"The protocol has {column} {group} in both {seen[group]} and {part}.",
                        "A group belongs into one part.",
                    )
