"""What the data tools find from pixels alone, against what a person marked in the protocol.

Everything is counted in distinct pictures: a picture is one copy group as found here, and it is
marked where its first image is, the one that a list shows: the original of a sharpened copy is
no find. The marks are used to count, never to find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.index import ImageRecord
from brain_cnn.dataset.protocol import read_protocol
from brain_cnn.errors import DatasetError

_FIRST = (10, 30, 100)
BOTH = "both"
"""Name of the row that takes the lists of all kinds together."""


@dataclass(frozen=True)
class ListScore:
    """How many pictures of a list of suspects are marked.

    Attributes:
        listed: pictures in the list. marked: those of them that are marked.
        by_mark: mark -> pictures in the list.
        precision: marked / listed, 0..1; 0 for an empty list.
        recall: marked / all marked pictures of the data, 0..1; 0 where there are none.
        first: n -> marked pictures among the first n of the list, for n below `listed`; of one
            kind only, since lists of two kinds have no common order.
    """

    listed: int
    marked: int
    by_mark: dict[str, int]
    precision: float
    recall: float
    first: dict[int, int]


@dataclass(frozen=True)
class ConflictScore:
    """How many label conflicts were found.

    Attributes:
        conflicts_marked: pictures that the protocol marks as bearing two labels.
        conflicts_found: those of them that were found from the pixels.
        conflicts_unmarked: found beyond those.
    """

    conflicts_marked: int
    conflicts_found: int
    conflicts_unmarked: int


@dataclass(frozen=True)
class MarkScore:
    """Suspects and label conflicts against their marks.

    Attributes:
        pictures: distinct pictures that the protocol knows.
        marks: mark -> distinct pictures, over the whole data.
        base_rate: share of the pictures that are marked: the precision of a list by chance.
        labels: labels that marked pictures stand under.
        label_rate: share of marked pictures among those under these labels: the precision by
            chance of a list that somehow knows the label.
        lists: kind of suspect (and `BOTH`) -> score; empty where no suspects were listed.
        conflicts: of labels.
    """

    pictures: int
    marks: dict[str, int]
    base_rate: float
    labels: list[str]
    label_rate: float
    lists: dict[str, ListScore]
    conflicts: ConflictScore

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values, the conflicts in the same level."""
        found = asdict(self)
        result: dict[str, Any] = found | found.pop("conflicts")
        return result

    @property
    def text(self) -> str:
        """The score for a person, ready to be printed."""
        total, conflicts = sum(self.marks.values()), self.conflicts
        lines = [
            f"Marked in the protocol: {total} of {self.pictures} distinct pictures "
            f"({self.base_rate:.1%}{_by_mark(self.marks)}); {self.label_rate:.1%} of those under "
            f"{', '.join(self.labels) or 'no label'}."
        ]
        for kind, one in self.lists.items():
            gain = f", {one.precision / self.base_rate:.0f}x chance" if self.base_rate else ""
            lines.append(
                f"Suspects ({kind}): {one.marked} of {one.listed} listed are marked: precision "
                f"{one.precision:.1%} (chance {self.base_rate:.1%}{gain}), recall "
                f"{one.recall:.1%}{_by_mark(one.by_mark)}."
                + "".join(f" {hits} of the first {n}." for n, hits in one.first.items())
            )
        lines.append(
            f"Label conflicts: {conflicts.conflicts_found} of {conflicts.conflicts_marked} marked "
            "ones were found from the pixels, and "
            f"{conflicts.conflicts_unmarked} that are not marked."
        )
        return "\n".join(lines)


