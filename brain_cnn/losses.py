"""Mask guidance: the auxiliary loss that asks the class maps to find the tumour."""

from __future__ import annotations

from typing import Any

from keras import ops

from brain_cnn.labels import NOTUMOR, label_index

# The map of `notumor` has no place of its own: only the cross-entropy shapes it.
_HAS_A_PLACE = [float(place != label_index(NOTUMOR)) for place in range(4)]


def guidance_loss(y_true: Any, y_pred: Any) -> Any:
    """Ask the tumour classes' maps to be high on the tumour and low elsewhere.

    Args:
        y_true: (N, h, w, 5): share of each cell that is tumour of each class; the last
            channel is 1 where that is known (a mask, or a slice without tumour).
        y_pred: class maps (N, h, w, 4).

    Returns:
        (N,): cross-entropy of every cell, tumour and rest weighing the same, plus the
        surprise that the map's spatial softmax lies inside the tumour.
    """
    inside, known = y_true[..., :4], y_true[..., 4:]
    weight = known * ops.convert_to_tensor([[[_HAS_A_PLACE]]])  # (N, h, w, 4)
    area = ops.sum(inside * weight, axis=(1, 2, 3), keepdims=True)
    total = ops.sum(weight, axis=(1, 2, 3), keepdims=True)
    # Tumour cells are one in a hundred: raise them, but no more than fifty-fold.
    positive = ops.clip(0.5 * (total - area) / (area + 1e-3), 1.0, 50.0)
    cells = positive * inside * ops.softplus(-y_pred) + (1.0 - inside) * ops.softplus(y_pred)
    cell_loss = ops.sum(weight * cells, axis=(1, 2, 3)) / (total[:, 0, 0, 0] + 1e-6)
    # Spatial softmax of the true class's map, against the cells that hold tumour.
    true_class = ops.max(inside, axis=(1, 2), keepdims=True)  # > 0 in one channel, or none
    true_class = ops.cast(true_class > 0.0, y_pred.dtype)
    own = ops.sum(y_pred * true_class, axis=-1)  # (N, h, w)
    tumour = ops.cast(ops.sum(inside, axis=-1) > 0.25, y_pred.dtype)
    has_tumour = ops.max(tumour, axis=(1, 2))
    everywhere = ops.logsumexp(own, axis=(1, 2))
    there = ops.logsumexp(own - 1e4 * (1.0 - tumour), axis=(1, 2))
    return cell_loss + 0.25 * has_tumour * (everywhere - there)
