"""What is in an upload twice is one slice: found by the bytes of a file, or by its UID.

A folder and its copy in one ZIP, a file that was chosen twice, the same study from two CDs:
counted twice, one odd slice would be its own neighbour and could turn the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from brain_cnn.scan.display import Frame

SAME_PLACE_MM = 0.05
"""Slices that lie closer than this along their normal are at one place."""


class Contents:
    """The frames of each content that was read, over all files of one upload."""

    def __init__(self) -> None:
        self._kept: dict[bytes, list[Frame]] = {}
        self._new: dict[bytes, list[Frame]] = {}
        self._met: list[Frame] = []

    def find(self, data: bytes) -> bytes | None:
        """Return the key of a content for `add`; None if it was read before, and remember so."""
        key = hashlib.sha256(data).digest()
        frames = self._new.get(key, self._kept.get(key))
        if frames is None:
            return key
        self._met.extend(frames)
        return None

    def add(self, key: bytes, frames: Sequence[Frame]) -> None:
        """Note what was read under a key."""
        self._new[key] = list(frames)

    @property
    def met(self) -> bool:
        """Whether the file that is being read holds a copy."""
        return bool(self._met)

    def accept(self, place: int) -> None:
        """Keep what the file at `place` of the upload held, and count its copies."""
        for frame in self._met:
            count_copy(frame, (place,))
        self._kept |= self._new
        self.drop()

    def drop(self) -> None:
        """Forget what the file held: it was refused."""
        self._new, self._met = {}, []


def count_copy(frame: Frame, files: Sequence[int]) -> None:
    """Count one more copy of a frame, which lies in `files`."""
    frame.copies += 1
    frame.also |= set(files) - {frame.source}


def once(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames of one stack without those that are there twice.

    Two frames are one where their SOP Instance UID (and number in the file) and their place
    are equal. Some programs give every file the same UID, so it is not enough alone; where a
    header tells no place, the pixels must be equal too.
    """
    kept: list[Frame] = []
    same: dict[str, list[Frame]] = {}
    for frame in frames:
        others = same.setdefault(frame.identity, []) if frame.identity else []
        first = next((other for other in others if _is_one(frame, other)), None)
        if first is None:
            others.append(frame)
            kept.append(frame)
        else:
            first.copies += frame.copies
            count_copy(first, (frame.source, *frame.also))
    return kept


def _is_one(one: Frame, other: Frame) -> bool:
    if one.order != other.order or one.repeats != other.repeats:
        return False
    here, there = one.place, other.place
    if here is not None and there is not None:
        return abs(here - there) < SAME_PLACE_MM
    if here is not there:
        return False
    if any(number for number in one.order):
        return True
    return bool(np.array_equal(one.values, other.values))
