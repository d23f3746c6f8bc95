"""What others published about this data set: their numbers, on their own splits.

None of them was measured here; wherever they are shown, that is said beside them.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """One work: its name, its accuracy on the official split, and on patients it never saw."""

    work: str
    official: str
    unseen: str


PUBLISHED: tuple[Published, ...] = (
    Published("small CNN from scratch, 1.31 M parameters (arXiv 2511.17655)", "0.965", "-"),
    Published("CNN from scratch (doi:10.3389/fmed.2025.1664673)", "0.983", "-"),
    Published(
        "ImageNet-pre-trained, duplicate-grouped splits of this set", "-", "macro F1 0.956-0.967"
    ),
    Published("pre-trained, figshare part, patient-disjoint", "-", "0.936-0.953 (three tumours)"),
)
