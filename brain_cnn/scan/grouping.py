"""Which frames are one stack. One series UID is not one stack.

A stack shares its patient, study, series, frame of reference and modality; its matrix and
spacing; and the orientation of each frame, within a tolerance. Where places repeat in it, it
is divided by echo, temporal position, diffusion weighting, trigger time, kind of image and
acquisition; and where they repeat still, the first at each place is one stack, the second
another. Nothing here depends on the order in which the files arrive.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.scan.copies import SAME_PLACE_MM, once
from brain_cnn.scan.display import Frame, Reading
from brain_cnn.scan.types import Deadline

TOLERANCE_DEGREES = 2.0
"""Frames whose rows or columns point further apart than this are in different stacks."""

_SPACING_SHARE = 0.01  # pixels whose sizes differ by less than this share are of one size
# Frames without a row or column; any two of them are within the tolerance.
_NOWHERE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

REPEATED = (
    "This series holds several pictures of the same places (echoes, phases or repetitions); "
    "each set of them is judged apart."
)


@dataclass(frozen=True)
class _Part:
    """A frame and the place of its reading."""

    reading: int
    frame: Frame


def by_stack(readings: Sequence[Reading], deadline: Deadline) -> list[list[Reading]]:
    """Divide readings into stacks, in the order in which they appear.

    Returns:
        For each stack its readings, with those of their frames that are in it.

    Raises:
        ScanError: 422, the time is over.
    """
    exact: dict[Hashable, list[_Part]] = {}
    for place, reading in enumerate(readings):
        for frame in reading.frames:
            key = (
                reading.series or place,
                frame.key,
                frame.values.shape,
                frame.geometry is None,
                frame.spacing is None,
            )
            exact.setdefault(key, []).append(_Part(place, frame))
    stacks = []
    for parts in exact.values():
        for aligned in _aligned(parts, deadline):
            frames = once([part.frame for part in aligned])
            pieces = _divided(frames)
            for piece in pieces:
                own = {id(frame) for frame in piece}
                chosen = [part for part in aligned if id(part.frame) in own]
                stacks.append(_as_readings(readings, chosen, len(pieces) > 1))
    return stacks


def _as_readings(
    readings: Sequence[Reading], parts: Sequence[_Part], divided: bool
) -> list[Reading]:
    frames: dict[int, list[Frame]] = {}
    for part in parts:
        frames.setdefault(part.reading, []).append(part.frame)
    return [
        replace(
            readings[place],
            frames=own,
            notes=(*readings[place].notes, REPEATED) if divided else readings[place].notes,
        )
        for place, own in frames.items()
    ]


def _aligned(parts: list[_Part], deadline: Deadline) -> Iterator[list[_Part]]:
    """Divide frames by their orientation and spacing, within the tolerances.

    Each differing one is compared with the first of each stack, in the order of their
    numbers: so neither the order of the files nor a copy changes what belongs together.
    """
    if len(parts) == 1:
        yield parts
        return
    ways: dict[tuple[float, ...], list[int]] = {}
    for place, part in enumerate(parts):
        ways.setdefault(_way(part.frame), []).append(place)
    leaders: list[tuple[float, ...]] = []
    known: NDArray[np.float64] = np.zeros((0, 8))
    members: list[list[int]] = []
    for way in sorted(ways):
        deadline.check()
        close = _close(known, np.array(way))
        if close is None:
            leaders.append(way)
            known = np.array(leaders)
            members.append([])
            close = len(leaders) - 1
        members[close].extend(ways[way])
    for own in sorted(sorted(places) for places in members):
        yield [parts[place] for place in own]


def _way(frame: Frame) -> tuple[float, ...]:
    """Return the directions of rows and columns, and the size of a pixel: eight numbers."""
    directions: Any = _NOWHERE
    if frame.geometry is not None:
        directions = (*frame.geometry.right.tolist(), *frame.geometry.down.tolist())
    return (*directions, *(frame.spacing or (1.0, 1.0)))


def _close(known: NDArray[np.float64], way: NDArray[np.float64]) -> int | None:
    """Return which of the `known` (n, 8) is within the tolerances of `way`; None if none is."""
    if not len(known):
        return None
    # The length of a difference: the cosine of a small angle says nothing of it.
    limit = 2 * np.sin(np.deg2rad(TOLERANCE_DEGREES) / 2)
    apart = [np.linalg.norm(known[:, part] - way[part], axis=1) for part in _DIRECTIONS]
    sizes = np.abs(known[:, 6:] - way[6:]) <= _SPACING_SHARE * np.abs(way[6:])
    close = np.flatnonzero((apart[0] <= limit) & (apart[1] <= limit) & sizes.all(axis=1))
    return int(close[0]) if len(close) else None


_DIRECTIONS = (slice(0, 3), slice(3, 6))


def _divided(frames: list[Frame]) -> list[list[Frame]]:
    """Divide the frames of one stack where places repeat, the first of each place first."""
    spots = dict(zip(map(id, frames), _spots(frames), strict=True))

    def repeats(group: list[Frame]) -> bool:
        return len({spots[id(frame)] for frame in group}) < len(group)

    if not repeats(frames):
        return [frames]
    groups = [frames]
    for place in range(max(len(frame.repeats) for frame in frames)):
        groups = [
            part
            for group in groups
            for part in (_by_value(group, place, spots) if repeats(group) else [group])
        ]
    found = []
    for group in groups:
        found.extend(_by_turn(group, spots) if repeats(group) else [group])
    return sorted(found, key=lambda group: (-len(group), min(map(_rank, group))))


def _by_value(group: list[Frame], place: int, spots: dict[int, int]) -> list[list[Frame]]:
    """Divide by one value of the header, unless that cuts the stack into splinters.

    A trigger time may be another one for each slice; an echo is there at most places.
    """
    parts: dict[Any, list[Frame]] = {}
    for frame in group:
        parts.setdefault(frame.repeats[place] if frame.repeats else None, []).append(frame)
    whole = len({spots[id(frame)] for frame in group})
    least = min(len({spots[id(frame)] for frame in part}) for part in parts.values())
    return list(parts.values()) if 2 * least >= whole else [group]


def _by_turn(group: list[Frame], spots: dict[int, int]) -> list[list[Frame]]:
    """Put the first frame of each place into one stack, the second into the next, and so on."""
    turns: list[list[Frame]] = []
    met: dict[int, int] = {}
    for frame in sorted(group, key=_rank):
        spot = spots[id(frame)]
        turn = met[spot] = met.get(spot, -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(frame)
    return turns


def _rank(frame: Frame) -> tuple[Any, ...]:
    return (*frame.order, frame.identity)


def _spots(frames: list[Frame]) -> list[int]:
    """Return for each frame the number of its place; all differ where places are not known."""
    places = places_of(frames)
    if places is None:
        return list(range(len(frames)))
    order = np.argsort(places, kind="stable")
    steps = np.diff(np.asarray(places)[order]) >= SAME_PLACE_MM
    spots = np.empty(len(frames), int)
    spots[order] = np.concatenate([[0], np.cumsum(steps)])
    return [int(spot) for spot in spots]


def places_of(frames: Sequence[Frame]) -> list[float] | None:
    """Return where the frames of one stack lie along its normal, in mm; None if not known.

    All are measured along one normal, that of the first in the order of their numbers: along
    its own each would be off by what its header was rounded by.
    """
    geometries = [frame.geometry for frame in frames]
    if all(one is not None and one.origin is not None for one in geometries):
        normal = min((_way(frame), place) for place, frame in enumerate(frames))[1]
        along = geometries[normal].normal  # type: ignore[union-attr]
        return [float(one.origin @ along) for one in geometries]  # type: ignore[union-attr,operator]
    locations = [frame.location for frame in frames]
    known = [one for one in locations if one is not None]
    # The same for all is what programs write that do not know it.
    if len(known) < len(frames) or max(known) - min(known) < SAME_PLACE_MM:
        return None
    return known
