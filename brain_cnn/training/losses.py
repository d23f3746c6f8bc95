"""Mask guidance: the auxiliary loss that makes the class maps find the tumour."""

from __future__ import annotations

from typing import Any

from keras import ops

from brain_cnn.labels import NOTUMOR, label_index

_NOTUMOR = label_index(NOTUMOR)


def guidance_loss(y_true: Any, y_pred: Any) -> Any:
    """Make each map high where its class is: tumours on the tumour, `notumor` beside it.

    A healthy place of a head with a tumour is `notumor` too: what separates the scanners of
    tumours and of healthy heads is then of no use to that map.

    Args:
        y_true: (N, h, w, 5): share of each cell that is tumour of each class; the last
            channel is 1 where that is known (a mask, or a slice without tumour).
        y_pred: class maps (N, h, w, 4).

    Returns:
        (N,): cross-entropy of every cell, tumour and rest weighing the same, plus the
        surprise that the map's spatial softmax lies inside the tumour.
    """
    inside, known = y_true[..., :4], y_true[..., 4:]
    tumour_here = ops.sum(inside, axis=-1, keepdims=True)  # (N, h, w, 1): `notumor` has no share
    # The map of `notumor` has the same target with the sign turned round.
    turned = ops.convert_to_tensor([[[float(place == _NOTUMOR) for place in range(4)]]])
    inside = inside + turned * tumour_here
    tumour_score = y_pred * (1.0 - 2.0 * turned)
    area = ops.sum(inside * known, axis=(1, 2, 3), keepdims=True)
    total = 4.0 * ops.sum(known, axis=(1, 2, 3), keepdims=True)
    # Tumour cells are one in a hundred: raise them, but no more than fifty-fold.
    positive = ops.clip(0.5 * (total - area) / (area + 1e-3), 1.0, 50.0)
    cells = positive * inside * ops.softplus(-tumour_score)
    cells = cells + (1.0 - inside) * ops.softplus(tumour_score)
    cell_loss = ops.sum(known * cells, axis=(1, 2, 3)) / (total[:, 0, 0, 0] + 1e-6)
    # Spatial softmax of the true class's map, against the cells that hold tumour.
    true_class = ops.max(inside * (1.0 - turned), axis=(1, 2), keepdims=True)
    true_class = ops.cast(true_class > 0.0, y_pred.dtype)  # 1 in one channel, or none
    own = ops.sum(y_pred * true_class, axis=-1)  # (N, h, w)
    tumour = ops.cast(tumour_here[..., 0] > 0.25, y_pred.dtype)
    has_tumour = ops.max(tumour, axis=(1, 2))
    everywhere = ops.logsumexp(own, axis=(1, 2))
    there = ops.logsumexp(own - 1e4 * (1.0 - tumour), axis=(1, 2))
    return cell_loss + 0.25 * has_tumour * (everywhere - there)
