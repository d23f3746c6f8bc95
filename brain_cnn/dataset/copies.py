"""Groups found from pixels alone: the same picture again, and slices that look alike.

A copy is the same picture: byte by byte, turned, mirrored, packed again, rescaled, stretched
in contrast, equalised, sharpened. A look-alike is a neighbour in the same head, or the same
head again. Neither may straddle a split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.similarity import Pictures, canonical_view

# A pair is the same picture if its edges agree this much, or if it correlates this much after
# local contrast normalisation. Chosen on the 7019-image release, just above its neighbouring
# slices (0.670 and 0.957 at most): a wrong pair would join two pictures for good, a missed one
# is often mended by a third copy.
_MIN_EDGE_AGREEMENT = 0.68
_MIN_CORRELATION = 0.97
# A pair is worth a closer look from this correlation on.
_MIN_CANDIDATE = 0.50
# Neighbours taken from the index in each round. Later rounds see few members of each group
# found before, so that many copies of one picture do not crowd out its next variant.
_ROUNDS = (12, 24)
_MEMBERS_PER_GROUP = 3

_LOOKALIKE_NEIGHBOURS = 12
_MIN_LOOKALIKE = 0.80


def find_copies(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Group the images that are the same picture.

    Args:
        images: N slices, uint8 (H, W); sizes may differ.

    Returns:
        int64 (N,): group of each image; groups are numbered 0.. in order of their first
        image. The relation is transitive: a copy of a copy is a copy. Time grows nearly
        linearly with N (about 26 s of CPU time for 7000 images of 224 x 224).
    """
    if not len(images):
        return np.zeros(0, np.int64)
    groups = _Groups(len(images))
    seen: dict[bytes, int] = {}
    for position, pixels in enumerate(images):
        groups.unite(position, seen.setdefault(canonical_view(pixels), position))
    pictures = Pictures(images)
    for count in _ROUNDS:
        members = groups.some_of_each(_MEMBERS_PER_GROUP)
        first, second = pictures.neighbours(members, count)
        _unite_copies(pictures, groups, first, second)
    return groups.numbers()


def find_lookalikes(
    images: Sequence[NDArray[np.uint8]], copy_groups: NDArray[Any]
) -> NDArray[np.int64]:
    """Group the slices that look alike, as neighbouring slices of one patient do.

    Args:
        images: N slices, uint8 (H, W).
        copy_groups: (N,) from `find_copies`; a look-alike group holds whole copy groups.

    Returns:
        int64 (N,): group of each image, numbered 0.. in order of their first image. Slices of
        one patient that are far apart in the head are not recognised as such.
    """
    groups = _Groups(len(images))
    _, first_of, inverse = np.unique(copy_groups, return_index=True, return_inverse=True)
    for position, group in enumerate(inverse.tolist()):
        groups.unite(position, int(first_of[group]))
    if len(first_of) > 1:
        pictures = Pictures([images[i] for i in first_of])
        everyone = np.arange(len(first_of), dtype=np.int64)
        first, second = pictures.neighbours(everyone, _LOOKALIKE_NEIGHBOURS)
        correlation, _ = pictures.coarse_correlation(first, second)
        near = correlation >= _MIN_LOOKALIKE
        for one, other in zip(first[near].tolist(), second[near].tolist(), strict=True):
            groups.unite(int(first_of[one]), int(first_of[other]))
    return groups.numbers()


def _unite_copies(
    pictures: Pictures, groups: _Groups, first: NDArray[np.int64], second: NDArray[np.int64]
) -> None:
    correlation, view = pictures.coarse_correlation(first, second)
    order = np.argsort(-correlation, kind="stable")
    order = order[correlation[order] >= _MIN_CANDIDATE]
    certain = order[correlation[order] >= _MIN_CORRELATION]
    for pair in certain.tolist():
        groups.unite(int(first[pair]), int(second[pair]))
    # Best pairs first, in batches, so that most later pairs are already united and skipped.
    for batch in np.array_split(order[len(certain) :], max(1, len(order) // 2000)):
        open_pairs = np.array(
            [p for p in batch.tolist() if not groups.same(int(first[p]), int(second[p]))], int
        )
        agreement = pictures.gradient_agreement(
            first[open_pairs], second[open_pairs], view[open_pairs]
        )
        for pair in open_pairs[agreement >= _MIN_EDGE_AGREEMENT].tolist():
            groups.unite(int(first[pair]), int(second[pair]))


class _Groups:
    """Union-find over N positions."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, position: int) -> int:
        parent = self._parent
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    def unite(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low

    def same(self, one: int, other: int) -> bool:
        return self.root(one) == self.root(other)

    def some_of_each(self, most: int) -> NDArray[np.int64]:
        """Return at most `most` members of each group, sorted."""
        taken: dict[int, int] = {}
        chosen = []
        for position in range(len(self._parent)):
            root = self.root(position)
            if taken.setdefault(root, 0) < most:
                taken[root] += 1
                chosen.append(position)
        return np.array(chosen, dtype=np.int64)

    def numbers(self) -> NDArray[np.int64]:
        """Return the group of each position, numbered by first appearance."""
        known: dict[int, int] = {}
        roots = (self.root(position) for position in range(len(self._parent)))
        return np.array([known.setdefault(root, len(known)) for root in roots], dtype=np.int64)
