"""What a network gives, whatever runs it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class EngineOutput(NamedTuple):
    """One forward pass over N slices.

    Attributes:
        logits: float32 (N, 4).
        class_maps: float32 (N, h, w, 4), evidence for each class at each place.
        features: float32 (N, D), pooled features for the out-of-distribution gate.
    """

    logits: NDArray[np.float32]
    class_maps: NDArray[np.float32]
    features: NDArray[np.float32]
