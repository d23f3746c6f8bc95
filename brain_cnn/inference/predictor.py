"""Run a network over slices, in batches: the one way to ask it, in serving as in training.

A network is a function from float32 (N, S, S, 1) in 0..1 to an `EngineOutput`: the `run` of an
engine, or a Keras model as `keras_network` gives it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from brain_cnn.inference.output import EngineOutput
from brain_cnn.labels import LABELS
from brain_cnn.preprocess import PreparedSlice, prepare

Item = TypeVar("Item")
Tensors = NDArray[np.float32]
Network = Callable[[Tensors], EngineOutput]
"""float32 (N, S, S, 1) in 0..1, N >= 1, to its outputs."""

BATCH = 8
"""Slices of one forward pass: more gains nothing on a CPU, and costs memory."""


class Batch(NamedTuple):
    """Some slices after the network.

    Attributes:
        prepared: N slices, with the way from the network's grid back to each.
        tensors: float32 (N, S, S, 1), what the network saw.
        output: what it gave.
        prepare_s, network_s: how long both took, seconds.
    """

    prepared: list[PreparedSlice]
    tensors: Tensors
    output: EngineOutput
    prepare_s: float
    network_s: float


class Predictor:
    """Runs one network over any number of slices.

    Args:
        network: what is run.
        size: S, the side of its input in pixels.
        batch: slices of one forward pass.
    """

    def __init__(self, network: Network, size: int, batch: int = BATCH) -> None:
        self.network = network
        self.size = size
        self.batch = batch

    def batches(self, slices: Iterable[NDArray[np.uint8]]) -> Iterator[Batch]:
        """Prepare slices uint8 (H, W) of any shapes and run the network, batch by batch."""
        for part in _parts(slices, self.batch):
            start = time.perf_counter()
            prepared = [prepare(pixels, self.size) for pixels in part]
            tensors = np.stack([one.tensor for one in prepared])
            prepared_at = time.perf_counter()
            output = self.network(tensors)
            done = time.perf_counter()
            yield Batch(prepared, tensors, output, prepared_at - start, done - prepared_at)

    def predict(self, tensors: Iterable[Tensors]) -> EngineOutput:
        """Run the network over prepared slices.

        Args:
            tensors: float32 (N, S, S, 1), or anything that yields float32 (S, S, 1) one after
                the other, so that they need not be in memory together. At least one.

        Returns:
            The outputs of all N, in their order.
        """
        parts = [self.network(np.stack(part)) for part in _parts(tensors, self.batch)]
        return EngineOutput(*(np.concatenate(piece) for piece in zip(*parts, strict=True)))

    def predict_slices(self, slices: Iterable[NDArray[np.uint8]]) -> EngineOutput:
        """Prepare slices uint8 (H, W) as served ones are, and run the network over all."""
        return self.predict(prepare(pixels, self.size).tensor for pixels in slices)


def prepare_slices(slices: Sequence[NDArray[np.uint8]], size: int) -> Tensors:
    """Return the network's input float32 (N, size, size, 1) of slices uint8 (H, W)."""
    return np.stack([prepare(pixels, size).tensor for pixels in slices])


def keras_network(model: Any, devices: int = 1) -> Network:
    """Return a Keras model as a network.

    Args:
        model: its outputs are a dict with `logits` (N, 4). A model without `class_maps` or
            `features` (the baseline) gives them with no cells (N, 0, 0, 4) and no columns
            (N, 0).
        devices: among how many each batch is shared. All take equal shares: a batch is filled
            up with zeros, and its outputs cut again.
    """

    def network(tensors: Tensors) -> EngineOutput:
        count = len(tensors)
        if count % devices:
            tensors = np.pad(tensors, ((0, -count % devices), (0, 0), (0, 0), (0, 0)))
        found = model.predict_on_batch(tensors)
        outputs = {name: np.asarray(value)[:count] for name, value in found.items()}
        return EngineOutput(
            outputs["logits"],
            outputs.get("class_maps", np.zeros((count, 0, 0, len(LABELS)), np.float32)),
            outputs.get("features", np.zeros((count, 0), np.float32)),
        )

    return network


def _parts(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while part := list(islice(remaining, count)):
        yield part
