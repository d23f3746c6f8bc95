"""The tissues of a synthetic head: which labels they are made of, and how grey they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Tissues = NDArray[np.int16]
"""int16 (n, n): index into `TISSUES` of every pixel."""

TISSUES: dict[str, tuple[int, ...]] = {
    "air": (0,),
    "white": (2, 41),
    "grey": (3, 42),
    "ventricle": (4, 5, 43, 44, 14, 15, 72),
    "csf": (24,),
    "cerebellar_white": (7, 46),
    "cerebellar_grey": (8, 47),
    "deep": (10, 49, 11, 50, 12, 51, 26, 58),
    "pallidum": (13, 52),
    "stem": (16, 28, 60, 512),
    "hippocampus": (17, 18, 53, 54),
    "artery": (502, 30, 62),
    "sinus": (514,),
    "choroid": (136, 137, 163, 164),
    "chiasm": (85,),
    "soft": (507,),
    "skin": (511,),
    "bone": (515,),
    "marrow": (516,),
    "mucosa": (509,),
    "eye": (506,),
    "eye_muscle": (508,),
    "optic_nerve": (530,),
    "spot": (25, 57),
}
"""Tissue -> values in the label maps (`labels.csv` of the maps names them)."""

LAYERS = ("rim", "core", "solid", "oedema", "low", "gland", "calcium")
"""What is painted over the tissues: parts of a tumour, what surrounds it, a normal gland."""

INDEX: dict[str, int] = {name: place for place, name in enumerate((*TISSUES, *LAYERS))}
COUNT = len(INDEX)

_LARGEST_LABEL = 600
WEIGHTINGS = ("t1", "t1c", "t2", "flair", "pd", "random")
"""t1c: T1 with contrast agent; random: every tissue any grey, as no scanner makes it."""


def index_of(*names: str) -> list[int]:
    """Return the indices of tissues or layers."""
    return [INDEX[name] for name in names]


def _flags(*names: str) -> NDArray[np.bool_]:
    flags = np.zeros(COUNT, bool)
    flags[index_of(*names)] = True
    return flags


BRAIN_PARTS = (
    "white", "grey", "cerebellar_white", "cerebellar_grey", "deep", "pallidum", "stem",
    "hippocampus", "chiasm", "spot",
)  # fmt: skip
BRAIN = _flags(*BRAIN_PARTS, "ventricle", "choroid")
"""bool (COUNT,): what is brain or inside it."""
INTRACRANIAL = BRAIN | _flags("csf", "artery")
"""bool (COUNT,): what lies inside the dura."""


def tissue_table() -> Tissues:
    """Return int16 (600,): label value -> tissue index; what is not named is air."""
    table = np.zeros(_LARGEST_LABEL, np.int16)
    for name, labels in TISSUES.items():
        table[list(labels)] = INDEX[name]
    return table


_NAMES = tuple(TISSUES)
_GREYS = {
    # In the order of TISSUES: air white grey ventricle csf c.white c.grey deep pallidum stem
    # hippocampus artery sinus choroid chiasm soft skin bone marrow mucosa eye muscle nerve spot
    "t1": (4, 145, 100, 30, 34, 140, 98, 112, 130, 132, 98, 45, 55, 80, 120, 95, 190, 28, 150,
           105, 50, 120, 100, 110),
    "t1c": (4, 140, 104, 32, 38, 136, 104, 112, 128, 130, 100, 215, 225, 200, 120, 105, 195, 30,
            155, 200, 55, 130, 180, 110),
    "t2": (4, 95, 140, 235, 225, 98, 135, 115, 85, 105, 140, 35, 40, 180, 110, 75, 150, 22, 110,
           190, 225, 120, 130, 170),
    "flair": (4, 110, 150, 25, 28, 112, 145, 128, 105, 120, 150, 40, 45, 110, 115, 85, 165, 20,
              110, 170, 30, 110, 120, 190),
    "pd": (4, 120, 165, 140, 150, 120, 160, 140, 115, 130, 160, 50, 60, 160, 130, 110, 185, 25,
           130, 170, 150, 130, 140, 180),
}  # fmt: skip


def mean_greys(weighting: str) -> NDArray[np.float32]:
    """Return float32 (COUNT,): a typical grey (0..255) of every tissue; layers are 0."""
    greys = np.zeros(COUNT, np.float32)
    for name, grey in zip(_NAMES, _GREYS[weighting], strict=True):
        greys[INDEX[name]] = grey
    return greys
