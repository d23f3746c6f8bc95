"""What the model page is made of: sections of tables, whose cells come from `metrics.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from brain_cnn.web.presenters.measured import number_words, part

Metrics = dict[str, Any]


class Cell(NamedTuple):
    """What stands in a cell: a value, and its 95 % interval where it has one."""

    value: str
    interval: str = ""


NOTHING = Cell("–")


@dataclass(frozen=True)
class Table:
    """A table: its caption, the heads of its columns, and rows that begin with their name."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: its anchor. title: its heading.
        sentences: paragraphs before the tables.
        tables: what was measured.
        figures: stems of figures that belong to it.
    """

    name: str
    title: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    figures: tuple[str, ...] = ()


def share(metric: Any) -> Cell:
    """Return {"value", "low", "high"} of 0..1 in per cent."""
    cell = Cell(*number_words(metric, 100.0, 1, " %"))
    return cell if cell.value else NOTHING


def number(metric: Any, digits: int = 3) -> Cell:
    """Return {"value", "low", "high"} as numbers."""
    cell = Cell(*number_words(metric, 1.0, digits, ""))
    return cell if cell.value else NOTHING


def size(record: Any) -> Cell:
    """Return how many slices, of how many groups."""
    count, groups = part(record, "n"), part(record, "groups")
    if count is None:
        return NOTHING
    return Cell(str(count) + ("" if groups is None else f" ({groups})"))


def sentence(words: Any) -> str:
    """Return what a record says of its slices as a sentence."""
    if not isinstance(words, str) or not words:
        return ""
    return words[0].upper() + words[1:].rstrip(".") + "."