def score_marks(
    records: Sequence[ImageRecord],
    copy_groups: NDArray[Any],
    suspects: Sequence[Mapping[str, Any]],
    conflicts: Sequence[Sequence[str]],
    protocol: Path,
) -> MarkScore:
    """Score what was found against the columns `suspect` and `label_conflict` of a protocol.

    Args:
        records: N images. copy_groups: (N,), found from their pixels.
        suspects: as `audit_labels` gives them, `path` and `kind` are read.
        conflicts: paths of each picture that was found under more than one label.
        protocol: the CSV; the column `suspect` holds a word where a picture is marked.

    Raises:
        DatasetError: the CSV cannot be read, lacks a column, or knows none of the images.
    """
    rows = read_protocol(protocol)
    known = _known_images(records, rows, protocol)
    groups = np.asarray(copy_groups).tolist()
    group_of = {record.path: group for record, group in zip(records, groups, strict=True)}
    pictures: dict[Any, str] = {}  # copy group -> mark, "" for none
    labels: dict[Any, set[str]] = {}
    for i in known:
        pictures.setdefault(groups[i], rows[records[i].path]["suspect"] or "")
        labels.setdefault(groups[i], set()).add(records[i].label)
    marks = Counter(mark for mark in pictures.values() if mark)
    total = sum(marks.values())
    under = {label for group, mark in pictures.items() if mark for label in labels[group]}
    same_label = sum(bool(labels[group] & under) for group in pictures)
    lists: dict[str, ListScore] = {}
    for kind in [*sorted({one["kind"] for one in suspects}), BOTH] if suspects else []:
        paths = [one["path"] for one in suspects if kind in (BOTH, one["kind"])]
        # Each picture once, in the order of the list.
        listed = [g for g in dict.fromkeys(group_of[path] for path in paths) if g in pictures]
        lists[kind] = _score_list([pictures[group] for group in listed], total, kind != BOTH)
    return MarkScore(
        pictures=len(pictures),
        marks=dict(sorted(marks.items())),
        base_rate=_share(total, len(pictures)),
        labels=sorted(under),
        label_rate=_share(total, same_label),
        lists=lists,
        conflicts=_score_conflicts(_marked_conflicts(records, rows, known), conflicts),
    )


def _known_images(
    records: Sequence[ImageRecord], rows: Mapping[str, dict[str, str]], protocol: Path
) -> list[int]:
    """Return the positions of the images that the protocol has rows for."""
    known = [i for i, record in enumerate(records) if record.path in rows]
    if not known:
        raise DatasetError(
            "protocol-unknown",
            f"The protocol {protocol} knows none of the {len(records)} images.",
            "Use the protocol that was made for this release, with paths relative to its root.",
        )
    if "suspect" not in rows[records[known[0]].path]:
        raise DatasetError(
            "protocol-columns",
            f"The protocol {protocol} lacks the column suspect, so nothing can be scored.",
            "Use a protocol with that column, or leave out --score.",
        )
    return known


def _score_list(listed: Sequence[str], total: int, has_order: bool) -> ListScore:
    """Score a list.

    Args:
        listed: the mark of each picture in it, "" for none.
        total: marked pictures of the whole data.
        has_order: whether its first ones are worth counting.
    """
    found = Counter(mark for mark in listed if mark)
    hits = sum(found.values())
    return ListScore(
        listed=len(listed),
        marked=hits,
        by_mark=dict(sorted(found.items())),
        precision=_share(hits, len(listed)),
        recall=_share(hits, total),
        first={
            n: sum(bool(mark) for mark in listed[:n])
            for n in _FIRST
            if n < len(listed) and has_order
        },
    )


def _score_conflicts(
    marked: Sequence[Mapping[str, str]], conflicts: Sequence[Sequence[str]]
) -> ConflictScore:
    ours = [set(paths) for paths in conflicts]
    return ConflictScore(
        conflicts_marked=len(marked),
        # Found is a picture only where its two labels were put side by side.
        conflicts_found=sum(
            any(len({of[path] for path in paths & of.keys()}) > 1 for paths in ours)
            for of in marked
        ),
        conflicts_unmarked=sum(not any(paths & of.keys() for of in marked) for paths in ours),
    )


def _marked_conflicts(
    records: Sequence[ImageRecord], rows: Mapping[str, dict[str, str]], known: Sequence[int]
) -> list[dict[str, str]]:
    """Return path -> label of each picture that is marked and here under two labels."""
    found: dict[str, dict[str, str]] = {}
    for i in known:
        row = rows[records[i].path]
        if row["label_conflict"] == "1":
            found.setdefault(row["copy_group"], {})[records[i].path] = records[i].label
    return [of for of in found.values() if len(set(of.values())) > 1]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _by_mark(counts: Mapping[str, int]) -> str:
    return ": " + ", ".join(f"{n} {mark}" for mark, n in counts.items()) if counts else ""
