"""Promises of the corruptions: they repeat, they grow, they leave a slice a slice."""

import numpy as np
import pytest

from brain_cnn.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt


def test_there_are_six_kinds_in_five_severities() -> None:
    assert CORRUPTIONS == ("noise", "blur", "jpeg", "contrast", "rotation", "resolution")
    assert SEVERITIES == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_grows_with_its_severity_and_repeats(kind: str, phantom: np.ndarray) -> None:
    kept = phantom.copy()
    wide = np.ascontiguousarray(phantom[20:200])
    damage = []
    for severity in SEVERITIES:
        changed = corrupt(wide, kind, severity)
        assert changed.shape == wide.shape and changed.dtype == np.uint8
        assert np.array_equal(changed, corrupt(wide, kind, severity))
        damage.append(float(np.abs(changed.astype(int) - wide).mean()))
    assert damage[0] > 0.3
    assert damage == sorted(damage)
    assert np.array_equal(phantom, kept)


@pytest.mark.parametrize(
    ("kind", "severity", "word"), [("fog", 1, "fog"), ("noise", 0, "0"), ("noise", 6, "6")]
)
def test_an_unknown_corruption_is_named(
    kind: str, severity: int, word: str, phantom: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=word):
        corrupt(phantom, kind, severity)
